//! Asking the API server whose token it is.

use std::fmt;

use futures_util::future::BoxFuture;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::{Api, Client, api::PostParams};

/// The audience that tokens on the stream are for: one for the API server itself is not taken, so no
/// control plane ever holds a token that opens more than its own door.
pub const AUDIENCE: &str = "novaedge";

const POD_NAME: &str = "authentication.kubernetes.io/pod-name";

/// Whose token it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reviewed {
    /// A user's, and the pod's that it is bound to.
    User {
        /// For instance `system:serviceaccount:novaedge-system:novaedge-agent`.
        name: String,
        /// The pod.
        pod: Option<String>,
    },
    /// Nobody's: not valid, not valid any more, or for another audience.
    Invalid(String),
}

/// The question got no answer.
#[derive(Debug, thiserror::Error)]
#[error("the API server cannot verify tokens now: {0}")]
pub struct ReviewError(pub String);

/// Tells whose a token is.
pub trait Review: fmt::Debug + Send + Sync {
    /// Asks about a token.
    fn review<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Reviewed, ReviewError>>;
}

/// Asks the API server.
#[derive(Debug, Clone)]
pub struct KubeReview {
    reviews: Api<TokenReview>,
}

impl KubeReview {
    /// With a client that may create TokenReviews.
    pub fn new(client: Client) -> Self {
        Self {
            reviews: Api::all(client),
        }
    }
}

impl Review for KubeReview {
    fn review<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Reviewed, ReviewError>> {
        Box::pin(async move {
            let review = TokenReview {
                spec: TokenReviewSpec {
                    audiences: Some(vec![AUDIENCE.to_owned()]),
                    token: Some(token.to_owned()),
                },
                ..TokenReview::default()
            };
            let answer = self.reviews.create(&PostParams::default(), &review).await;
            let answer = answer.map_err(|error| ReviewError(error.to_string()))?;
            Ok(reviewed(answer))
        })
    }
}

fn reviewed(review: TokenReview) -> Reviewed {
    let status = review.status.unwrap_or_default();
    if status.authenticated != Some(true) {
        return Reviewed::Invalid(
            status
                .error
                .unwrap_or_else(|| "the token is not valid".into()),
        );
    }
    // An API server that knows no audiences tells none, and then the token is for itself.
    let audiences = status.audiences.unwrap_or_default();
    if !audiences.iter().any(|audience| audience == AUDIENCE) {
        return Reviewed::Invalid(format!("the token is not for the audience {AUDIENCE}"));
    }
    let user = status.user.unwrap_or_default();
    let pod = user.extra.unwrap_or_default().remove(POD_NAME);
    Reviewed::User {
        name: user.username.unwrap_or_default(),
        pod: pod.and_then(|names| names.into_iter().next()),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::authentication::v1::{TokenReviewStatus, UserInfo};

    use super::*;

    fn status(authenticated: bool, audience: Option<&str>) -> TokenReview {
        let user = UserInfo {
            username: Some("system:serviceaccount:a:b".into()),
            extra: Some([(POD_NAME.to_owned(), vec!["pod-0".to_owned()])].into()),
            ..UserInfo::default()
        };
        TokenReview {
            status: Some(TokenReviewStatus {
                authenticated: Some(authenticated),
                audiences: audience.map(|audience| vec![audience.to_owned()]),
                user: Some(user),
                ..TokenReviewStatus::default()
            }),
            ..TokenReview::default()
        }
    }

    #[test]
    fn only_a_token_for_us_is_somebodys() {
        let user = Reviewed::User {
            name: "system:serviceaccount:a:b".into(),
            pod: Some("pod-0".into()),
        };
        assert_eq!(reviewed(status(true, Some(AUDIENCE))), user);
        for review in [
            status(false, Some(AUDIENCE)),
            status(true, None),
            status(true, Some("https://kubernetes.default.svc")),
            TokenReview::default(),
        ] {
            assert!(matches!(reviewed(review), Reviewed::Invalid(_)));
        }
    }
}
