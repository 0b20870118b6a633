//! Objects with their statuses.

use k8s_openapi::jiff::Timestamp;
use novaedge_api::meta::{Kind, ObjectKey, Scope};

use super::{Failure, Looking, Terminal, Verdict, verdict};
use crate::{
    arguments::{GatewayApiCommand, List},
    describe,
    findings::{Fleet, report},
    listing::{self, Namespaces, Width},
    object::{Inventory, Resource},
    output::{Output, SnapshotOutput, json, yaml},
    server,
    source::{Reach, Share, Source, Wanted},
    table::Paint,
};

pub(super) async fn status(
    looking: &Looking<'_>,
    namespace: Option<&str>,
    output: SnapshotOutput,
    to: &mut Terminal<'_>,
) -> Result<Verdict, Failure> {
    let source = looking.source().await?;
    let mut wanted = Wanted::everything(Share::Ours);
    if let Some(namespace) = namespace {
        wanted.reach = Reach::Namespace(namespace.to_owned());
    }
    let mut inventory = source.load(&wanted).await?;
    if let Some(namespace) = namespace {
        inventory.only(namespace);
    }
    remark(&inventory, to)?;
    let fleet = match fleet(looking, to).await {
        Ok(fleet) => fleet,
        Err(error) => Fleet::Unknown(error.to_string()),
    };
    let report = report(&inventory, fleet);
    let text = match output {
        SnapshotOutput::Table => report.text(to.paint),
        SnapshotOutput::Json => json(&report.document())?,
        SnapshotOutput::Yaml => yaml(&report.document())?,
    };
    to.out.write_all(text.as_bytes())?;
    Ok(verdict(!report.has_errors()))
}

async fn fleet(looking: &Looking<'_>, to: &mut Terminal<'_>) -> Result<Fleet, Failure> {
    let mut servers = looking.servers(to).await?;
    let (newest, agents) = server::fleet(&mut servers).await?;
    Ok(Fleet::Known { agents, newest })
}

/// Says what could not be looked at.
fn remark(inventory: &Inventory, to: &mut Terminal<'_>) -> Result<(), Failure> {
    for remark in &inventory.remarks {
        writeln!(to.remarks, "{remark}")?;
    }
    Ok(())
}

pub(super) async fn gateway_api(
    looking: &Looking<'_>,
    command: &GatewayApiCommand,
    to: &mut Terminal<'_>,
) -> Result<Verdict, Failure> {
    let source = looking.source().await?;
    if let Some((kind, list)) = command.list() {
        return print_list(&source, kind, list, to).await;
    }
    let GatewayApiCommand::DescribeGateway { name, namespace } = command else {
        return Ok(Verdict::Well);
    };
    let namespace = namespace.as_deref().unwrap_or(source.namespace());
    let mut wanted = Wanted::everything(Share::Gateway(ObjectKey::new(namespace, name)));
    wanted.reach = Reach::EverywhereOr(namespace.to_owned());
    let inventory = source.load(&wanted).await?;
    remark(&inventory, to)?;
    let Some(gateway) = inventory.get(Kind::Gateway, namespace, name) else {
        writeln!(
            to.remarks,
            "Gateway {name} is not in namespace {namespace}; see 'novactl gateway-api gateways -A'."
        )?;
        return Ok(Verdict::Wrong);
    };
    let text = describe::gateway(&inventory, gateway, Timestamp::now(), to.paint);
    to.out.write_all(text.as_bytes())?;
    Ok(Verdict::Well)
}

async fn print_list(
    source: &Source,
    kind: Kind,
    list: &List,
    to: &mut Terminal<'_>,
) -> Result<Verdict, Failure> {
    let everywhere = list.all_namespaces || kind.scope() == Scope::Cluster;
    let namespace = list.namespace.as_deref().unwrap_or(source.namespace());
    let wanted = Wanted {
        kinds: vec![kind],
        reach: if everywhere {
            Reach::Everywhere
        } else {
            Reach::Namespace(namespace.to_owned())
        },
        part: Share::All,
    };
    let inventory = source.load(&wanted).await?;
    let here: Vec<&Resource> = inventory
        .of_kind(kind)
        .filter(|resource| everywhere || resource.id.key.namespace == namespace)
        .collect();
    let mut verdict = Verdict::Well;
    for name in &list.names {
        if !here.iter().any(|resource| resource.id.key.name == *name) {
            let place = (!everywhere).then(|| format!(" in namespace {namespace}"));
            writeln!(
                to.remarks,
                "{kind} {name} is not there{}; -A looks in all namespaces.",
                place.unwrap_or_default()
            )?;
            verdict = Verdict::Wrong;
        }
    }
    let chosen: Vec<&Resource> = here
        .into_iter()
        .filter(|resource| list.names.is_empty() || list.names.contains(&resource.id.key.name))
        .collect();
    let document = || listing::document(&chosen, list.names.len() == 1);
    let text = match list.output {
        Output::Json => json(&document())?,
        Output::Yaml => yaml(&document())?,
        Output::Table | Output::Wide if chosen.is_empty() => {
            if list.names.is_empty() {
                let namespace = (!everywhere).then_some(namespace);
                writeln!(to.remarks, "{}", listing::nothing(kind, namespace))?;
            }
            return Ok(verdict);
        }
        Output::Table => list_table(kind, &chosen, list, Width::Narrow, to.paint),
        Output::Wide => list_table(kind, &chosen, list, Width::Wide, to.paint),
    };
    to.out.write_all(text.as_bytes())?;
    Ok(verdict)
}

fn list_table(kind: Kind, chosen: &[&Resource], list: &List, width: Width, paint: Paint) -> String {
    let namespaces = if list.all_namespaces {
        Namespaces::All
    } else {
        Namespaces::One
    };
    listing::table(kind, chosen, namespaces, width, Timestamp::now()).render(0, paint)
}
