//! Why a resource, or a part of one, is refused.

/// A fault of one resource. Its text is sent to the control plane, and from there to people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The resource's name does not start with the type of its body.
    #[error("the name does not start with {0:?}, the type of its body")]
    Name(&'static str),
    /// The resource has no body, or one of a type that this agent does not know.
    #[error(
        "the body is missing or of an unknown type: is the agent older than the control plane?"
    )]
    NoBody,
    /// A field that must be set is not.
    #[error("field {0} is required")]
    Missing(&'static str),
    /// A field has a value outside of its range.
    #[error("{field} is {value}: {expected}")]
    Value {
        /// The field's path in the resource.
        field: &'static str,
        /// What was found.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// Neither a DNS name nor one with `*` as its first label.
    #[error("{0:?} is not a hostname: expected a DNS name, with or without a leading \"*.\"")]
    Hostname(String),
    /// Not an IP address.
    #[error("bind address {0:?} is not an IP address")]
    BindAddress(String),
    /// The regular expression does not compile, or is too large.
    #[error("regular expression {pattern:?} can't be used, so its match never matches: {cause}")]
    Regex {
        /// The expression as written.
        pattern: String,
        /// What the compiler says, on one line.
        cause: String,
    },
    /// Not a name of an HTTP header.
    #[error("{0:?} is not a valid header name")]
    HeaderName(String),
    /// Not a value of an HTTP header.
    #[error("the value of header {0:?} is not a valid header value")]
    HeaderValue(String),
    /// The parent is not part of the snapshot.
    #[error("{kind} {name:?} is not part of the snapshot")]
    Dangling {
        /// The type of the parent.
        kind: &'static str,
        /// Its resource name.
        name: String,
    },
    /// The parent exists and can't carry this child.
    #[error("listener {listener:?} of protocol {protocol} can't carry a route of kind {kind}")]
    WrongListener {
        /// Resource name of the listener.
        listener: String,
        /// Its protocol.
        protocol: &'static str,
        /// The kind of the route.
        kind: &'static str,
    },
    /// Another listener has the socket, or the hostname on the socket.
    #[error("{what} on {socket} belongs to listener {owner:?}")]
    Clash {
        /// What both want.
        what: String,
        /// The socket.
        socket: String,
        /// Resource name of the listener that keeps it: the first by name.
        owner: String,
    },
}
