//! Why a cluster gave no answer: each names the context, what was asked, and what to do.

use super::api::MAX_OBJECTS;

/// Why a cluster gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// Nobody said which cluster.
    #[error(
        "no cluster is configured: name a kubeconfig with --kubeconfig or KUBECONFIG, or run in a pod with a ServiceAccount"
    )]
    NotConfigured,
    /// The kubeconfig cannot be used.
    #[error(
        "kubeconfig {file} cannot be used ({reason}): correct it, or name another with --kubeconfig"
    )]
    Kubeconfig {
        /// The file or files.
        file: String,
        /// Why.
        reason: String,
    },
    /// The kubeconfig has no such context.
    #[error("kubeconfig {file} has no context {context}: name one of {known} with --context")]
    NoContext {
        /// The file or files.
        file: String,
        /// What was asked for.
        context: String,
        /// What there is.
        known: String,
    },
    /// The kubeconfig names no current context.
    #[error("kubeconfig {file} has no current context: name one of {known} with --context")]
    NoCurrentContext {
        /// The file or files.
        file: String,
        /// What there is.
        known: String,
    },
    /// There is no answer.
    #[error(
        "context {context}: the API server at {url} does not answer ({reason}): see that it runs and can be reached, or choose another cluster with --context"
    )]
    Unreachable {
        /// The context.
        context: String,
        /// Where it should be.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The API server does not know who asks.
    #[error(
        "context {context}: the API server does not take your credentials ({reason}): log in again, or choose another user with --context"
    )]
    Unauthorized {
        /// The context.
        context: String,
        /// The API server's words.
        reason: String,
    },
    /// Who asks lacks a right.
    #[error("context {context}: you may not {verb} {what}: {fix} ({reason})")]
    Forbidden {
        /// The context.
        context: String,
        /// What was tried.
        verb: &'static str,
        /// With what, and where.
        what: String,
        /// What helps.
        fix: String,
        /// The API server's words.
        reason: String,
    },
    /// The API server does not know the kind.
    #[error(
        "context {context}: the cluster does not serve {kind}: install the CustomResourceDefinitions of {group} first"
    )]
    NotServed {
        /// The context.
        context: String,
        /// The kind.
        kind: &'static str,
        /// Its group.
        group: &'static str,
    },
    /// The API server answers with something else.
    #[error("context {context}: {resource} {place} cannot be read: {reason}")]
    Api {
        /// The context.
        context: String,
        /// What was asked for.
        resource: String,
        /// Where.
        place: String,
        /// The API server's words.
        reason: String,
    },
    /// There is more than anybody reads.
    #[error(
        "context {context}: there are more than {MAX_OBJECTS} {resource}: choose a namespace with -n"
    )]
    TooMany {
        /// The context.
        context: String,
        /// Of what.
        resource: String,
    },
    /// No control plane can be asked.
    #[error(
        "context {context}: no pod of a control plane is ready in namespace {namespace}: see 'kubectl --namespace {namespace} get pods', or name the namespace that it is deployed in with --system-namespace"
    )]
    NoControlPlane {
        /// The context.
        context: String,
        /// Where one should be.
        namespace: String,
    },
    /// The control plane cannot be known from somebody else.
    #[error(
        "context {context}: ConfigMap novaedge-ca-bundle in namespace {namespace} has no certificate of the control plane's authority in ca.crt ({reason}): see 'Looking at snapshots' in docs/kubernetes.md"
    )]
    NoAuthority {
        /// The context.
        context: String,
        /// Where it should be.
        namespace: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The connection through the API server to a pod failed.
    #[error("context {context}: no connection to port {port} of pod {pod}: {reason}")]
    Forward {
        /// The context.
        context: String,
        /// `namespace/name`.
        pod: String,
        /// The port.
        port: u16,
        /// What happened.
        reason: String,
    },
}

impl ClusterError {
    /// Whether a right is lacking.
    pub const fn is_forbidden(&self) -> bool {
        matches!(self, Self::Forbidden { .. })
    }
}
