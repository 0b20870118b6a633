//! Broken objects harm only themselves, are named with a fix, and heal when they are mended.

use std::{net::TcpListener, path::Path, sync::Arc, time::Duration};

use novaedge_control_plane::pipeline::Findings;
use novaedge_e2e::{
    certificates::Ca,
    clients::{Http1, Outcome, Probe, Tcp, eventually},
    fixture::{Fixture, HOST, base, is_anything_wrong, values},
    origins::{self, Origin},
    system::System,
};
use rustls::ClientConfig;
use tokio::sync::watch;

/// Systems that share the fixtures.
const SYSTEMS: usize = 3;
/// Longest that a fixture waits for anything.
const PATIENCE: Duration = Duration::from_secs(5);
const OK: Outcome = Outcome::Status(200);

/// A system with traffic that no fixture may disturb.
struct Bed {
    system: System,
    findings: watch::Receiver<Findings>,
    /// Findings of the base alone.
    quiet: Findings,
    tls: Arc<ClientConfig>,
    fresh: [Probe; 3],
    /// Connections that were open before all fixtures.
    http: Http1,
    https: Http1,
    flow: Tcp,
    _origins: [Origin; 4],
    _taken: TcpListener,
}

impl Bed {
    /// A system, and the fixtures filled in for it.
    async fn start() -> (Self, Vec<Fixture>) {
        let ca = Ca::new();
        let taken = TcpListener::bind(("0.0.0.0", 0)).expect("a free port");
        let taken_port = taken.local_addr().expect("a bound socket has an address");
        let values = values(&ca, taken_port.port());
        let port = |name| System::local(values[name].parse().expect("a port"));
        let secure = ca.issue(&["secure.example.com"]).server(&[]);
        let origins = [
            origins::http("a").await,
            origins::http("b").await,
            origins::tcp("t").await,
            origins::http_tls("secure", secure).await,
        ];
        let base = base(&values, origins.each_ref().map(|origin| origin.address));
        // Its name comes first, so that its objects stay in force when a fixture repeats one.
        let system = System::start(&[("0-base.yaml", &base)]).await;

        let tls = ca.client(&[]);
        let https = eventually("the base", async || {
            Http1::try_connect_tls(port("HTTPS"), HOST, tls.clone())
                .await
                .ok()
        });
        let mut bed = Self {
            findings: system.findings(),
            quiet: Findings::default(),
            fresh: [
                Probe::Http {
                    address: port("HTTP"),
                    host: HOST.to_owned(),
                    path: "/".to_owned(),
                },
                Probe::Https {
                    address: port("HTTPS"),
                    host: HOST.to_owned(),
                    path: "/".to_owned(),
                },
                Probe::Tcp(port("FLOW")),
            ],
            https: https.await,
            http: Http1::connect(port("HTTP")).await,
            flow: Tcp::connect(port("FLOW")).await.expect("a TCP flow"),
            tls,
            system,
            _origins: origins,
            _taken: taken,
        };
        let programmed = bed
            .find(|findings| findings.statuses.len() == 4 && !is_anything_wrong(findings))
            .await;
        bed.quiet = programmed.unwrap_or_else(|findings| panic!("{findings:?}"));
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("broken");
        (bed, Fixture::all(&folder, &values))
    }

    /// The findings as soon as they are `right`; what they are at last otherwise.
    async fn find(&mut self, right: impl Fn(&Findings) -> bool) -> Result<Findings, Findings> {
        let found = self.findings.wait_for(right);
        if let Ok(found) = tokio::time::timeout(PATIENCE, found).await {
            return Ok(found.expect("the system runs").clone());
        }
        Err(self.findings.borrow().clone())
    }

