//! What the control plane tells over gRPC.

use std::{fs, path::Path, time::Duration};

use k8s_openapi::jiff::Timestamp;
use novaedge_control_plane::translate::translate;

use super::{Failure, Looking, Terminal, Verdict, verdict};
use crate::{
    agents,
    arguments::{self, SnapshotCommand},
    explain::{self, Asked, Words},
    output::{SnapshotOutput, json, yaml},
    place::{Chosen, Standalone},
    server::{self, Fetched},
    snapshot::{Snapshot, diff, part_of},
};

pub(super) async fn explain(
    looking: &Looking<'_>,
    arguments: &arguments::Explain,
    to: &mut Terminal<'_>,
) -> Result<Verdict, Failure> {
    // What cannot be asked is told before anybody is asked.
    let asked = |namespace: &str| {
        Asked::new(&Words {
            url: &arguments.url,
            method: &arguments.method,
            headers: &arguments.headers,
            sni: arguments.sni.as_deref(),
            gateway: arguments.gateway.as_deref(),
            namespace,
            client: arguments.client,
        })
    };
    let mut asking = asked("default")?;
    let resources = if let Chosen::Standalone(Standalone {
        folder: Some(folder),
        ..
    }) = looking.chosen()?
    {
        translate(&folder, Timestamp::now().as_second())?.snapshot
    } else {
        let (mut server, namespace) = looking.server().await?;
        asking = asked(&namespace)?;
        server.snapshot("").await?.resources
    };
    let told = explain::explain(&resources, &asking)?;
    let text = match arguments.output {
        SnapshotOutput::Table => told.text(to.paint),
        SnapshotOutput::Json => json(&told)?,
        SnapshotOutput::Yaml => yaml(&told)?,
    };
    to.out.write_all(text.as_bytes())?;
    Ok(verdict(told.is_well()))
}

pub(super) async fn agents(
    looking: &Looking<'_>,
    output: SnapshotOutput,
    to: &mut Terminal<'_>,
) -> Result<Verdict, Failure> {
    let mut servers = looking.servers(to).await?;
    let (newest, agents) = server::fleet(&mut servers).await?;
    let text = match output {
        SnapshotOutput::Table => agents::text(&agents, newest.as_ref(), Timestamp::now(), to.paint),
        SnapshotOutput::Json => json(&agents::document(&agents, newest.as_ref()))?,
        SnapshotOutput::Yaml => yaml(&agents::document(&agents, newest.as_ref()))?,
    };
    if agents.is_empty() && output == SnapshotOutput::Table {
        writeln!(to.remarks, "No agents are connected.")?;
        return Ok(Verdict::Well);
    }
    to.out.write_all(text.as_bytes())?;
    Ok(Verdict::Well)
}

pub(super) async fn snapshot(
    looking: &Looking<'_>,
    command: &SnapshotCommand,
    to: &mut Terminal<'_>,
) -> Result<Verdict, Failure> {
    match command {
        SnapshotCommand::Get {
            prefix,
            gateway,
            output,
        } => {
            let (mut server, namespace) = looking.server().await?;
            let mut fetched = server.snapshot(prefix).await?;
            if let Some(gateway) = gateway {
                fetched = of_gateway(fetched, &namespace, gateway);
            }
            if fetched.resources.is_empty() {
                writeln!(to.remarks, "Nothing in the snapshot matches.")?;
                return Ok(Verdict::Wrong);
            }
            print_snapshot(&Snapshot::of(&fetched), *output, to)
        }
        SnapshotCommand::Diff { before, after } => {
            let before = saved(before)?;
            let after = match after {
                Some(after) => saved(after)?,
                None => Snapshot::of(&looking.server().await?.0.snapshot("").await?),
            };
            let differences = diff(&before, &after);
            for difference in &differences {
                to.out.write_all(difference.text(to.paint).as_bytes())?;
            }
            Ok(verdict(differences.is_empty()))
        }
        SnapshotCommand::Watch { interval } => {
            watch(looking, Duration::from_millis(*interval), to).await
        }
    }
}

fn of_gateway(mut fetched: Fetched, namespace: &str, gateway: &str) -> Fetched {
    let (namespace, name) = gateway.split_once('/').unwrap_or((namespace, gateway));
    fetched.resources = part_of(&fetched.resources, namespace, name);
    fetched
}

fn print_snapshot(
    snapshot: &Snapshot,
    output: SnapshotOutput,
    to: &mut Terminal<'_>,
) -> Result<Verdict, Failure> {
    let text = match output {
        SnapshotOutput::Table => {
            let version = snapshot.version.as_ref().map(agents::short);
            let table = snapshot.table().render(0, to.paint);
            format!("Snapshot {}\n\n{table}", version.unwrap_or_default())
        }
        SnapshotOutput::Json => json(&snapshot.document())?,
        SnapshotOutput::Yaml => yaml(&snapshot.document())?,
    };
    to.out.write_all(text.as_bytes())?;
    Ok(Verdict::Well)
}

fn saved(file: &Path) -> Result<Snapshot, Failure> {
    let text = fs::read_to_string(file).map_err(|error| Failure::File {
        file: file.to_path_buf(),
        reason: error.to_string(),
    })?;
    Snapshot::parse(&text).map_err(|error| Failure::Saved {
        file: file.to_path_buf(),
        error,
    })
}

/// Looks again and again; ends only when the control plane goes or nobody reads.
async fn watch(
    looking: &Looking<'_>,
    interval: Duration,
    to: &mut Terminal<'_>,
) -> Result<Verdict, Failure> {
    let (mut server, _) = looking.server().await?;
    let mut before: Option<Snapshot> = None;
    loop {
        let newest = server.version().await?;
        let held = before.as_ref().and_then(|before| before.version.as_ref());
        if newest.is_some() && newest.as_ref() != held {
            let after = Snapshot::of(&server.snapshot("").await?);
            let version = after.version.as_ref().map(agents::short);
            let version = version.unwrap_or_default();
            match &before {
                None => writeln!(
                    to.out,
                    "Snapshot {version}: {} resources",
                    after.resources.len()
                )?,
                Some(before) => {
                    writeln!(to.out, "Snapshot {version}")?;
                    for difference in diff(before, &after) {
                        to.out.write_all(difference.text(to.paint).as_bytes())?;
                    }
                }
            }
            to.out.flush()?;
            before = Some(after);
        }
        tokio::time::sleep(interval).await;
    }
}
