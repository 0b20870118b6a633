//! Which account may do what. Pure.

use std::collections::BTreeSet;

use novaedge_publish::{AuthenticateError, Caller, Role};

/// The accounts that have business on the stream. ServiceAccounts are given as `<namespace>/<name>`,
/// certificates by a DNS or URI name in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accounts {
    /// ServiceAccounts of agents.
    pub agents: BTreeSet<String>,
    /// ServiceAccounts of people and tools that inspect.
    pub inspectors: BTreeSet<String>,
    /// Certificates of agents.
    pub agent_certificates: BTreeSet<String>,
    /// Certificates of control planes.
    pub peer_certificates: BTreeSet<String>,
}

impl Accounts {
    /// The ServiceAccount `novaedge-agent` and the Service `novaedge-control-plane` of a namespace.
    pub fn of_namespace(namespace: &str) -> Self {
        Self {
            agents: [format!("{namespace}/novaedge-agent")].into(),
            peer_certificates: [format!("novaedge-control-plane.{namespace}.svc")].into(),
            ..Self::default()
        }
    }

    /// Who a user of the API server is, given the pod that the token is bound to.
    pub fn of_user(&self, user: &str, pod: Option<&str>) -> Result<Caller, AuthenticateError> {
        let denied = |what: String| Err(AuthenticateError::Denied(what));
        let account = user.strip_prefix("system:serviceaccount:");
        let Some((namespace, name)) = account.and_then(|account| account.split_once(':')) else {
            return denied(format!("{user} is no ServiceAccount"));
        };
        let account = format!("{namespace}/{name}");
        let (role, node) = if self.agents.contains(&account) {
            let Some(pod) = pod else {
                return denied(format!(
                    "the token of {account} is bound to no pod: use a projected token"
                ));
            };
            (Role::Agent, Some(pod.into()))
        } else if self.inspectors.contains(&account) {
            (Role::Inspector, None)
        } else {
            return denied(format!(
                "ServiceAccount {account} is neither an agent's nor an inspector's"
            ));
        };
        Ok(Caller {
            account: account.into(),
            role,
            node,
        })
    }

    /// Who a certificate with these names is.
    pub fn of_certificate(&self, names: &BTreeSet<String>) -> Result<Caller, AuthenticateError> {
        let known = |accounts: &BTreeSet<String>| accounts.intersection(names).next().cloned();
        let (account, role) = if let Some(account) = known(&self.peer_certificates) {
            (account, Role::Peer)
        } else if let Some(account) = known(&self.agent_certificates) {
            (account, Role::Agent)
        } else {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            return Err(AuthenticateError::Denied(format!(
                "the certificate of {} is neither an agent's nor a control plane's",
                names.join(", ")
            )));
        };
        Ok(Caller {
            account: account.into(),
            role,
            node: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts {
            inspectors: ["ops/novactl".to_owned()].into(),
            agent_certificates: ["agent.edge".to_owned()].into(),
            ..Accounts::of_namespace("novaedge-system")
        }
    }

    #[test]
    fn an_agents_token_is_good_for_its_pod() {
        let user = "system:serviceaccount:novaedge-system:novaedge-agent";
        let caller = accounts().of_user(user, Some("agent-0")).unwrap();
        assert_eq!(&*caller.account, "novaedge-system/novaedge-agent");
        assert_eq!(caller.node.as_deref(), Some("agent-0"));
        assert_eq!(caller.role, Role::Agent);
        assert!(accounts().of_user(user, None).is_err());
    }

    #[test]
    fn others_have_no_business_here() {
        for user in [
            "admin",
            "system:serviceaccount:novaedge-system:default",
            "system:serviceaccount:other:novaedge-agent",
            "system:serviceaccount:broken",
        ] {
            let refused = accounts().of_user(user, Some("p"));
            assert!(
                matches!(refused, Err(AuthenticateError::Denied(_))),
                "{user}"
            );
        }
    }

    #[test]
    fn certificates_are_known_by_their_names() {
        let role = |name: &str| {
            let names = ["other".to_owned(), name.to_owned()].into();
            accounts().of_certificate(&names).map(|caller| caller.role)
        };
        assert_eq!(role("agent.edge"), Ok(Role::Agent));
        let peer = "novaedge-control-plane.novaedge-system.svc";
        assert_eq!(role(peer), Ok(Role::Peer));
        assert!(role("else").is_err());
    }
}