    /// The outcome of `probe` as soon as it is one of `right`; the last one otherwise.
    async fn probe(&self, probe: &Probe, right: &[Outcome]) -> Result<(), Outcome> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let outcome = probe.once(&self.tls).await;
            if right.contains(&outcome) {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                return Err(outcome);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What is wrong with the base's traffic, over new connections and over those from before.
    async fn harm(&mut self) -> Vec<String> {
        let mut harm = Vec::new();
        for probe in &self.fresh {
            let outcome = probe.once(&self.tls).await;
            if outcome != OK {
                harm.push(format!("{probe:?} gave {outcome}"));
            }
        }
        for (what, client) in [("HTTP", &mut self.http), ("HTTPS", &mut self.https)] {
            match client.get(HOST, "/").await {
                Ok(answer) if answer.origin() == "a" => {}
                other => harm.push(format!("an open {what} connection gave {other:?}")),
            }
        }
        if let Err(error) = self.flow.echo("still here").await {
            harm.push(format!("an open TCP flow gave {error}"));
        }
        harm
    }

    /// Breaks, mends and removes what `fixture` says; all that went otherwise than it should.
    async fn run(&mut self, fixture: &Fixture) -> Vec<String> {
        let mut wrong = Vec::new();
        self.system.write(&fixture.name, &fixture.broken);
        for expectation in &fixture.expect {
            let met = |findings: &Findings| expectation.is_met(&fixture.name, findings);
            if let Err(findings) = self.find(met).await {
                wrong.push(format!(
                    "nobody says: {expectation}\n{}",
                    told(&findings, &self.quiet)
                ));
            }
        }
        for probe in &fixture.probes {
            if let Err(outcome) = self.probe(probe, &fixture.outcomes).await {
                wrong.push(format!("broken, it gives {outcome}"));
            }
        }
        wrong.extend(
            self.harm()
                .await
                .into_iter()
                .map(|harm| format!("broken: {harm}")),
        );
        for probe in &fixture.probes {
            let outcome = probe.once(&self.tls).await;
            if !fixture.outcomes.contains(&outcome) {
                wrong.push(format!("broken, it later gives {outcome}"));
            }
        }

        self.system.write(&fixture.name, &fixture.mended);
        for probe in &fixture.probes {
            if let Err(outcome) = self.probe(probe, &[OK]).await {
                wrong.push(format!("mended, it gives {outcome}"));
            }
        }
        let quiet = self.quiet.problems.clone();
        if let Err(findings) = self.find(|findings| findings.problems == quiet).await {
            wrong.push(format!("mended, yet\n{}", told(&findings, &self.quiet)));
        }
        wrong.extend(
            self.harm()
                .await
                .into_iter()
                .map(|harm| format!("mended: {harm}")),
        );

        self.system.remove(&fixture.name);
        let quiet = self.quiet.statuses.clone();
        if let Err(findings) = self.find(|findings| findings.statuses == quiet).await {
            wrong.push(format!("removed, yet\n{}", told(&findings, &self.quiet)));
        }
        wrong
    }
}

/// What `findings` say beyond `quiet`, for people.
fn told(findings: &Findings, quiet: &Findings) -> String {
    let problems = findings
        .problems
        .iter()
        .filter(|problem| !quiet.problems.contains(problem));
    let mut lines: Vec<String> = problems
        .map(|problem| format!("      {problem}\n"))
        .collect();
    let statuses = findings.statuses.iter();
    let statuses = statuses.filter(|(id, status)| quiet.statuses.get(id) != Some(status));
    lines.extend(statuses.map(|(id, status)| {
        format!(
            "      {id}: {}\n",
            novaedge_control_plane::status::to_value(status)
        )
    }));
    lines.concat()
}

/// Runs each `SYSTEMS`th fixture, from `share` on: names, and what was wrong.
async fn run_share(share: usize, only: Option<&str>) -> Vec<(String, Vec<String>)> {
    let (mut bed, fixtures) = Bed::start().await;
    let mut table = Vec::new();
    for fixture in fixtures.iter().skip(share).step_by(SYSTEMS) {
        if only.is_none_or(|only| fixture.name.contains(only)) {
            table.push((fixture.name.clone(), bed.run(fixture).await));
        }
    }
    bed.system.stop().await;
    table
}

/// All fixtures, or those whose name contains what the variable FIXTURE says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_objects_harm_only_themselves_are_named_and_heal() {
    let only = std::env::var("FIXTURE").ok();
    let shares = (0..SYSTEMS).map(|share| run_share(share, only.as_deref()));
    let table = futures_util::future::join_all(shares).await.concat();
    let failed: Vec<_> = table
        .iter()
        .filter(|(_, wrong)| !wrong.is_empty())
        .collect();
    let report = failed
        .iter()
        .map(|(name, wrong)| format!("{name}\n    {}", wrong.join("\n    ")));
    let report = report.collect::<Vec<_>>().join("\n");
    let count = format!(
        "{} broken objects ran, {} failed",
        table.len(),
        failed.len()
    );
    assert!(failed.is_empty(), "{count}\n{report}");
    assert!(only.is_some() || table.len() >= 60, "{count}: too few");
    // Shown with --nocapture, and in the report of a failure.
    #[allow(clippy::print_stdout)]
    {
        println!("{count}");
    }
}
