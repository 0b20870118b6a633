//! From a saved file to the first answer that obeys it, over HTTP, under `novaedge run --watch`.
//!
//! A route adds its version to answers; an edit raises the version, and a client asks without pause
//! until it sees it. Every answer must be of the old version or of the new one.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Parser;
use novaedge_bench::{
    plot::{Series, bars},
    process::{Process, all_cores},
    report::{Report, Table},
    timing::Distribution,
    traffic::{Client, free_address, origin},
    world::{self, Backends, Route, Spread, VERSION_HEADER},
};

/// Files that the routes are spread over.
const FILES: usize = 1_000;
/// The longest wait for an edit, and for the start.
const PATIENCE: Duration = Duration::from_mins(1);

/// Measures from a saved file to the first new answer.
#[derive(Parser)]
struct Args {
    /// Folder for the report and the plot.
    #[arg(long, default_value = "docs/benchmarks")]
    out: PathBuf,
    /// The `novaedge` binary to measure (release build).
    #[arg(long, default_value = "target/release/novaedge")]
    novaedge: PathBuf,
    /// Edits per row; the row of 10,000 routes has a quarter of them.
    #[arg(long, default_value_t = 300)]
    edits: usize,
}

/// How a file is saved.
#[derive(Clone, Copy)]
enum Save {
    /// Written elsewhere and renamed over the old one, as editors do.
    Rename,
    /// Written over the old one.
    InPlace,
}

/// A row of the report.
struct Row {
    name: &'static str,
    routes: usize,
    save: Save,
    edits: usize,
}

/// What a row came to.
struct Outcome {
    /// Milliseconds of each edit.
    times: Vec<f64>,
    ready: Duration,
    answers: u64,
    wrong: u64,
}

/// A folder of manifests, and the process that serves it.
struct System {
    folder: tempfile::TempDir,
    http: SocketAddr,
    versions: Vec<u64>,
    _process: Process,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let few = (args.edits / 4).max(1);
    let rows = [
        row("1,000 routes, renamed", 1_000, Save::Rename, args.edits),
        row("1,000 routes, in place", 1_000, Save::InPlace, args.edits),
        row("10,000 routes, renamed", 10_000, Save::Rename, few),
    ];
    let mut outcomes = Vec::new();
    for row in &rows {
        outcomes.push(measure(row, &args.novaedge).context(row.name)?);
    }
    publish(&args.out, &rows, &outcomes)
}

fn row(name: &'static str, routes: usize, save: Save, edits: usize) -> Row {
    Row {
        name,
        routes,
        save,
        edits,
    }
}

fn measure(row: &Row, novaedge: &Path) -> anyhow::Result<Outcome> {
    let start = Instant::now();
    let mut system = System::start(row.routes, novaedge)?;
    let mut client = system.ready()?;
    let mut outcome = Outcome {
        times: Vec::new(),
        ready: start.elapsed(),
        answers: 0,
        wrong: 0,
    };
    for edit in 0..row.edits {
        // Edits come at no fixed beat, so that none of the system's timers is hit on purpose.
        thread::sleep(Duration::from_millis(20 + edit as u64 * 7 % 41));
        let route = edit * 7919 % row.routes;
        system.edit(route, row.save, &mut client, &mut outcome)?;
    }
    Ok(outcome)
}

impl System {
    /// Writes the folder and starts the process.
    fn start(routes: usize, novaedge: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("a temporary folder")?;
        let (http, https) = (free_address()?, free_address()?);
        let manifests = folder.path().join("manifests");
        fs::create_dir_all(&manifests)?;
        let backend = [world::service(0), world::endpoints(0, origin()?)];
        let system = world::gateway(http.port(), https.port()) + "---\n" + &backend.join("---\n");
        fs::write(manifests.join("system.yaml"), system)?;
        let versions = vec![1; routes];
        for file in 0..FILES.min(routes) {
            fs::write(manifests.join(file_name(file)), content(&versions, file))?;
        }
        let process = spawn(novaedge, folder.path(), &manifests)?;
        Ok(Self {
            folder,
            http,
            versions,
            _process: process,
        })
    }

    /// Waits until the last route answers.
    fn ready(&self) -> anyhow::Result<Client> {
        let deadline = Instant::now() + PATIENCE;
        let host = host(self.versions.len() - 1);
        while Instant::now() < deadline {
            if let Ok(mut client) = Client::connect(self.http)
                && client
                    .get(&host, "/")
                    .is_ok_and(|answer| answer.status == 200)
            {
                return Ok(client);
            }
            thread::sleep(Duration::from_millis(10));
        }
        bail!("{} never answered: {}", self.http, self.log())
    }

