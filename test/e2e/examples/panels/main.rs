//! Plots every panel of the dashboards from a real run with a known load, and compares what the panels say with it:
//! `cargo run -p novaedge-e2e --example panels -- docs/panels`.
//!
//! It takes two and a half minutes, and writes `panels.md` beside the plots.

mod plot;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use novaedge_e2e::{
    clients::{Tcp, Udp, get},
    dashboards::{Dashboard, dashboards},
    scraped::Run,
};
use tokio::{task::JoinSet, time::Instant};

use plot::{Panel, page};

/// What rates are taken over.
const RATE: &str = "10s";
/// Seconds of each part.
const SECONDS: u32 = 40;
/// Seconds between two points.
const STEP: f64 = 1.0;
/// How far a panel may be from what was sent.
const TOLERANCE: f64 = 0.05;

/// Requests each second.
struct Part {
    good: u32,
    missed: u32,
    failed: u32,
}

const PARTS: [Part; 3] = [
    Part {
        good: 20,
        missed: 0,
        failed: 0,
    },
    Part {
        good: 50,
        missed: 6,
        failed: 4,
    },
    Part {
        good: 10,
        missed: 0,
        failed: 0,
    },
];

/// A row of the page: what a panel says at the end of a part.
struct Row {
    part: usize,
    panel: &'static str,
    sent: f64,
    says: f64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.context("the folder for the plots is missing: panels FOLDER")?;
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let dashboards = dashboards();
    let run = Run::start().await;
    let from = now();
    let mut rows = Vec::new();
    for (index, part) in PARTS.iter().enumerate() {
        say(&format!(
            "part {} of {}: {SECONDS} s",
            index + 1,
            PARTS.len()
        ));
        send(&run, part).await;
        rows.extend(compare(&run, &dashboards, index + 1, part).await?);
    }
    let window = (from, now());
    let mut names = Vec::new();
    for dashboard in &dashboards {
        let title = dashboard.json["title"].as_str().unwrap_or_default();
        let mut panels = Vec::new();
        for (panel, queries) in dashboard.queries_by_panel() {
            let unit = panel["fieldConfig"]["defaults"]["unit"].as_str();
            let mut curves = Vec::new();
            for query in queries {
                let query = query.replace("$__rate_interval", RATE);
                let found = run.prometheus.range(&query, window, STEP).await;
                curves.extend(found.map_err(anyhow::Error::msg)?);
            }
            curves.retain(|curve| !curve.points.is_empty());
            curves.sort_by(|a, b| b.most().total_cmp(&a.most()));
            panels.push(Panel {
                title: panel["title"].as_str().unwrap_or_default().to_owned(),
                unit: unit.unwrap_or_default().to_owned(),
                curves,
            });
        }
        let name = dashboard.name.replace(".json", ".svg");
        write(&folder.join(&name), &page(title, window, &panels))?;
        names.push((title.to_owned(), name));
    }
    run.stop().await;
    write(&folder.join("README.md"), &text(&rows, &names))?;
    let far = rows.iter().filter(|row| row.is_far()).count();
    anyhow::ensure!(
        far == 0,
        "{far} panels do not say what was sent: see the page"
    );
    Ok(())
}

