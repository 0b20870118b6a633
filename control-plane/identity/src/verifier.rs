//! Verifies callers: by the certificate of their connection, else by their token.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use novaedge_publish::{Authenticate, AuthenticateError, Caller, Credentials};
use rustls::pki_types::{CertificateDer, UnixTime};
use tokio::time::Instant;
use x509_parser::{extensions::GeneralName, prelude::FromDer as _, prelude::X509Certificate};

use crate::{
    accounts::{Accounts, Issuer},
    cache::{self, Cache},
    material::OwnAuthorities,
    review::{Review, Reviewed},
};

/// How long a verdict holds. A token that is withdrawn opens no new stream after that.
const VERDICT_LIFE: Duration = Duration::from_mins(1);

type Verdict = Result<Caller, AuthenticateError>;

/// Knows callers by [`Accounts`]. Verdicts on tokens are remembered for 60 s, at most 10,000 of them.
#[derive(Debug)]
pub struct Verifier {
    accounts: Accounts,
    review: Arc<dyn Review>,
    own: OwnAuthorities,
    verdicts: Mutex<Cache<Verdict>>,
}

impl Verifier {
    /// A verifier that asks `review` about tokens. Whom `own` authorities certify is a replica, by his name.
    pub fn new(accounts: Accounts, review: Arc<dyn Review>, own: OwnAuthorities) -> Self {
        Self {
            accounts,
            review,
            own,
            verdicts: Mutex::new(Cache::new(VERDICT_LIFE)),
        }
    }

    async fn of_token(&self, token: &str) -> Verdict {
        let key = cache::key(token);
        if let Some(verdict) = self.verdicts().get(&key, Instant::now()) {
            return verdict;
        }
        let reviewed = self.review.review(token).await;
        // No answer is no verdict: the next try asks again.
        let reviewed =
            reviewed.map_err(|error| AuthenticateError::Unavailable(error.to_string()))?;
        let verdict = match reviewed {
            Reviewed::User { name, pod } => self.accounts.of_user(&name, pod.as_deref()),
            Reviewed::Invalid(why) => Err(AuthenticateError::Unauthenticated(why)),
        };
        self.verdicts().put(key, verdict.clone(), Instant::now());
        verdict
    }

    /// Whether one of our own authorities signed a certificate, or one of those of agents: the handshake has
    /// taken either.
    fn issuer(&self, certificate: &CertificateDer<'_>) -> Issuer {
        let own = self.own.borrow().clone();
        let signed = own.is_some_and(|own| {
            let verified = own.verify_client_cert(certificate, &[], UnixTime::now());
            verified.is_ok()
        });
        if signed { Issuer::Ours } else { Issuer::Other }
    }

    fn verdicts(&self) -> std::sync::MutexGuard<'_, Cache<Verdict>> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Authenticate for Verifier {
    fn authenticate(&self, shown: Credentials) -> BoxFuture<'_, Verdict> {
        Box::pin(async move {
            if let Some(token) = &shown.token {
                return self.of_token(token).await;
            }
            let Some(certificate) = &shown.certificate else {
                return Err(AuthenticateError::Unauthenticated(
                    "show a token (metadata authorization: Bearer <token>) or a certificate".into(),
                ));
            };
            let issuer = self.issuer(certificate);
            self.accounts.of_certificate(&names(certificate), issuer)
        })
    }
}

/// The DNS and URI names of a certificate.
pub(crate) fn names(certificate: &[u8]) -> BTreeSet<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return BTreeSet::new();
    };
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return BTreeSet::new();
    };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) | GeneralName::URI(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use novaedge_publish::Role;

    use super::*;
    use crate::{
        authority::{Authorities, Authority},
        leaf::{self, Names},
        material::{self, MaterialSender},
        review::ReviewError,
        rotation::Rotation,
    };

    /// Knows one token, and counts the questions.
    #[derive(Debug, Default)]
    struct Api(AtomicUsize);

    impl Review for Api {
        fn review<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Reviewed, ReviewError>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let answer = match token {
                "good" => Ok(Reviewed::User {
                    name: "system:serviceaccount:novaedge-system:novaedge-agent".into(),
                    pod: Some("agent-0".into()),
                }),
                "away" => Err(ReviewError("connection refused".into())),
                _ => Ok(Reviewed::Invalid("no".into())),
            };
            Box::pin(std::future::ready(answer))
        }
    }

    fn verifier() -> (Verifier, Arc<Api>, MaterialSender) {
        let api = Arc::new(Api::default());
        let accounts = Accounts::of_namespace("novaedge-system");
        let (sender, material) = material::channel();
        let verifier = Verifier::new(accounts, api.clone(), material.own);
        (verifier, api, sender)
    }

    fn token(token: &str) -> Credentials {
        Credentials {
            token: Some(token.into()),
            ..Credentials::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_verdict_holds_for_a_minute_and_no_answer_for_no_time() {
        let (verifier, api, _) = verifier();
        let asked = || api.0.load(Ordering::Relaxed);
        for _ in 0..3 {
            let caller = verifier.authenticate(token("good")).await.unwrap();
            assert_eq!(caller.node.as_deref(), Some("agent-0"));
        }
        assert_eq!(asked(), 1);
        tokio::time::advance(VERDICT_LIFE).await;
        verifier.authenticate(token("good")).await.unwrap();
        assert_eq!(asked(), 2);
        for _ in 0..3 {
            let error = verifier.authenticate(token("away")).await.unwrap_err();
            assert!(matches!(error, AuthenticateError::Unavailable(_)));
        }
        assert_eq!(asked(), 5);
        for _ in 0..3 {
            let error = verifier.authenticate(token("bad")).await.unwrap_err();
            assert!(matches!(error, AuthenticateError::Unauthenticated(_)));
        }
        assert_eq!(asked(), 6);
    }

    #[tokio::test]
    async fn a_replica_is_known_by_its_certificate() {
        let rotation = Rotation::default();
        let now = i64::try_from(UnixTime::now().as_secs()).unwrap();
        let names = Names::of_service("novaedge-control-plane", "novaedge-system", None);
        let made = || {
            let authority = Authority::make(now, &rotation).unwrap();
            let leaf = leaf::issue(&authority, &names, &rotation, now).unwrap();
            let mut authorities = Authorities::default();
            authorities.insert(authority);
            (authorities, leaf)
        };
        let shown = |leaf: &leaf::Leaf| Credentials {
            certificate: leaf.chain.first().cloned(),
            ..Credentials::default()
        };
        let (verifier, _, sender) = verifier();
        let ((own, ours), (other, others)) = (made(), made());
        let own = own.roots().unwrap();
        let clients = other.bundle();
        sender
            .send(&ours.chain, &ours.key, own, Some(clients.as_bytes()))
            .unwrap();
        let caller = verifier.authenticate(shown(&ours)).await.unwrap();
        assert_eq!(caller.role, Role::Peer);
        // An authority of agents makes no replicas, whatever it writes into a certificate.
        let denied = verifier.authenticate(shown(&others)).await;
        assert!(matches!(denied, Err(AuthenticateError::Denied(_))));
        let nothing = verifier.authenticate(Credentials::default()).await;
        assert!(matches!(
            nothing,
            Err(AuthenticateError::Unauthenticated(_))
        ));
    }
}