    /// Saves a new version of a route and asks until it answers.
    fn edit(
        &mut self,
        route: usize,
        save: Save,
        client: &mut Client,
        outcome: &mut Outcome,
    ) -> anyhow::Result<()> {
        let version = self.versions.get_mut(route).context("no such route")?;
        let old = version.to_string();
        *version += 1;
        let new = version.to_string();
        let file = route % FILES;
        let text = content(&self.versions, file);
        let start = Instant::now();
        self.save(&file_name(file), &text, save)?;
        loop {
            let answer = client.get(&host(route), "/")?;
            outcome.answers += 1;
            let found = answer.header(VERSION_HEADER);
            if answer.status == 200 && found == Some(&new) {
                break;
            }
            if answer.status != 200 || found != Some(&old) {
                outcome.wrong += 1;
            }
            if start.elapsed() > PATIENCE {
                bail!("an edit was never served: {}", self.log());
            }
            // Leaves the processor to the system between two questions.
            thread::sleep(Duration::from_micros(100));
        }
        outcome.times.push(start.elapsed().as_secs_f64() * 1e3);
        Ok(())
    }

    fn save(&self, name: &str, text: &str, save: Save) -> anyhow::Result<()> {
        let path = self.folder.path().join("manifests").join(name);
        match save {
            Save::InPlace => fs::write(path, text)?,
            Save::Rename => {
                let temporary = self.folder.path().join("saved");
                fs::write(&temporary, text)?;
                fs::rename(temporary, path)?;
            }
        }
        Ok(())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

fn spawn(novaedge: &Path, folder: &Path, manifests: &Path) -> anyhow::Result<Process> {
    let state = folder.join("state");
    let (grpc, admin) = (free_address()?, free_address()?);
    let arguments = [
        "run",
        text(manifests)?,
        "--watch",
        "--state-dir",
        text(&state)?,
        "--grpc",
        &grpc.to_string(),
        "--admin",
        &admin.to_string(),
        "--drain-timeout",
        "0",
    ];
    let log = folder.join("log");
    Process::start("novaedge", &all_cores(), text(novaedge)?, &arguments, &log)
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a UTF-8 path")
}

fn host(route: usize) -> String {
    Route::new(route, Spread::Hosts, Backends::Shared).host()
}

fn file_name(file: usize) -> String {
    format!("routes-{file:04}.yaml")
}

/// The routes of a file.
fn content(versions: &[u64], file: usize) -> String {
    let routes = versions.iter().enumerate().skip(file).step_by(FILES);
    let yaml = routes.map(|(index, version)| {
        let route = Route {
            version: *version,
            ..Route::new(index, Spread::Hosts, Backends::Shared)
        };
        route.yaml()
    });
    yaml.collect::<Vec<_>>().join("---\n")
}

fn publish(out: &Path, rows: &[Row], outcomes: &[Outcome]) -> anyhow::Result<()> {
    let spread: Vec<Distribution> = outcomes
        .iter()
        .map(|outcome| Distribution::of(&outcome.times))
        .collect();
    let finding = format!(
        "A saved file is obeyed after {:.1} ms at the 99th percentile among 1,000 routes (aim: at most 30 ms).",
        spread.first().map_or(f64::NAN, |spread| spread.p99)
    );
    let mut report = Report::new(
        out,
        "propagation",
        "File change to first new answer",
        &finding,
    );
    report.paragraph(
        "One process (`novaedge run --watch`) with its defaults; the client asks over one connection until the answer is new.\n\
         The time runs from before the file is written to the end of the first new answer.\n\
         Wrong answers are those that are neither the old nor the new one.",
    );
    let mut table = Table::new([
        "case",
        "edits",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "max ms",
        "ready after s",
        "answers",
        "wrong",
    ]);
    for ((row, outcome), spread) in rows.iter().zip(outcomes).zip(&spread) {
        let mut cells = vec![row.name.to_owned(), outcome.times.len().to_string()];
        cells.extend(spread.figures().map(|figure| format!("{figure:.1}")));
        cells.push(format!("{:.2}", outcome.ready.as_secs_f64()));
        cells.extend([outcome.answers, outcome.wrong].map(|count| count.to_string()));
        table.row(cells);
    }
    report.table(&table);
    let labels = ["p50", "p90", "p99", "max"].map(str::to_owned);
    let series: Vec<Series> = rows
        .iter()
        .zip(&spread)
        .map(|(row, spread)| Series {
            name: row.name.to_owned(),
            values: spread.figures().to_vec(),
        })
        .collect();
    let title = "File change to first new answer";
    report.plot("", title, &bars(title, "ms", &labels, &series))?;
    report.data("", &table)?;
    report.finish()
}
