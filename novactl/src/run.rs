//! From a command line to text and an exit code.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::CommandFactory as _;
use k8s_openapi::jiff::Timestamp;
use novaedge_api::meta::{Kind, Scope};
use novaedge_control_plane::translate::{Format, Part, translate};

use crate::{
    agents,
    arguments::{self, Arguments, Command, GatewayApiCommand, List, Place, SnapshotCommand},
    check::{Checked, check},
    conformance::{self, Conformance, ConformanceError},
    describe,
    explain::{self, Ambiguous, Asked, AskedError, Words},
    findings::{Fleet, report},
    listing::{self, Namespaces, Width},
    object::{Inventory, Resource},
    output::{CheckOutput, Output, SnapshotOutput, json, yaml},
    server::{Fetched, Server, ServerError},
    snapshot::{Snapshot, SnapshotError, diff, part_of},
    source::{Source, SourceError},
    table::Paint,
};

/// The answer, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Done, and all is well: exit code 0.
    Well,
    /// Something is wrong, differs or is not there: exit code 1.
    Wrong,
}

/// Why there is no answer: exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The objects cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The manifests cannot be read.
    #[error(transparent)]
    Manifests(#[from] novaedge_control_plane::source::SourceError),
    /// Nobody can ask so.
    #[error(transparent)]
    Asked(#[from] AskedError),
    /// It is not clear who would be asked.
    #[error(transparent)]
    Ambiguous(#[from] Ambiguous),
    /// The control plane cannot be asked.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A saved snapshot cannot be read.
    #[error("{file}: {error}")]
    Saved {
        /// The file.
        file: PathBuf,
        /// Why.
        error: SnapshotError,
    },
    /// A file cannot be read.
    #[error("{file} cannot be read: {reason}")]
    File {
        /// The file.
        file: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// What the conformance suite found cannot be told.
    #[error(transparent)]
    Conformance(#[from] ConformanceError),
    /// The answer has no textual form.
    #[error("the answer cannot be printed: {0}")]
    Print(String),
    /// The answer cannot be written.
    #[error("the answer cannot be written: {0}")]
    Write(#[from] io::Error),
}

/// Where answers go.
pub struct Terminal<'a> {
    /// Answers.
    pub out: &'a mut (dyn Write + Send),
    /// Remarks that are no answer.
    pub remarks: &'a mut (dyn Write + Send),
    /// Whether answers carry colours.
    pub paint: Paint,
}

/// Does what a command line says.
pub async fn run(arguments: Arguments, to: &mut Terminal<'_>) -> Result<Verdict, Failure> {
    let place = &arguments.place;
    match &arguments.command {
        Command::Status { output } => status(place, *output, to).await,
        Command::Check { strict, output } => {
            let checked = print_check(place, *output, to)?;
            Ok(verdict(
                !checked.has_errors() && (!strict || checked.problems.is_empty()),
            ))
        }
        Command::Translate { only, output } => print_translation(place, only, *output, to),
        Command::Explain(arguments) => explain(place, arguments, to).await,
        Command::Agents { output } => agents(place, *output, to).await,
        Command::Snapshot { command } => snapshot(place, command, to).await,
        Command::GatewayApi { command } => gateway_api(place, command, to),
        Command::Conformance(arguments) => conformance(arguments, to),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "novactl", &mut script);
            to.out.write_all(&script)?;
            Ok(Verdict::Well)
        }
    }
}

fn load(place: &Place) -> Result<Inventory, Failure> {
    let source = Source::choose(place.folder.as_deref(), place.state_dir.as_deref())?;
    Ok(source.load()?)
}

async fn status(
    place: &Place,
    output: SnapshotOutput,
    to: &mut Terminal<'_>,
) -> Result<Verdict, Failure> {
    let inventory = load(place)?;
    let fleet = match fleet(place).await {
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
    Ok(if report.has_errors() {
        Verdict::Wrong
    } else {
        Verdict::Well
    })
}

async fn fleet(place: &Place) -> Result<Fleet, ServerError> {
    let mut server = Server::connect(&place.server).await?;
    Ok(Fleet::Known {
        newest: server.version().await?,
        agents: server.agents().await?,
    })
}

fn print_check(
    place: &Place,
    output: CheckOutput,
    to: &mut Terminal<'_>,
) -> Result<Checked, Failure> {
    let folder = place.folder.as_ref().ok_or(SourceError::NotNamed)?;
    let checked = check(folder, Timestamp::now().as_second())?;
    let text = match output {
        CheckOutput::Text => checked.text(to.paint),
        CheckOutput::Json => json(&checked.document())?,
        CheckOutput::Sarif => json(&checked.sarif())?,
    };
    to.out.write_all(text.as_bytes())?;
    Ok(checked)
}

fn print_translation(
    place: &Place,
    only: &[Part],
    output: Format,
    to: &mut Terminal<'_>,
) -> Result<Verdict, Failure> {
    let folder = place.folder.as_ref().ok_or(SourceError::NotNamed)?;
    let translation = translate(folder, Timestamp::now().as_second())?;
    let value = translation.to_value(only);
    let value = value.map_err(|error| Failure::Print(error.to_string()))?;
    let text = output.write(&value);
    let text = text.map_err(|error| Failure::Print(error.to_string()))?;
    to.out.write_all(text.as_bytes())?;
    Ok(verdict(!translation.has_errors()))
}

async fn explain(
    place: &Place,
    arguments: &arguments::Explain,
    to: &mut Terminal<'_>,
) -> Result<Verdict, Failure> {
    let asked = Asked::new(&Words {
        url: &arguments.url,
        method: &arguments.method,
        headers: &arguments.headers,
        sni: arguments.sni.as_deref(),
        gateway: arguments.gateway.as_deref(),
    })?;
    let resources = if let Some(folder) = &place.folder {
        translate(folder, Timestamp::now().as_second())?.snapshot
    } else {
        let mut server = Server::connect(&place.server).await?;
        server.snapshot("").await?.resources
    };
    let told = explain::explain(&resources, &asked)?;
    let text = match arguments.output {
        SnapshotOutput::Table => told.text(to.paint),
        SnapshotOutput::Json => json(&told)?,
        SnapshotOutput::Yaml => yaml(&told)?,
    };
    to.out.write_all(text.as_bytes())?;
    Ok(verdict(told.is_well()))
}

async fn agents(
    place: &Place,
    output: SnapshotOutput,
    to: &mut Terminal<'_>,
) -> Result<Verdict, Failure> {
    let mut server = Server::connect(&place.server).await?;
    let newest = server.version().await?;
    let agents = server.agents().await?;
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

async fn snapshot(
    place: &Place,
    command: &SnapshotCommand,
    to: &mut Terminal<'_>,
) -> Result<Verdict, Failure> {
    match command {
        SnapshotCommand::Get {
            prefix,
            gateway,
            output,
        } => {
            let mut server = Server::connect(&place.server).await?;
            let mut fetched = server.snapshot(prefix).await?;
            if let Some(gateway) = gateway {
                fetched = of_gateway(fetched, gateway);
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
                None => Snapshot::of(&Server::connect(&place.server).await?.snapshot("").await?),
            };
            let differences = diff(&before, &after);
            for difference in &differences {
                to.out.write_all(difference.text(to.paint).as_bytes())?;
            }
            Ok(if differences.is_empty() {
                Verdict::Well
            } else {
                Verdict::Wrong
            })
        }
        SnapshotCommand::Watch { interval } => {
            watch(place, Duration::from_millis(*interval), to).await
        }
    }
}

fn of_gateway(mut fetched: Fetched, gateway: &str) -> Fetched {
    let (namespace, name) = gateway.split_once('/').unwrap_or(("default", gateway));
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
    place: &Place,
    interval: Duration,
    to: &mut Terminal<'_>,
) -> Result<Verdict, Failure> {
    let mut server = Server::connect(&place.server).await?;
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

/// The report that `--run` has written, or the file that is named, or else the one that this version ships with.
fn conformance(
    arguments: &arguments::Conformance,
    to: &mut Terminal<'_>,
) -> Result<Verdict, Failure> {
    let mut file = arguments.report.clone();
    let mut passed = true;
    if arguments.run {
        let script = conformance::sources(&std::env::current_dir()?)?;
        let written = file.unwrap_or_else(|| PathBuf::from("conformance-report.yaml"));
        let modified = || fs::metadata(&written).and_then(|file| file.modified()).ok();
        let before = modified();
        passed = conformance::run_suite(&script, &written, &arguments.flags)?;
        if modified() == before {
            writeln!(to.remarks, "The suite has written no report.")?;
            return Ok(verdict(passed));
        }
        file = Some(written);
    }
    let found = match file {
        Some(file) => Conformance::read(&file)?,
        None => Conformance::shipped()?,
    };
    let text = match arguments.output {
        SnapshotOutput::Table => conformance::text(&found, to.paint),
        SnapshotOutput::Json => json(&conformance::document(&found))?,
        SnapshotOutput::Yaml => yaml(&conformance::document(&found))?,
    };
    to.out.write_all(text.as_bytes())?;
    Ok(verdict(passed && found.is_success()))
}

const fn verdict(passed: bool) -> Verdict {
    if passed {
        Verdict::Well
    } else {
        Verdict::Wrong
    }
}

fn gateway_api(
    place: &Place,
    command: &GatewayApiCommand,
    to: &mut Terminal<'_>,
) -> Result<Verdict, Failure> {
    let inventory = load(place)?;
    if let Some((kind, list)) = command.list() {
        return print_list(&inventory, kind, list, to);
    }
    let GatewayApiCommand::DescribeGateway { name, namespace } = command else {
        return Ok(Verdict::Well);
    };
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

fn print_list(
    inventory: &Inventory,
    kind: Kind,
    list: &List,
    to: &mut Terminal<'_>,
) -> Result<Verdict, Failure> {
    let everywhere = list.all_namespaces || kind.scope() == Scope::Cluster;
    let here: Vec<&Resource> = inventory
        .of_kind(kind)
        .filter(|resource| everywhere || resource.id.key.namespace == list.namespace)
        .collect();
    let mut verdict = Verdict::Well;
    for name in &list.names {
        if !here.iter().any(|resource| resource.id.key.name == *name) {
            writeln!(
                to.remarks,
                "{kind} {name} is not there; -A looks in all namespaces."
            )?;
            verdict = Verdict::Wrong;
        }
    }
    let wanted: Vec<&Resource> = here
        .into_iter()
        .filter(|resource| list.names.is_empty() || list.names.contains(&resource.id.key.name))
        .collect();
    let document = || listing::document(&wanted, list.names.len() == 1);
    let text = match list.output {
        Output::Json => json(&document())?,
        Output::Yaml => yaml(&document())?,
        Output::Table | Output::Wide if wanted.is_empty() => {
            if list.names.is_empty() {
                let namespace = (!everywhere).then_some(list.namespace.as_str());
                writeln!(to.remarks, "{}", listing::nothing(kind, namespace))?;
            }
            return Ok(verdict);
        }
        Output::Table => list_table(kind, &wanted, list, Width::Narrow, to.paint),
        Output::Wide => list_table(kind, &wanted, list, Width::Wide, to.paint),
    };
    to.out.write_all(text.as_bytes())?;
    Ok(verdict)
}

fn list_table(kind: Kind, wanted: &[&Resource], list: &List, width: Width, paint: Paint) -> String {
    let namespaces = if list.all_namespaces {
        Namespaces::All
    } else {
        Namespaces::One
    };
    listing::table(kind, wanted, namespaces, width, Timestamp::now()).render(0, paint)
}
