//! Gathers what goes into a bundle.

mod cluster;

use std::{
    fs::OpenOptions,
    io::{self, BufWriter, ErrorKind},
    path::{Path, PathBuf},
};

use k8s_openapi::jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use super::{Failure, Looking, Progress, Terminal, Verdict, verdict};
use crate::{
    agents,
    bundle::{Archive, BundleError},
    findings::{Fleet, report},
    object::{Inventory, Resource},
    place::Chosen,
    server::{self, Server},
    snapshot::Snapshot,
    source::{Share, Source, Wanted},
    table::Paint,
};

/// Bundles are written to files.
type File = Archive<BufWriter<std::fs::File>>;

const ABOUT: &str = "What NovaEdge was doing, for a bug report: made by 'novactl bundle'.\n\
    Left out: private keys, Secrets, tokens, and values of headers and variables that carry credentials.\n\
    Hostnames, addresses, paths and names of objects are in it: look before you publish it.";

/// Gathers, part by part. What cannot be had is told, and the rest goes in.
pub(super) async fn bundle(
    looking: &Looking<'_>,
    output: Option<&Path>,
    to: &mut Terminal<'_>,
) -> Result<Verdict, Failure> {
    let now = Timestamp::now();
    let name = format!(
        "novaedge-bundle-{}",
        now.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ")
    );
    // Whether there is a place to look at is told before a file is made.
    let chosen = looking.chosen()?;
    let source = looking.source().await;
    let source = match (source, &chosen) {
        (Err(error), Chosen::Cluster(_)) => return Err(error),
        // With neither objects nor a control plane there is nothing to tell.
        (Err(error), _) if looking.servers(to).await.is_err() => return Err(error),
        (source, _) => source,
    };
    let path = output.map_or_else(
        || PathBuf::from(format!("{name}.tar.gz")),
        Path::to_path_buf,
    );
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::AlreadyExists => BundleError::Exists { file: path.clone() },
        _ => BundleError::Write {
            file: path.clone(),
            source: error,
        },
    };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    // Names and addresses in it are not for everybody on this host.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path);
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    let archive = Archive::new(BufWriter::new(file.map_err(failed)?), &name, seconds);
    let mut gathering = Gathering { archive, to };
    let gathered = gathering.all(looking, &chosen, source).await;
    let archive = gathering.archive;
    let whole = archive.remarks().is_empty();
    let remarks = archive.remarks().to_vec();
    let finished = match gathered {
        Ok(()) => archive
            .finish(ABOUT)
            .and_then(|mut file| io::Write::flush(&mut file)),
        Err(error) => Err(error),
    };
    if let Err(error) = finished {
        // A bundle that is not whole is of no use; that it stays behind would be told by its size.
        let _ = std::fs::remove_file(&path);
        return Err(failed(error).into());
    }
    for remark in &remarks {
        writeln!(to.remarks, "{remark}")?;
    }
    writeln!(to.out, "{}", path.display())?;
    Ok(verdict(whole))
}

/// A bundle in the making.
struct Gathering<'a, 'b> {
    archive: File,
    to: &'a mut Terminal<'b>,
}

impl Gathering<'_, '_> {
    async fn all(
        &mut self,
        looking: &Looking<'_>,
        chosen: &Chosen,
        source: Result<Source, Failure>,
    ) -> io::Result<()> {
        let mut place = match chosen {
            Chosen::Standalone(place) => json!({"server": place.server}),
            Chosen::Cluster(_) => Value::Null,
        };
        self.begin("control plane");
        let fleet = self.control_plane(looking).await?;
        self.begin("objects and statuses");
        match source {
            Ok(source) => {
                self.objects(&source, fleet).await?;
                if let Source::Cluster(source) = &source {
                    let cluster = source.cluster();
                    place = json!({"context": cluster.context, "system": cluster.system});
                    self.cluster(cluster).await?;
                }
            }
            Err(error) => self.missing("Objects and statuses", &error),
        }
        let versions = json!({"novactl": env!("CARGO_PKG_VERSION"), "place": place});
        self.archive.value("novactl.yaml", versions)
    }

    /// Says what comes next.
    fn begin(&mut self, what: &str) {
        if self.to.progress == Progress::Shown {
            // Who does not read the progress misses nothing.
            let _ = writeln!(self.to.remarks, "{what} ...");
        }
    }

    /// Says that a part is missing, and why.
    fn missing(&mut self, part: &str, error: &dyn std::error::Error) {
        self.archive.remark(format!("{part}: {error}"));
    }

    /// The snapshot and the agents.
    async fn control_plane(&mut self, looking: &Looking<'_>) -> io::Result<Fleet> {
        let mut servers = match looking.servers(self.to).await {
            Ok(servers) => servers,
            Err(error) => {
                self.missing("Snapshot and agents", &error);
                return Ok(Fleet::Unknown(error.to_string()));
            }
        };
        self.snapshot(&mut servers).await?;
        match server::fleet(&mut servers).await {
            Ok((newest, agents)) => {
                let now = Timestamp::now();
                let table = agents::text(&agents, newest.as_ref(), now, Paint::Plain);
                self.archive.text("agents.txt", &table)?;
                let document = agents::document(&agents, newest.as_ref());
                self.archive.value("agents.yaml", document)?;
                Ok(Fleet::Known { newest, agents })
            }
            Err(error) => {
                self.missing("Agents", &error);
                Ok(Fleet::Unknown(error.to_string()))
            }
        }
    }

    /// Of the first control plane that gives it: all have the same.
    async fn snapshot(&mut self, servers: &mut [Server]) -> io::Result<()> {
        for server in servers {
            match server.snapshot("").await {
                Ok(fetched) => {
                    let snapshot = Snapshot::of(&fetched);
                    return self.archive.value("snapshot.yaml", snapshot.document());
                }
                Err(error) => self.missing("Snapshot", &error),
            }
        }
        Ok(())
    }

    /// Objects with their statuses, what is wrong with them, and the summary of `novactl status`.
    async fn objects(&mut self, source: &Source, fleet: Fleet) -> io::Result<()> {
        let inventory = match source.load(&Wanted::everything(Share::Ours)).await {
            Ok(inventory) => inventory,
            Err(error) => {
                self.missing("Objects and statuses", &error);
                return Ok(());
            }
        };
        for remark in &inventory.remarks {
            self.archive.remark(remark.clone());
        }
        self.lists(&inventory)?;
        let problems = json!({"problems": inventory.problems, "omitted": inventory.omitted});
        self.archive.value("diagnostics.yaml", problems)?;
        let report = report(&inventory, fleet);
        self.archive
            .text("status.txt", &report.text(Paint::Plain))?;
        self.archive.value("status.yaml", report.document())
    }

    /// A file for each kind.
    fn lists(&mut self, inventory: &Inventory) -> io::Result<()> {
        let mut kinds: Vec<_> = inventory.resources.keys().map(|id| id.kind).collect();
        kinds.dedup();
        for kind in kinds {
            let of_kind: Vec<&Resource> = inventory.of_kind(kind).collect();
            let list = crate::listing::document(&of_kind, false);
            self.archive.value(&format!("objects/{kind}.yaml"), list)?;
        }
        Ok(())
    }

    /// Adds a list of values, as kubectl prints it.
    fn list(&mut self, name: &str, items: &[Value]) -> io::Result<()> {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        self.archive.value(name, list)
    }
}
