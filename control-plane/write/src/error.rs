//! Why something could not be written.

/// Why something could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The API server refused, or could not be reached.
    #[error("{}", describe(.0))]
    Api(Box<kube::Error>),
    /// A name cannot stand in a path.
    #[error("the request has no valid address")]
    Request(#[from] http::Error),
    /// An object cannot be written as JSON.
    #[error("the object has no JSON form")]
    Json(#[from] serde_json::Error),
    /// No answer in time.
    #[error("the API server did not answer in time")]
    Timeout,
    /// There is an object of that name that was not made for the Gateway API.
    #[error("an object of this name was written by hand; rename one of the two")]
    Taken,
    /// The cluster does not serve the kind.
    #[error("the cluster does not know the kind {0}; install its CRD")]
    NotServed(novaedge_api::meta::Kind),
}

impl From<kube::Error> for WriteError {
    fn from(error: kube::Error) -> Self {
        Self::Api(Box::new(error))
    }
}

impl WriteError {
    /// One word for people.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Api(_) | Self::Timeout => "WriteFailed",
            Self::Request(_) | Self::Json(_) => "Unwritable",
            Self::Taken => "NameTaken",
            Self::NotServed(_) => "KindNotServed",
        }
    }
}

/// What the API server says, without the wrapping of the client.
fn describe(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
        other => other.to_string(),
    }
}

pub(crate) fn is_conflict(error: &WriteError) -> bool {
    status(error).is_some_and(|status| status.code == 409)
}

/// Whether the object is not there. A kind or version that is not there has no name in its answer.
pub(crate) fn is_not_found(error: &WriteError) -> bool {
    let names = |status: &kube::core::Status| {
        let details = status.details.as_ref();
        details.is_some_and(|details| !details.name.is_empty())
    };
    status(error).is_some_and(|status| status.code == 404 && names(status))
}

/// Whether the namespace of the object is there no longer, or not for long: it takes nothing new.
pub(crate) fn is_namespace_ending(error: &WriteError) -> bool {
    status(error).is_some_and(novaedge_api::meta::is_namespace_ending)
}

fn status(error: &WriteError) -> Option<&kube::core::Status> {
    match error {
        WriteError::Api(error) => match &**error {
            kube::Error::Api(status) => Some(status),
            _ => None,
        },
        _ => None,
    }
}
