//! A whole system in this process, on a folder of its own.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use novaedge::{Config, Standalone, Telemetry};
use novaedge_control_plane::{folder::Watch, pipeline::Findings};
use tempfile::TempDir;
use tokio::sync::watch;

/// A running system.
pub struct System {
    folder: TempDir,
    state: TempDir,
    standalone: Standalone,
}

impl System {
    /// Starts a system on these files: name and text.
    pub async fn start(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let state = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("the folder is writable");
        }
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let standalone = Standalone::start(Config {
            folder: folder.path().to_path_buf(),
            watch: Watch::Yes,
            grpc: any,
            admin: any,
            state_dir: state.path().to_path_buf(),
            workers: Some(2),
            telemetry: Telemetry::default(),
        })
        .await
        .expect("a system");
        Self {
            folder,
            state,
            standalone,
        }
    }

    /// Writes a file as editors do: beside it first, then renamed.
    pub fn write(&self, name: &str, text: &str) {
        let temporary = self.folder.path().join(format!(".{name}.tmp"));
        fs::write(&temporary, text).expect("the folder is writable");
        fs::rename(temporary, self.path().join(name)).expect("the folder is writable");
    }

    /// The folder of manifests.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Removes a file.
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path().join(name)).expect("the folder is writable");
    }

    /// Statuses and problems, as they change.
    pub fn findings(&self) -> watch::Receiver<Findings> {
        self.standalone.findings()
    }

    /// Where the gRPC endpoint listens.
    pub fn grpc(&self) -> SocketAddr {
        self.standalone.grpc()
    }

    /// Where the admin endpoint listens.
    pub fn admin(&self) -> SocketAddr {
        self.standalone.admin().expect("there is one")
    }

    /// The folder of statuses and the last good snapshot.
    pub fn state(&self) -> &Path {
        self.state.path()
    }

    /// `port` on loopback.
    pub fn local(port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    /// Ends the system.
    pub async fn stop(self) {
        self.standalone.stop(Duration::from_millis(200)).await;
    }
}