#[allow(clippy::print_stderr)]
fn say(text: &str) {
    eprintln!("{text}");
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

/// Sends each second what a part says, evenly, whether or not answers are late.
async fn send(run: &Run, part: &Part) {
    let each = part.good + part.missed + part.failed;
    let mut tasks = JoinSet::new();
    let begin = Instant::now();
    for number in 0..each * SECONDS {
        let due = Duration::from_secs(1) * number / each;
        tokio::time::sleep_until(begin + due).await;
        let (http, tcp, udp) = (run.http, run.tcp, run.udp);
        let of_second = number % each;
        let path = match of_second {
            one if one < part.failed => "/down",
            one if one < part.failed + part.missed => "/none",
            _ => "/",
        };
        tasks.spawn(async move {
            get(http, "shop.example", path).await;
            if of_second == 0 {
                let mut stream = Tcp::connect(tcp).await?;
                stream.echo("x").await?;
                stream.finish().await?;
                Udp::connect(udp).await.ask("x").await;
            }
            Ok::<(), std::io::Error>(())
        });
        while tasks.try_join_next().is_some() {}
    }
    tasks.join_all().await;
}

/// What panels of the overview and of the routes say at the end of a part.
async fn compare(
    run: &Run,
    dashboards: &[Dashboard],
    number: usize,
    part: &Part,
) -> anyhow::Result<Vec<Row>> {
    let all = f64::from(part.good + part.missed + part.failed);
    let mut rows = Vec::new();
    for (panel, sent) in [
        ("Requests", all),
        ("Requests answered with 5xx", f64::from(part.failed) / all),
        ("Requests by rule", f64::from(part.good)),
        ("Requests that no route took", f64::from(part.missed)),
        ("Connections begun", 1.0),
    ] {
        let says = last(run, dashboards, panel).await?;
        rows.push(Row {
            part: number,
            panel,
            sent,
            says,
        });
    }
    Ok(rows)
}

/// The largest value that a panel shows now; nothing is 0.
async fn last(run: &Run, dashboards: &[Dashboard], panel: &str) -> anyhow::Result<f64> {
    for dashboard in dashboards {
        for (one, queries) in dashboard.queries_by_panel() {
            if one["title"] != panel {
                continue;
            }
            let query = queries.first().context("a panel has a query")?;
            let query = query.replace("$__rate_interval", RATE);
            let found = run.prometheus.query(&query).await;
            let found = found.map_err(anyhow::Error::msg)?;
            let values = found.iter().filter_map(|one| one["value"][1].as_str());
            let values = values.filter_map(|value| value.parse::<f64>().ok());
            return Ok(values.filter(|value| value.is_finite()).fold(0.0, f64::max));
        }
    }
    anyhow::bail!("no dashboard has a panel {panel}")
}

impl Row {
    fn is_far(&self) -> bool {
        (self.says - self.sent).abs() > TOLERANCE * self.sent
    }
}

fn text(rows: &[Row], names: &[(String, String)]) -> String {
    let mut text = format!(
        "# What the dashboards show\n\n\
         Every panel of the dashboards in `deploy/grafana`, plotted from what a Prometheus scraped of a real run in a folder.\n\
         It began with traffic of all kinds, once each; then for {SECONDS} s each:\n\n\
         | part | requests each second | answered 200 | 404 | 503 |\n| --- | --- | --- | --- | --- |\n"
    );
    for (index, part) in PARTS.iter().enumerate() {
        let Part {
            good,
            missed,
            failed,
        } = part;
        let all = good + missed + failed;
        let _ = writeln!(
            text,
            "| {} | {all} | {good} | {missed} | {failed} |",
            index + 1
        );
    }
    let _ = write!(
        text,
        "\nOnce each second there was a connection of TCP and a datagram of UDP, too.\n\
         Rates are those over {RATE}; at the end of each part the panels said:\n\n\
         | part | panel | sent | said |\n| --- | --- | --- | --- |\n"
    );
    for row in rows {
        let _ = writeln!(
            text,
            "| {} | {} | {:.2} | {:.2} |",
            row.part, row.panel, row.sent, row.says
        );
    }
    text.push_str(
        "\nThe program that makes this page fails where a panel is more than 5 % off; it needs the Debian package `prometheus`:\n\n\
         <!-- not run: it takes three minutes, and writes this page -->\n\
         ```sh\ncargo run -p novaedge-e2e --example panels -- docs/panels\n```\n",
    );
    for (title, name) in names {
        let _ = write!(text, "\n## {title}\n\n![{title}]({name})\n");
    }
    text
}
