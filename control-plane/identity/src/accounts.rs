//! Which account may do what, and which Gateways an agent is given. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use novaedge_publish::{AuthenticateError, Caller, Role, Scope};

/// Accounts of agents at most: each may be given other Gateways, and so have snapshots of its own.
const MAX_AGENT_ACCOUNTS: usize = 64;

/// The accounts that have business on the stream. ServiceAccounts are given as `<namespace>/<name>`,
/// certificates by a DNS or URI name in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accounts {
    /// The namespace of the system.
    pub namespace: String,
    /// ServiceAccounts of agents, and the Gateways that each is given.
    pub agents: BTreeMap<String, Scope>,
    /// ServiceAccounts of people and tools that inspect.
    pub inspectors: BTreeSet<String>,
    /// Certificates of control planes.
    pub peer_certificates: BTreeSet<String>,
}

/// A ServiceAccount of agents as a user writes it: `NAMESPACE/NAME` for agents that are given the Gateways of
/// every namespace that no others own, or `NAMESPACE/NAME=NAMESPACE,...` for agents that own the Gateways of
/// these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentAccount {
    /// Where its pods run.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The namespaces whose Gateways it owns; `None`: those that nobody owns.
    pub owns: Option<BTreeSet<String>>,
}

/// Why accounts of agents cannot be what they are written as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgentAccountError {
    /// There is no slash.
    #[error("{0:?} is no NAMESPACE/ACCOUNT, or NAMESPACE/ACCOUNT=NAMESPACE,...")]
    Form(String),
    /// A name is none.
    #[error("{0:?} is no name of a namespace or ServiceAccount")]
    Name(String),
    /// One account twice.
    #[error("{0} is named twice: list all of its namespaces in one place")]
    Twice(String),
    /// Too many.
    #[error("{0} accounts of agents are more than the limit of {MAX_AGENT_ACCOUNTS}")]
    TooMany(usize),
}

impl FromStr for AgentAccount {
    type Err = AgentAccountError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (account, owned) = match text.split_once('=') {
            Some((account, owned)) => (account, Some(owned)),
            None => (text, None),
        };
        let (namespace, name) = account
            .split_once('/')
            .ok_or_else(|| AgentAccountError::Form(text.to_owned()))?;
        let owned = owned.map(|owned| owned.split(',').map(checked).collect());
        Ok(Self {
            namespace: checked(namespace)?,
            name: checked(name)?,
            owns: owned.transpose()?,
        })
    }
}

/// A name of Kubernetes: lower case, digits, `-` and `.`.
fn checked(name: &str) -> Result<String, AgentAccountError> {
    let is_usual = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_name = name
        .bytes()
        .all(|byte| is_usual(byte) || matches!(byte, b'-' | b'.'))
        && name.bytes().next().is_some_and(is_usual)
        && name.bytes().last().is_some_and(is_usual)
        && name.len() <= 253;
    if is_name {
        Ok(name.to_owned())
    } else {
        Err(AgentAccountError::Name(name.to_owned()))
    }
}

