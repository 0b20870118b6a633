//! The programs as they are shipped, as processes of their own.

use std::{
    env,
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::OnceLock,
};

use novaedge_ports::free_port;

use crate::{clients::eventually, system::System};

/// A running program. It is killed when it is dropped.
pub struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts `name` with `arguments`; what it logs goes to the file `log`.
    pub fn start<S: AsRef<std::ffi::OsStr>>(name: &str, arguments: &[S], log: &Path) -> Self {
        let output = File::create(log).expect("a log file");
        let child = Command::new(folder().join(name))
            .args(arguments)
            .env("NOVAEDGE_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        Self {
            child,
            log: log.to_owned(),
        }
    }

    /// Kills it as the kernel would.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is a child of this process");
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", "kill -TERM $0", &pid])
            .status();
        assert!(sent.expect("a shell").success(), "it runs");
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the end of a program", async || {
            child.try_wait().expect("it is a child of this process")
        })
        .await
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("the log file is there")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the programs are: where `NOVAEDGE_BIN` says, as `make test` does, or else beside the tests, and then they are
/// built first.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| env::var_os("NOVAEDGE_BIN").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    let test = env::current_exe().expect("a test is a file");
    let folder = test.ancestors().nth(2);
    let folder = folder.expect("cargo puts tests in PROFILE/deps");
    let target = folder.parent().expect("cargo puts profiles in a folder");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--bins"])
        .args(["-p", "novaedge-agent", "-p", "novaedge-control-plane"])
        .args(["-p", "novaedge", "-p", "novactl"])
        .args(folder.ends_with("release").then_some("--release"))
        .env("CARGO_TARGET_DIR", target)
        .status();
    let built = built.expect("cargo runs");
    assert!(built.success(), "the programs do not build");
    folder.to_owned()
}

/// A control plane on a folder, and an agent of it, each to be started and ended on its own.
pub struct Pair {
    home: tempfile::TempDir,
    grpc: u16,
    admin: u16,
}

impl Pair {
    /// Starts nothing yet.
    pub fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(home.path().join("manifests")).expect("the folder is writable");
        Self {
            home,
            grpc: free_port(),
            admin: free_port(),
        }
    }

    /// Writes a manifest.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.home.path().join("manifests").join(name);
        let temporary = path.with_extension("tmp");
        fs::write(&temporary, text).expect("the folder is writable");
        fs::rename(temporary, path).expect("the folder is writable");
    }

    /// Where the agent keeps its last good snapshot.
    pub fn agent_state(&self) -> PathBuf {
        self.home.path().join("agent")
    }

    /// Starts the control plane.
    pub fn control_plane(&self) -> Program {
        let (manifests, state) = (self.path("manifests"), self.path("control-plane"));
        let grpc = self.grpc().to_string();
        let arguments = [
            "serve",
            "--watch",
            "--folder",
            &manifests,
            "--state-dir",
            &state,
            "--grpc",
            &grpc,
        ];
        Program::start(
            "novaedge-control-plane",
            &arguments,
            &self.home.path().join("control-plane.log"),
        )
    }

    /// Starts the agent.
    pub fn agent(&self) -> Program {
        let control_plane = format!("http://{}", self.grpc());
        let (state, admin) = (self.path("agent"), self.admin().to_string());
        let arguments = [
            "--control-plane",
            &control_plane,
            "--node-id",
            "agent-1",
            "--state-dir",
            &state,
            "--admin",
            &admin,
            "--workers",
            "2",
            "--drain-timeout",
            "3",
        ];
        Program::start(
            "novaedge-agent",
            &arguments,
            &self.home.path().join("agent.log"),
        )
    }

    /// Where the control plane listens.
    pub fn grpc(&self) -> SocketAddr {
        System::local(self.grpc)
    }

    /// Where the agent answers about itself.
    pub fn admin(&self) -> SocketAddr {
        System::local(self.admin)
    }

    fn path(&self, name: &str) -> String {
        let path = self.home.path().join(name);
        path.to_str()
            .expect("temporary folders have plain names")
            .to_owned()
    }
}

impl Default for Pair {
    fn default() -> Self {
        Self::new()
    }
}
