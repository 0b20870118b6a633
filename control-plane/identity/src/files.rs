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
    verifier,
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
    /// The authorities of all replicas' certificates.
    pub authorities: PathBuf,
    /// Further authorities, of agents' certificates alone.
    pub client_authorities: Option<PathBuf>,
    /// The DNS name by which replicas are reached, which the certificate must have.
    pub name: String,
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
    authorities: Vec<u8>,
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
        let client_authorities = self.files.client_authorities.as_deref();
        let contents = Contents {
            certificate: read(&self.files.certificate).await?,
            key: read(&self.files.key).await?,
            authorities: read(&self.files.authorities).await?,
            client_authorities: read_optional(client_authorities).await?,
        };
        if self.read.as_ref() == Some(&contents) {
            return Ok(());
        }
        let name = |file: &Path| file.display().to_string();
        let chain = certificates(&name(&self.files.certificate), &contents.certificate)?;
        if !verifier::names(&chain[0]).contains(&self.files.name) {
            return Err(IdentityError::Name {
                file: self.files.certificate.clone(),
                name: self.files.name.clone(),
            });
        }
        let key = PrivateKeyDer::from_pem_slice(&contents.key);
        let key = key.map_err(|source| IdentityError::Pem {
            what: name(&self.files.key),
            source,
        })?;
        let servers = roots(&name(&self.files.authorities), &contents.authorities)?;
        let client_authorities = contents.client_authorities.as_deref();
        self.material
            .send(&chain, &key, servers, client_authorities)?;
        tracing::info!("the certificate of the files is in force");
        self.read = Some(contents);
        Ok(())
    }
}

pub(crate) async fn read_optional(file: Option<&Path>) -> Result<Option<Vec<u8>>, IdentityError> {
    match file {
        Some(file) => read(file).await.map(Some),
        None => Ok(None),
    }
}

async fn read(file: &Path) -> Result<Vec<u8>, IdentityError> {
    let read = tokio::fs::read(file).await;
    read.map_err(|source| IdentityError::File {
        file: file.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _, sync::Arc};

    use futures_util::future::BoxFuture;
    use novaedge_publish::{Authenticate as _, AuthenticateError, Credentials, Role};
    use rcgen::{CertificateParams, KeyPair};
    use rustls::pki_types::{CertificateDer, UnixTime};
    use tempfile::TempDir;

    use super::*;
    use crate::{
        accounts::Accounts,
        authority::{Authorities, Authority},
        review::{Review, ReviewError, Reviewed},
        rotation::Rotation,
        verifier::Verifier,
    };

    const NAME: &str = "novaedge-control-plane.novaedge-system.svc";

    /// What writes the files.
    struct Maker {
        folder: TempDir,
        authority: Authority,
    }

    impl Maker {
        fn new() -> Self {
            let now = i64::try_from(UnixTime::now().as_secs()).unwrap();
            let maker = Self {
                folder: tempfile::tempdir().unwrap(),
                authority: Authority::make(now, &Rotation::default()).unwrap(),
            };
            let mut authorities = Authorities::default();
            authorities.insert(maker.authority.clone());
            maker.write("ca.crt", &authorities.bundle());
            maker
        }

        fn write(&self, file: &str, text: &str) {
            let mut file = fs::File::create(self.folder.path().join(file)).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        /// A new certificate in the files.
        fn issue(&self, name: &str) -> CertificateDer<'static> {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            let issuer = self.authority.issuer().unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            self.write("tls.crt", &certificate.pem());
            self.write("tls.key", &key.serialize_pem());
            certificate.der().clone()
        }

        fn files(&self, clients: Option<&Self>) -> Files {
            let file = |name: &str| self.folder.path().join(name);
            Files {
                certificate: file("tls.crt"),
                key: file("tls.key"),
                authorities: file("ca.crt"),
                client_authorities: clients.map(|clients| clients.folder.path().join("ca.crt")),
                name: NAME.to_owned(),
            }
        }
    }

    #[derive(Debug)]
    struct NoReview;

    impl Review for NoReview {
        fn review<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Reviewed, ReviewError>> {
            Box::pin(std::future::ready(Ok(Reviewed::Invalid("no".into()))))
        }
    }

    #[tokio::test]
    async fn the_authorities_of_the_files_make_replicas_and_those_of_agents_do_not() {
        let (ours, agents) = (Maker::new(), Maker::new());
        let (own, other) = (ours.issue(NAME), agents.issue(NAME));
        let (_keeper, material) = FileKeeper::start(ours.files(Some(&agents))).await.unwrap();
        assert!(material.server.borrow().is_some() && material.client.borrow().is_some());
        let accounts = Accounts::of_namespace("novaedge-system");
        let verifier = Verifier::new(accounts, Arc::new(NoReview), material.own);
        let shown = |certificate| Credentials {
            certificate: Some(certificate),
            ..Credentials::default()
        };
        let caller = verifier.authenticate(shown(own)).await.unwrap();
        assert_eq!(caller.role, Role::Peer);
        let denied = verifier.authenticate(shown(other)).await;
        assert!(matches!(denied, Err(AuthenticateError::Denied(_))));
    }

    #[tokio::test]
    async fn renewed_files_are_taken_and_broken_ones_are_not() {
        let maker = Maker::new();
        maker.issue(NAME);
        let (mut keeper, material) = FileKeeper::start(maker.files(None)).await.unwrap();
        let mut server = material.server;
        server.mark_unchanged();
        keeper.look().await.unwrap();
        assert!(!server.has_changed().unwrap(), "the files are the same");

        // The key is not there yet.
        let key = fs::read_to_string(maker.folder.path().join("tls.key")).unwrap();
        maker.issue(NAME);
        let renewed = fs::read_to_string(maker.folder.path().join("tls.key")).unwrap();
        maker.write("tls.key", &key);
        assert!(matches!(keeper.look().await, Err(IdentityError::Tls(_))));
        assert!(!server.has_changed().unwrap());
        maker.write("tls.key", &renewed);
        keeper.look().await.unwrap();
        assert!(server.has_changed().unwrap());
    }

    #[tokio::test]
    async fn what_is_wrong_with_the_files_is_told() {
        let maker = Maker::new();
        maker.issue("somebody.example.com");
        let error = FileKeeper::start(maker.files(None)).await.unwrap_err();
        let told = error.to_string();
        assert!(
            told.ends_with("novaedge-control-plane.novaedge-system.svc: it needs this DNS name"),
            "{told}"
        );
        maker.write("tls.crt", "nonsense");
        let error = FileKeeper::start(maker.files(None)).await.unwrap_err();
        assert!(matches!(error, IdentityError::Empty(_)), "{error}");
        fs::remove_file(maker.folder.path().join("ca.crt")).unwrap();
        let error = FileKeeper::start(maker.files(None)).await.unwrap_err();
        assert!(
            error.to_string().ends_with("ca.crt cannot be read"),
            "{error}"
        );
    }
}
