//! A whole system in this process, on a folder of its own.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use novaedge::{Config, Standalone};
use novaedge_control_plane::folder::Watch;
use tempfile::TempDir;

/// A running system.
pub struct System {
    folder: TempDir,
    _state: TempDir,
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
        })
        .await
        .expect("a system");
        Self {
            folder,
            _state: state,
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

    /// `port` on loopback.
    pub fn local(port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    /// Ends the system.
    pub async fn stop(self) {
        self.standalone.stop(Duration::from_millis(200)).await;
    }
}
