//! Who calls: the seam between the server and what verifies tokens and certificates.

use std::{fmt, net::SocketAddr, sync::Arc};

use futures_util::future::BoxFuture;
use novaedge_proto::v1;
use rustls::pki_types::CertificateDer;
use tonic::Status;

use crate::scope::Scope;

/// What a caller shows.
#[derive(Clone, Default)]
pub struct Credentials {
    /// The bearer token of the metadata.
    pub token: Option<Arc<str>>,
    /// The certificate of the connection's other end. The handshake has verified its chain and that
    /// the caller has its key.
    pub certificate: Option<CertificateDer<'static>>,
    /// Where the connection comes from.
    pub address: Option<SocketAddr>,
}

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Take snapshots, with the private keys in them.
    Agent,
    /// Watch the agents of this replica, and inspect: another control plane.
    Peer,
    /// Inspect: nothing that holds private keys.
    Inspector,
}

/// Somebody whose credentials were verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account: `<namespace>/<name>` of a ServiceAccount, or the name of a certificate.
    pub account: Arc<str>,
    /// What the account may do.
    pub role: Role,
    /// The only node id that the caller may give, if it is bound to one.
    pub node: Option<Arc<str>>,
    /// The namespace that an agent's node id is unique in, and that stands before it from then on; `None`:
    /// it is unique as it is.
    pub realm: Option<Arc<str>>,
    /// The Gateways that an agent is given.
    pub scope: Scope,
}

impl Caller {
    /// The node as which the caller may come, or why it may not. Credentials of a pod are good for its own name alone,
    /// and its namespace tells it from pods of that name elsewhere.
    pub(crate) fn admit(&self, mut node: v1::Node) -> Result<v1::Node, String> {
        match &self.node {
            Some(bound) if **bound != *node.id => {
                return Err(format!(
                    "the token is of pod {bound}, not of {}: give the name of the pod as node id",
                    node.id
                ));
            }
            None if node.id.contains('/') => {
                return Err(format!(
                    "{} is no name of a pod: give one without a slash as node id",
                    node.id
                ));
            }
            _ => {}
        }
        if let Some(realm) = &self.realm {
            node.id = format!("{realm}/{}", node.id);
        }
        Ok(node)
    }
}

/// Why a caller is not let in. The text goes to the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticateError {
    /// There are no credentials, or they are not valid.
    #[error("{0}")]
    Unauthenticated(String),
    /// They are valid, but of somebody who has no business here.
    #[error("{0}")]
    Denied(String),
    /// They cannot be verified now. The caller may try again.
    #[error("{0}")]
    Unavailable(String),
}

/// Verifies credentials.
///
/// What it takes from others it has to bound by itself: time, memory and calls to other services.
pub trait Authenticate: fmt::Debug + Send + Sync {
    /// Tells whose the credentials are.
    fn authenticate(
        &self,
        credentials: Credentials,
    ) -> BoxFuture<'_, Result<Caller, AuthenticateError>>;
}

/// Shows no token.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("token", &self.token.is_some())
            .field("certificate", &self.certificate.is_some())
            .field("address", &self.address)
            .finish()
    }
}

impl From<AuthenticateError> for Status {
    fn from(error: AuthenticateError) -> Self {
        match error {
            AuthenticateError::Unauthenticated(text) => Self::unauthenticated(text),
            AuthenticateError::Denied(text) => Self::permission_denied(text),
            AuthenticateError::Unavailable(text) => Self::unavailable(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_is_shown() {
        let credentials = Credentials {
            token: Some("SECRET".into()),
            ..Credentials::default()
        };
        assert!(!format!("{credentials:?}").contains("SECRET"));
    }
}