impl Accounts {
    /// The ServiceAccount `novaedge-agent` and the Service `novaedge-control-plane` of a namespace.
    pub fn of_namespace(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            agents: [(format!("{namespace}/novaedge-agent"), Scope::All)].into(),
            inspectors: [format!("{namespace}/novaedge-inspector")].into(),
            peer_certificates: [format!("novaedge-control-plane.{namespace}.svc")].into(),
        }
    }

    /// The same with further accounts of agents. What some of them own is not given to those that own nothing.
    pub fn with_agents(
        namespace: &str,
        agents: &[AgentAccount],
    ) -> Result<Self, AgentAccountError> {
        let mut accounts = Self::of_namespace(namespace);
        let owned = agents.iter().flat_map(|agent| agent.owns.iter().flatten());
        let rest = Scope::all_but(owned.cloned().collect());
        for scope in accounts.agents.values_mut() {
            scope.clone_from(&rest);
        }
        let mut named = BTreeSet::new();
        for agent in agents {
            let account = format!("{}/{}", agent.namespace, agent.name);
            if !named.insert(account.clone()) {
                return Err(AgentAccountError::Twice(account));
            }
            let scope = agent.owns.clone().map_or_else(|| rest.clone(), Scope::only);
            accounts.agents.insert(account, scope);
        }
        let count = accounts.agents.len();
        if count > MAX_AGENT_ACCOUNTS {
            return Err(AgentAccountError::TooMany(count));
        }
        Ok(accounts)
    }

    /// The namespaces in which agents run besides that of the system.
    pub fn agent_namespaces(&self) -> BTreeSet<String> {
        let agents = self.agents.keys();
        let namespaces = agents.filter_map(|account| Some(account.split_once('/')?.0));
        let others = namespaces.filter(|namespace| *namespace != self.namespace);
        others.map(str::to_owned).collect()
    }

    /// Who a user of the API server is, given the pod that the token is bound to.
    pub fn of_user(&self, user: &str, pod: Option<&str>) -> Result<Caller, AuthenticateError> {
        let account = user.strip_prefix("system:serviceaccount:");
        let Some((namespace, name)) = account.and_then(|account| account.split_once(':')) else {
            return denied(format!("{user} is no ServiceAccount"));
        };
        let account = format!("{namespace}/{name}");
        if self.agents.contains_key(&account) {
            let Some(pod) = pod else {
                return denied(format!(
                    "the token of {account} is bound to no pod: use a projected token"
                ));
            };
            return self.agent(namespace, name, Some(pod));
        }
        if self.inspectors.contains(&account) {
            return Ok(Caller {
                account: account.into(),
                role: Role::Inspector,
                node: None,
                realm: None,
                scope: Scope::All,
            });
        }
        denied(format!(
            "ServiceAccount {account} is neither an agent's nor an inspector's"
        ))
    }

    /// Who a certificate with these names is: a control plane, if our own authority says so, or an agent, by
    /// the SPIFFE ID `spiffe://<trust domain>/ns/<namespace>/sa/<account>` of its ServiceAccount.
    pub fn of_certificate(
        &self,
        names: &BTreeSet<String>,
        issuer: Issuer,
    ) -> Result<Caller, AuthenticateError> {
        let peer = self.peer_certificates.intersection(names).next();
        if let Some(peer) = peer.filter(|_| issuer == Issuer::Ours) {
            return Ok(Caller {
                account: peer.as_str().into(),
                role: Role::Peer,
                node: None,
                realm: None,
                scope: Scope::All,
            });
        }
        let accounts = names.iter().filter_map(|name| service_account(name));
        let mut agents = accounts
            .filter(|(namespace, name)| self.agents.contains_key(&format!("{namespace}/{name}")));
        match (agents.next(), agents.next()) {
            (Some((namespace, name)), None) => self.agent(namespace, name, None),
            (Some(_), Some(_)) => denied("the certificate names more than one agent".to_owned()),
            (None, _) => {
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                denied(format!(
                    "the certificate of {} is neither an agent's nor a control plane's",
                    names.join(", ")
                ))
            }
        }
    }

    fn agent(
        &self,
        namespace: &str,
        name: &str,
        pod: Option<&str>,
    ) -> Result<Caller, AuthenticateError> {
        let account = format!("{namespace}/{name}");
        let Some(scope) = self.agents.get(&account).cloned() else {
            return denied(format!("ServiceAccount {account} is not an agent's"));
        };
        Ok(Caller {
            account: account.into(),
            role: Role::Agent,
            node: pod.map(Into::into),
            realm: (namespace != self.namespace).then(|| namespace.into()),
            scope,
        })
    }
}

/// Who has signed a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Issuer {
    /// The control plane's own authority.
    Ours,
    /// An authority of client certificates.
    Other,
}

fn denied<T>(what: String) -> Result<T, AuthenticateError> {
    Err(AuthenticateError::Denied(what))
}

