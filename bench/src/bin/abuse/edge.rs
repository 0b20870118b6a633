//! The edge under abuse: origin, control plane and agent, all fresh.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail};
use novaedge_bench::{
    folders::{binary, word},
    process::Process,
    traffic::{Client, free_address},
    world::{self, Backends, Route, Spread},
};
use tempfile::TempDir;

use crate::schedule::{Schedule, Who};

/// What runs.
pub struct Edge {
    /// The agent.
    pub agent: Process,
    /// Its cleartext listener, for HTTP/1.1 and HTTP/2.
    pub http: SocketAddr,
    /// Its HTTPS listener.
    pub https: SocketAddr,
    _control_plane: Process,
    _origins: [Process; 2],
    /// For logs and manifests.
    pub folder: TempDir,
}

/// The host that honest clients ask for.
pub fn host() -> String {
    route(0).host()
}

/// The host that the attacker asks for. It has an origin of its own, so that honest clients feel the agent alone.
pub fn attacked_host() -> String {
    route(1).host()
}

fn route(index: usize) -> Route {
    Route::new(index, Spread::Hosts, Backends::Own)
}

impl Edge {
    /// Starts all, and waits until the agent serves.
    pub fn start(binaries: &Path, schedule: Schedule) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("a temporary folder")?;
        let start = |name: &str, who: Who, program: &Path, arguments: &[&str]| {
            let command = schedule.command(who, program, arguments)?;
            let (program, arguments) = command.split_first().context("a program")?;
            let log = folder.path().join(format!("{name}.log"));
            Process::start(name, Schedule::cores(who), program, arguments, &log)
        };
        let (http, https) = (free_address()?, free_address()?);
        let (grpc, admin) = (free_address()?, free_address()?);
        let origins = [free_address()?, free_address()?];
        let serve = |name: &str, who: Who, listen: SocketAddr| {
            let arguments = ["origin", "--listen", &listen.to_string()];
            let mut origin = start(name, who, &std::env::current_exe()?, &arguments)?;
            origin.wait_for(listen).map(|()| origin)
        };
        let [honest, attacked] = origins;
        let serving = [
            serve("origin", Who::Other, honest)?,
            serve("attacked-origin", Who::Attacker, attacked)?,
        ];
        let manifests = manifests(folder.path(), http, https, origins)?;
        let (manifests, state) = (word(&manifests)?, word(folder.path())?);
        let (grpc_text, admin) = (grpc.to_string(), admin.to_string());
        let mut arguments = vec!["serve", "--folder", &manifests];
        arguments.extend(["--grpc", &grpc_text, "--state-dir", &state]);
        let program = binary(binaries, "novaedge-control-plane")?;
        let mut control_plane = start("control-plane", Who::Other, program.as_ref(), &arguments)?;
        control_plane.wait_for(grpc)?;
        let url = format!("http://{grpc}");
        // One worker: every abuse meets the honest clients there.
        let mut arguments = vec!["--control-plane", &url, "--node-id", "abuse"];
        arguments.extend(["--workers", "1", "--admin", &admin, "--drain-timeout", "0"]);
        let program = binary(binaries, "novaedge-agent")?;
        let mut agent = start("agent", Who::Agent, program.as_ref(), &arguments)?;
        agent.wait_for(http)?;
        let edge = Self {
            agent,
            http,
            https,
            _control_plane: control_plane,
            _origins: serving,
            folder,
        };
        edge.settle()?;
        Ok(edge)
    }

    /// Whether a new client is served.
    pub fn serves(&self) -> bool {
        let answer = Client::connect(self.http).and_then(|mut client| client.get(&host(), "/"));
        answer.is_ok_and(|answer| answer.status == 200)
    }

    fn settle(&self) -> anyhow::Result<()> {
        for _ in 0..1_000 {
            if self.serves() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        bail!("{} never answered with 200", self.http)
    }
}

/// One Gateway with a cleartext and an HTTPS listener, and two routes.
fn manifests(
    folder: &Path,
    http: SocketAddr,
    https: SocketAddr,
    origins: [SocketAddr; 2],
) -> anyhow::Result<PathBuf> {
    let identity = rcgen::generate_simple_self_signed(vec!["*.example.com".to_owned()])?;
    let (certificate, key) = (identity.cert.pem(), identity.signing_key.serialize_pem());
    let mut parts = vec![
        world::gateway(http.port(), https.port()),
        world::secret(&certificate, &key),
    ];
    for (index, origin) in origins.into_iter().enumerate() {
        parts.push(world::service(index));
        parts.push(world::endpoints(index, origin));
        parts.push(route(index).yaml());
    }
    let manifests = folder.join("manifests");
    fs::create_dir_all(&manifests)?;
    fs::write(manifests.join("all.yaml"), parts.join("---\n"))?;
    Ok(manifests)
}
