//! Which caller may call which method.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use tonic::{Status, transport::server::TcpConnectInfo};

use crate::{
    authenticate::{Authenticate, Caller, Credentials, Role},
    metrics::Metrics,
    tls::Peer,
};

/// Verifications at one time; a caller beyond them is asked to try again.
const MAX_VERIFICATIONS: usize = 256;

/// How long a verification may take.
const VERIFICATION_LIMIT: Duration = Duration::from_secs(10);

/// The method that a caller asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    StreamSnapshots,
    AnswerQuestions,
    WatchAgents,
    /// `FetchSnapshot`, `ListAgents` or `AskAgents`.
    Inspect,
}

/// Lets callers in. Without an [`Authenticate`] everybody is.
#[derive(Debug)]
pub(crate) struct Admission {
    authenticate: Option<Arc<dyn Authenticate>>,
    verifications: Semaphore,
}

impl Admission {
    pub(crate) fn new(authenticate: Option<Arc<dyn Authenticate>>) -> Self {
        Self {
            authenticate,
            verifications: Semaphore::new(MAX_VERIFICATIONS),
        }
    }

    /// The caller of a request; `None` when callers need no credentials.
    pub(crate) async fn admit(
        &self,
        method: Method,
        request: &http::request::Parts,
        metrics: &Metrics,
    ) -> Result<Option<Caller>, Status> {
        let Some(authenticate) = &self.authenticate else {
            return Ok(None);
        };
        let credentials = credentials(request);
        let is_local = credentials.address.is_some_and(|a| a.ip().is_loopback());
        if method == Method::Inspect && is_local {
            return Ok(None);
        }
        let caller = match self.verifications.try_acquire() {
            Ok(_permit) => {
                let verified = authenticate.authenticate(credentials);
                match tokio::time::timeout(VERIFICATION_LIMIT, verified).await {
                    Ok(verified) => verified.map_err(Status::from),
                    Err(_) => Err(Status::unavailable(
                        "verifying the credentials took too long",
                    )),
                }
            }
            Err(_) => Err(Status::unavailable(
                "too many credentials are being verified",
            )),
        };
        let admitted = caller.and_then(|caller| {
            if may(caller.role, method) {
                return Ok(caller);
            }
            let account = &caller.account;
            Err(Status::permission_denied(format!(
                "{account} may not do this"
            )))
        });
        match admitted {
            Ok(caller) => Ok(Some(caller)),
            Err(status) => {
                metrics.callers_refused.add(1);
                tracing::info!(?method, code = ?status.code(), reason = status.message(),
                    "a caller was refused");
                Err(status)
            }
        }
    }
}

fn may(role: Role, method: Method) -> bool {
    match method {
        Method::StreamSnapshots | Method::AnswerQuestions => role == Role::Agent,
        Method::WatchAgents => role == Role::Peer,
        Method::Inspect => matches!(role, Role::Peer | Role::Inspector),
    }
}

fn credentials(request: &http::request::Parts) -> Credentials {
    let authorization = request.headers.get(http::header::AUTHORIZATION);
    let token = authorization
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim().into());
    let peer = request.extensions.get::<Peer>();
    Credentials {
        token,
        certificate: peer.and_then(|peer| peer.certificate.clone()),
        address: address(&request.extensions),
    }
}

/// Where a request comes from.
pub(crate) fn address(extensions: &http::Extensions) -> Option<SocketAddr> {
    match extensions.get::<Peer>() {
        Some(peer) => peer.address,
        None => extensions.get::<TcpConnectInfo>()?.remote_addr(),
    }
}
