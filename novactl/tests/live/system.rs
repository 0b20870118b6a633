//! A running `novaedge`, and `novactl` pointed at it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use novaedge_ports::free_port;
use tempfile::TempDir;

use super::{
    process::{Answer, answer, novactl},
    quickstart,
};

/// How long a system may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);
/// The ports of the quickstart's Gateway.
pub const QUICKSTART_PORTS: [u16; 4] = [8080, 8443, 9000, 9053];

/// A running system on a folder of its own. It ends when this is dropped.
pub struct System {
    folder: TempDir,
    process: Child,
    server: String,
    /// The port that stands for each of [`QUICKSTART_PORTS`].
    pub ports: [u16; 4],
}

impl System {
    /// Starts a system on the quickstart's manifests, at free ports and without backends.
    pub fn quickstart() -> Self {
        let ports = [(); 4].map(|()| free_port());
        let mut files = quickstart::manifests();
        for (name, text) in &mut files {
            if name == "gateway.yaml" {
                for (old, new) in QUICKSTART_PORTS.iter().zip(ports) {
                    *text = text.replace(&format!("port: {old}"), &format!("port: {new}"));
                }
            }
        }
        let mut system = Self::on(&files);
        system.ports = ports;
        system.until(&["status"], |answer| answer.code == 0);
        system
    }

    /// Starts a system on these files: name and text.
    pub fn on(files: &[(String, String)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("the folder is writable");
        }
        let server = format!("127.0.0.1:{}", free_port());
        let process = Command::new(novaedge())
            .arg("run")
            .arg(folder.path())
            .args(["--watch", "--workers", "1", "--log", "error"])
            .args(["--grpc", &server])
            .args(["--admin", &format!("127.0.0.1:{}", free_port())])
            .stdin(Stdio::null())
            .spawn()
            .expect("novaedge starts");
        let system = Self {
            folder,
            process,
            server,
            ports: QUICKSTART_PORTS,
        };
        system.until(&["agents"], |answer| answer.out.contains("ACK"));
        system
    }

    /// The folder of manifests.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a manifest as editors do: beside it first, then renamed.
    pub fn write(&self, name: &str, text: &str) {
        let temporary = self.path().join(format!(".{name}.tmp"));
        fs::write(&temporary, text).expect("the folder is writable");
        fs::rename(temporary, self.path().join(name)).expect("the folder is writable");
    }

    /// Edits a manifest.
    pub fn edit(&self, name: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.path().join(name)).expect("a manifest");
        assert!(text.contains(old), "{name} has no {old}");
        self.write(name, &text.replace(old, new));
    }

    /// novactl in the folder, pointed at the system by its environment.
    pub fn command(&self, line: &[&str]) -> Command {
        let mut command = novactl(line);
        command
            .current_dir(self.path())
            .env("NOVACTL_SERVER", format!("http://{}", self.server));
        command
    }

    /// Runs a command line in the folder.
    pub fn run(&self, line: &[&str]) -> Answer {
        answer(self.command(line).output())
    }

    /// Runs a command line that has to succeed, and gives its output.
    pub fn ok(&self, line: &[&str]) -> String {
        let answer = self.run(line);
        assert_eq!(answer.code, 0, "{line:?}: {answer:?}");
        assert!(!answer.out.contains('\u{1b}'), "{line:?}: {answer:?}");
        answer.out
    }

    /// Runs a command line again and again until its answer is as wished.
    pub fn until(&self, line: &[&str], wished: impl Fn(&Answer) -> bool) -> Answer {
        let start = Instant::now();
        loop {
            let answer = self.run(line);
            if wished(&answer) {
                return answer;
            }
            assert!(start.elapsed() < PATIENCE, "{line:?}: {answer:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for System {
    fn drop(&mut self) {
        // By its own process id, and whatever the test came to.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The program `novaedge`, which is an example of this package as well.
pub fn novaedge() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_novactl"));
    let folder = program.parent().expect("a program is in a folder");
    let program = folder.join("examples/novaedge");
    assert!(
        program.exists(),
        "{} is missing: it is built by cargo test -p novactl without --test",
        program.display()
    );
    program
}