/// Namespace and name of the ServiceAccount in a SPIFFE ID.
fn service_account(name: &str) -> Option<(&str, &str)> {
    let mut parts = name.strip_prefix("spiffe://")?.split('/').skip(1);
    let parts = [
        parts.next()?,
        parts.next()?,
        parts.next()?,
        parts.next()?,
        parts.next().unwrap_or(""),
    ];
    match parts {
        ["ns", namespace, "sa", name, ""] => Some((namespace, name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "system:serviceaccount:novaedge-system:novaedge-agent";

    fn agents(texts: &[&str]) -> Result<Accounts, AgentAccountError> {
        let agents: Result<Vec<AgentAccount>, _> = texts.iter().map(|text| text.parse()).collect();
        Accounts::with_agents("novaedge-system", &agents?)
    }

    fn accounts() -> Accounts {
        Accounts {
            inspectors: ["ops/novactl".to_owned()].into(),
            ..agents(&["edge-a/agent=a1,a2", "edge-b/agent=b"]).unwrap()
        }
    }

    #[test]
    fn an_agents_token_is_good_for_its_pod() {
        let caller = accounts().of_user(USER, Some("agent-0")).unwrap();
        assert_eq!(&*caller.account, "novaedge-system/novaedge-agent");
        assert_eq!(caller.node.as_deref(), Some("agent-0"));
        assert_eq!(caller.role, Role::Agent);
        assert_eq!(caller.realm, None);
        assert!(accounts().of_user(USER, None).is_err());
    }

    #[test]
    fn agents_are_given_what_they_own_and_the_others_the_rest() {
        let given = |accounts: &Accounts, user: &str| {
            let caller = accounts.of_user(user, Some("p")).unwrap();
            let has = ["a1", "a2", "b", "else"].map(|namespace| caller.scope.has(namespace));
            (caller.realm.as_deref().map(str::to_owned), has)
        };
        let accounts = accounts();
        assert_eq!(given(&accounts, USER), (None, [false, false, false, true]));
        let a = given(&accounts, "system:serviceaccount:edge-a:agent");
        assert_eq!(a, (Some("edge-a".to_owned()), [true, true, false, false]));
        let b = given(&accounts, "system:serviceaccount:edge-b:agent");
        assert_eq!(b, (Some("edge-b".to_owned()), [false, false, true, false]));
        assert_eq!(
            accounts.agent_namespaces(),
            ["edge-a".into(), "edge-b".into()].into()
        );
        // Nobody owns anything, and everybody is given all.
        let shared = agents(&["edge/more"]).unwrap();
        for user in [USER, "system:serviceaccount:edge:more"] {
            assert_eq!(shared.of_user(user, Some("p")).unwrap().scope, Scope::All);
        }
        // Also the usual agents may own something, and leave the rest to nobody.
        let own = agents(&["novaedge-system/novaedge-agent=b"]).unwrap();
        assert_eq!(given(&own, USER).1, [false, false, true, false]);
    }

    #[test]
    fn accounts_that_mean_nothing_are_refused() {
        let refused = |texts: &[&str]| agents(texts).unwrap_err().to_string();
        assert!(refused(&["agent"]).contains("NAMESPACE/ACCOUNT"));
        assert!(refused(&["edge/agent="]).contains("\"\" is no name"));
        assert!(refused(&["edge/Agent"]).contains("\"Agent\""));
        assert!(refused(&["edge/agent=a", "edge/agent=b"]).contains("twice"));
        let many: Vec<String> = (0..64).map(|n| format!("edge/agent-{n}=n{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(refused(&many).contains("limit of 64"));
        assert!(agents(&many[1..]).is_ok());
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
        let known = |names: &[&str], issuer| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            accounts().of_certificate(&names, issuer)
        };
        let peer = "novaedge-control-plane.novaedge-system.svc";
        let caller = known(&["other", peer], Issuer::Ours).unwrap();
        assert_eq!(caller.role, Role::Peer);
        assert!(
            known(&[peer], Issuer::Other).is_err(),
            "others make no control plane"
        );
        let agent = "spiffe://cluster.local/ns/edge-a/sa/agent";
        let caller = known(&["other", agent], Issuer::Other).unwrap();
        assert_eq!(
            (caller.role, &*caller.account),
            (Role::Agent, "edge-a/agent")
        );
        assert_eq!(caller.realm.as_deref(), Some("edge-a"));
        assert!(caller.scope.has("a2") && !caller.scope.has("b"));
        for strange in [
            "else",
            "edge-a/agent",
            "spiffe://cluster.local/ns/else/sa/agent",
            "spiffe://cluster.local/ns/edge-a/sa/agent/more",
            "spiffe://cluster.local/ns/edge-a/sa",
            "https://cluster.local/ns/edge-a/sa/agent",
        ] {
            assert!(known(&[strange], Issuer::Other).is_err(), "{strange}");
        }
        let two = [agent, "spiffe://cluster.local/ns/edge-b/sa/agent"];
        assert!(known(&two, Issuer::Other).is_err());
    }
}
