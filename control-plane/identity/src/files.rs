//! Certificates that somebody else makes and renews, for instance cert-manager.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use tokio_util::sync::CancellationToken;

use crate::{
    authority::{certificates, roots},
    error::IdentityError,
    keeper::chain,
    material::{self, Material, MaterialSender},
};

/// How often the files are read.
const INTERVAL: Duration = Duration::from_secs(10);

/// The files, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The chain of this replica, leaf first; good for servers and clients.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authorities of agents' and other replicas' certificates. `None`: nobody shows one.
    pub client_authorities: Option<PathBuf>,
}

/// Reads the files again and again.
#[derive(Debug)]
pub struct FileKeeper {
    files: Files,
    material: MaterialSender,
    read: Option<Contents>,
}

#[derive(PartialEq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_authorities: Option<Vec<u8>>,
}

/// Shows no key.
impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contents").finish_non_exhaustive()
    }
}

impl FileKeeper {
    /// Reads the files for the first time, which has to succeed.
    pub async fn start(files: Files) -> Result<(Self, Material), IdentityError> {
        let (sender, material) = material::channel();
        let mut keeper = Self {
            files,
            material: sender,
            read: None,
        };
        keeper.look().await?;
        Ok((keeper, material))
    }

    /// Follows the files until `stop`. While they cannot be used, what was read before stays.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = stop.cancelled() => return,
            }
            if let Err(error) = self.look().await {
                tracing::warn!(error = %chain(&error), "the certificate files cannot be used");
            }
        }
    }

    async fn look(&mut self) -> Result<(), IdentityError> {
        let client_authorities = match &self.files.client_authorities {
            Some(file) => Some(read(file).await?),
            None => None,
        };
        let contents = Contents {
            certificate: read(&self.files.certificate).await?,
            key: read(&self.files.key).await?,
            client_authorities,
        };
        if self.read.as_ref() == Some(&contents) {
            return Ok(());
        }
        let name = |file: &Path| file.display().to_string();
        let chain = certificates(&name(&self.files.certificate), &contents.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key);
        let key = key.map_err(|source| IdentityError::Pem {
            what: name(&self.files.key),
            source,
        })?;
        let authorities = match &contents.client_authorities {
            Some(pem) => Some(roots("the file of client authorities", pem)?),
            None => None,
        };
        let servers = authorities
            .clone()
            .unwrap_or_else(rustls::RootCertStore::empty);
        self.material.send(&chain, &key, authorities, servers)?;
        tracing::info!("the certificate of the files is in force");
        self.read = Some(contents);
        Ok(())
    }
}

async fn read(file: &Path) -> Result<Vec<u8>, IdentityError> {
    let read = tokio::fs::read(file).await;
    read.map_err(|source| IdentityError::File {
        file: file.to_owned(),
        source,
    })
}
