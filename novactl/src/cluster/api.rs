//! Requests to the API server, each with a limit of time and size, and errors that say what was asked.

use std::{fmt::Write as _, time::Duration};

use http::Request;
use serde_json::Value;

use super::{Cluster, ClusterError, access::deepest};

/// Objects of a list that are read.
pub(super) const MAX_OBJECTS: usize = 100_000;
/// Objects of one answer.
const PAGE: usize = 500;
/// How long one answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// What is done with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Reads one object.
    Get,
    /// Reads many.
    List,
    /// Makes a connection.
    Open,
}

/// What the API server is asked about, for errors.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What is done.
    pub verb: Verb,
    /// Plural name, with the group: `gateways.gateway.networking.k8s.io`.
    pub resource: String,
    /// Where; none for the whole cluster.
    pub namespace: Option<String>,
}

impl Verb {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Open => "open",
        }
    }

    /// The verbs that a Role has to have for it. Which one a connection takes depends on the version of Kubernetes.
    const fn rights(self) -> &'static str {
        match self {
            Self::Get => "the verb get",
            Self::List => "the verb list",
            Self::Open => "the verbs get and create",
        }
    }
}

impl Asked {
    /// Something of the core group.
    pub fn core(verb: Verb, resource: &str, namespace: &str) -> Self {
        Self {
            verb,
            resource: resource.to_owned(),
            namespace: Some(namespace.to_owned()),
        }
    }

    fn place(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("in namespace {namespace}"),
            None => "in all namespaces".to_owned(),
        }
    }
}

impl Cluster {
    /// The object at a path; none when it is not there.
    pub async fn get(&self, path: &str, asked: &Asked) -> Result<Option<Value>, ClusterError> {
        let request = self.client().request::<Value>(request(path));
        match limited(request).await {
            Ok(Ok(value)) => Ok(Some(value)),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(None),
            Ok(Err(error)) => Err(self.trouble(asked, &error)),
            Err(Late) => Err(self.late()),
        }
    }

    /// All objects of a list, page by page; `query` selects among them. None when nobody serves the path.
    pub async fn list(
        &self,
        path: &str,
        query: &str,
        asked: &Asked,
    ) -> Result<Option<Vec<Value>>, ClusterError> {
        let mut all = Vec::new();
        let mut more = String::new();
        loop {
            let mut full = format!("{path}?limit={PAGE}");
            // Writing to a String cannot fail.
            let _ = write!(full, "{}{query}", if query.is_empty() { "" } else { "&" });
            if !more.is_empty() {
                let _ = write!(full, "&continue={}", escaped(&more));
            }
            let Some(mut page) = self.get(&full, asked).await? else {
                return Ok(None);
            };
            let (kind, version) = (item_kind(&page), page["apiVersion"].clone());
            let items = page.get_mut("items").and_then(Value::as_array_mut);
            for mut item in items.map(std::mem::take).unwrap_or_default() {
                // Lists of Kubernetes' own kinds leave out what all items have in common.
                if let (Some(fields), Some(kind)) = (item.as_object_mut(), &kind) {
                    fields.entry("kind").or_insert(kind.as_str().into());
                    fields.entry("apiVersion").or_insert(version.clone());
                }
                all.push(item);
            }
            if all.len() > MAX_OBJECTS {
                return Err(ClusterError::TooMany {
                    context: self.context.clone(),
                    resource: asked.resource.clone(),
                });
            }
            let next = page.pointer("/metadata/continue").and_then(Value::as_str);
            next.unwrap_or_default().clone_into(&mut more);
            if more.is_empty() {
                return Ok(Some(all));
            }
        }
    }

    /// The text at a path, such as a log.
    pub async fn text(&self, path: &str, asked: &Asked) -> Result<String, ClusterError> {
        match limited(self.client().request_text(request(path))).await {
            Ok(Ok(text)) => Ok(text),
            Ok(Err(error)) => Err(self.trouble(asked, &error)),
            Err(Late) => Err(self.late()),
        }
    }

    pub(super) fn late(&self) -> ClusterError {
        ClusterError::Unreachable {
            context: self.context.clone(),
            url: self.url.clone(),
            reason: format!("no answer in {} s", ANSWER_LIMIT.as_secs()),
        }
    }

    /// What an error of the client comes to.
    pub(super) fn trouble(&self, asked: &Asked, error: &kube::Error) -> ClusterError {
        let context = self.context.clone();
        let kube::Error::Api(status) = error else {
            return match error {
                kube::Error::Auth(error) => ClusterError::Unauthorized {
                    context,
                    reason: deepest(error),
                },
                error => ClusterError::Unreachable {
                    context,
                    url: self.url.clone(),
                    reason: deepest(error),
                },
            };
        };
        match status.code {
            401 => ClusterError::Unauthorized {
                context,
                reason: status.message.clone(),
            },
            403 => ClusterError::Forbidden {
                context,
                verb: asked.verb.as_str(),
                what: format!("{} {}", asked.resource, asked.place()),
                fix: fix(asked),
                reason: status.message.clone(),
            },
            410 => ClusterError::Api {
                context,
                resource: asked.resource.clone(),
                place: asked.place(),
                reason: "they changed while they were read; try again".to_owned(),
            },
            code => ClusterError::Api {
                context,
                resource: asked.resource.clone(),
                place: asked.place(),
                reason: format!("{} ({code})", status.message),
            },
        }
    }
}

/// No answer in time.
pub(super) struct Late;

pub(super) async fn limited<T>(answer: impl Future<Output = T>) -> Result<T, Late> {
    let answer = tokio::time::timeout(ANSWER_LIMIT, answer).await;
    answer.map_err(|_| Late)
}

fn fix(asked: &Asked) -> String {
    match (&asked.namespace, asked.verb) {
        (None, _) => {
            "name a namespace that you may look into with -n, or ask for the right in a ClusterRole"
                .to_owned()
        }
        (Some(namespace), verb) => format!(
            "ask for {} on {} in a Role of namespace {namespace}",
            verb.rights(),
            asked.resource
        ),
    }
}

fn request(path: &str) -> Request<Vec<u8>> {
    let mut request = Request::new(Vec::new());
    // Paths are made of names that the API server gave or of what stands on the command line, escaped.
    if let Ok(uri) = path.parse() {
        *request.uri_mut() = uri;
    }
    request
}

/// The kind of the items of a list: `PodList` is of `Pod`s.
fn item_kind(page: &Value) -> Option<String> {
    let kind = page.get("kind")?.as_str()?;
    Some(kind.strip_suffix("List")?.to_owned())
}

/// Text as a part of a path or a query, which it cannot lead out of.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            safe.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(safe, "%{byte:02X}");
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn what_stands_in_a_path_is_escaped() {
        assert_eq!(escaped("a-b.c"), "a-b.c");
        assert_eq!(escaped("a/b?c=%d"), "a%2Fb%3Fc%3D%25d");
    }
}
