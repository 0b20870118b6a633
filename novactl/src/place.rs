//! Where to look: a folder, a server, or a cluster. Pure, by the command line and what the environment tells.

use std::path::PathBuf;

use crate::{
    arguments::Place,
    cluster::{Access, default_kubeconfig, in_pod},
    server::DEFAULT_SERVER,
    source::STATE_DIR,
};

/// What the environment tells of places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// `NOVACTL_SERVER`.
    pub server: Option<String>,
    /// `NOVACTL_FOLDER`.
    pub folder: Option<PathBuf>,
    /// `NOVACTL_STATE_DIR`.
    pub state_dir: Option<PathBuf>,
    /// Whether the current folder is served.
    pub is_served_here: bool,
    /// Whether a cluster is configured: by `KUBECONFIG`, `~/.kube/config`, or in a pod.
    pub has_cluster: bool,
}

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// A standalone system.
    Standalone(Standalone),
    /// A cluster.
    Cluster(Access),
}

/// A standalone system, as far as it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standalone {
    /// URL of its control plane.
    pub server: String,
    /// Its manifests.
    pub folder: Option<PathBuf>,
    /// Its state folder.
    pub state_dir: Option<PathBuf>,
}

/// A command line that names two places.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cluster} names a cluster and {standalone} a standalone system: give one of them")]
pub struct TwoPlaces {
    cluster: &'static str,
    standalone: &'static str,
}

impl Environment {
    /// That of this process.
    pub fn of_process() -> Self {
        let word = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            server: word("NOVACTL_SERVER"),
            folder: word("NOVACTL_FOLDER").map(PathBuf::from),
            state_dir: word("NOVACTL_STATE_DIR").map(PathBuf::from),
            is_served_here: PathBuf::from(STATE_DIR).is_dir(),
            has_cluster: word("KUBECONFIG").is_some() || default_kubeconfig().is_some() || in_pod(),
        }
    }
}

/// The place, by these rules: flags before the environment; `NOVACTL_…` before the current folder; a current folder that is
/// served before a configured cluster; and without anything, the server that `novaedge run` has by itself.
pub fn choose(flags: &Place, environment: &Environment) -> Result<Chosen, TwoPlaces> {
    let cluster = named([
        ("--kubeconfig", flags.kubeconfig.is_some()),
        ("--context", flags.context.is_some()),
        ("--system-namespace", flags.system_namespace.is_some()),
    ]);
    let standalone = named([
        ("-f", flags.folder.is_some()),
        ("--state-dir", flags.state_dir.is_some()),
        ("--server", flags.server.is_some()),
    ]);
    let system = flags.system_namespace.as_deref();
    let access = Access {
        kubeconfig: flags.kubeconfig.clone(),
        context: flags.context.clone(),
        system: system
            .unwrap_or(crate::cluster::SYSTEM_NAMESPACE)
            .to_owned(),
    };
    let by_environment = environment.server.is_some()
        || environment.folder.is_some()
        || environment.state_dir.is_some()
        || environment.is_served_here;
    match (cluster, standalone) {
        (Some(cluster), Some(standalone)) => Err(TwoPlaces {
            cluster,
            standalone,
        }),
        (Some(_), None) => Ok(Chosen::Cluster(access)),
        (None, None) if !by_environment && environment.has_cluster => Ok(Chosen::Cluster(access)),
        (None, _) => Ok(Chosen::Standalone(self::standalone(flags, environment))),
    }
}

/// The standalone system that flags and environment name, flags first.
pub fn standalone(flags: &Place, environment: &Environment) -> Standalone {
    let server = flags.server.clone().or_else(|| environment.server.clone());
    Standalone {
        server: server.unwrap_or_else(|| DEFAULT_SERVER.to_owned()),
        folder: flags.folder.clone().or_else(|| environment.folder.clone()),
        state_dir: flags
            .state_dir
            .clone()
            .or_else(|| environment.state_dir.clone()),
    }
}

fn named(flags: [(&'static str, bool); 3]) -> Option<&'static str> {
    flags
        .into_iter()
        .find_map(|(name, given)| given.then_some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(chosen: Result<Chosen, TwoPlaces>) -> String {
        match chosen {
            Ok(Chosen::Cluster(access)) => format!("cluster {:?}", access.context),
            Ok(Chosen::Standalone(place)) => format!("{} {:?}", place.server, place.folder),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn flags_come_before_the_environment_and_a_folder_before_a_cluster() {
        let none = Place::default();
        let nothing = Environment::default();
        let cluster = Environment {
            has_cluster: true,
            ..Environment::default()
        };
        let here = Environment {
            is_served_here: true,
            ..cluster.clone()
        };
        let variables = Environment {
            server: Some("http://a:1".into()),
            folder: Some("b".into()),
            ..cluster.clone()
        };
        let context = Place {
            context: Some("c".into()),
            ..Place::default()
        };
        let folder = Place {
            folder: Some("d".into()),
            ..Place::default()
        };
        let server = Place {
            server: Some("http://e:1".into()),
            ..Place::default()
        };
        let both = Place {
            context: Some("c".into()),
            ..folder.clone()
        };
        let default = "http://127.0.0.1:18000";
        let check = |flags: &Place, environment: &Environment, expect: &str| {
            assert_eq!(words(choose(flags, environment)), expect);
        };
        check(&none, &nothing, &format!("{default} None"));
        check(&none, &cluster, "cluster None");
        check(&none, &here, &format!("{default} None"));
        check(&none, &variables, "http://a:1 Some(\"b\")");
        check(&context, &variables, "cluster Some(\"c\")");
        check(&context, &here, "cluster Some(\"c\")");
        check(&folder, &cluster, &format!("{default} Some(\"d\")"));
        check(&folder, &variables, "http://a:1 Some(\"d\")");
        check(&server, &cluster, "http://e:1 None");
        check(
            &both,
            &nothing,
            "--context names a cluster and -f a standalone system: give one of them",
        );
    }
}
