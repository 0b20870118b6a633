//! Which cluster, by the rules of kubectl: `--kubeconfig`, else `KUBECONFIG`, else `~/.kube/config`, else the
//! ServiceAccount of the pod that this runs in.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use super::{Cluster, ClusterError};

/// What the cluster is called that the pod runs in which this runs in.
pub const IN_CLUSTER: &str = "in-cluster";
/// How long a connection to the API server may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Which cluster, as the command line says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// A file in place of what the environment names.
    pub kubeconfig: Option<PathBuf>,
    /// A context in place of the current one.
    pub context: Option<String>,
    /// The namespace that the control plane is deployed in.
    pub system: String,
}

impl Cluster {
    /// A client for the cluster. Nothing is asked yet.
    pub async fn open(access: &Access) -> Result<Self, ClusterError> {
        let (mut config, context) = match kubeconfig(access)? {
            Some((file, kubeconfig)) => of_kubeconfig(&file, kubeconfig, access).await?,
            None if access.context.is_none() && in_pod() => {
                let config = Config::incluster().map_err(|error| ClusterError::Kubeconfig {
                    file: "of the pod's ServiceAccount".to_owned(),
                    reason: error.to_string(),
                })?;
                (config, IN_CLUSTER.to_owned())
            }
            None => return Err(ClusterError::NotConfigured),
        };
        config.connect_timeout = Some(CONNECT_LIMIT);
        let (namespace, url) = (
            config.default_namespace.clone(),
            config.cluster_url.to_string(),
        );
        let client = Client::try_from(config).map_err(|error| ClusterError::Kubeconfig {
            file: format!("of context {context}"),
            reason: deepest(&error),
        })?;
        Ok(Self {
            client,
            context,
            namespace,
            system: access.system.clone(),
            url,
        })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }
}

/// `~/.kube/config`, if there is one.
pub fn default_kubeconfig() -> Option<PathBuf> {
    let file = env::home_dir()?.join(".kube/config");
    file.is_file().then_some(file)
}

/// Whether this runs in a pod that has a ServiceAccount.
pub fn in_pod() -> bool {
    env::var_os("KUBERNETES_SERVICE_HOST").is_some()
        && Path::new("/var/run/secrets/kubernetes.io/serviceaccount/token").is_file()
}

/// The kubeconfig with the name of its file or files; none when nothing names one.
fn kubeconfig(access: &Access) -> Result<Option<(String, Kubeconfig)>, ClusterError> {
    let unusable = |file: &str, error: &dyn std::error::Error| ClusterError::Kubeconfig {
        file: file.to_owned(),
        reason: deepest(error),
    };
    let of_file = |path: &Path| {
        let file = path.display().to_string();
        let read = Kubeconfig::read_from(path).map_err(|error| unusable(&file, &error))?;
        Ok(Some((file, read)))
    };
    if let Some(path) = &access.kubeconfig {
        return of_file(path);
    }
    let named = env::var("KUBECONFIG").unwrap_or_default();
    if let Some(merged) = Kubeconfig::from_env().map_err(|error| unusable(&named, &error))? {
        return Ok(Some((named, merged)));
    }
    match default_kubeconfig() {
        Some(path) => of_file(&path),
        None => Ok(None),
    }
}

async fn of_kubeconfig(
    file: &str,
    kubeconfig: Kubeconfig,
    access: &Access,
) -> Result<(Config, String), ClusterError> {
    let known: Vec<&str> = kubeconfig
        .contexts
        .iter()
        .map(|c| c.name.as_str())
        .collect();
    let list = match known.as_slice() {
        [] => "<none>".to_owned(),
        known => known.join(", "),
    };
    let current = kubeconfig.current_context.clone();
    let context = access
        .context
        .clone()
        .or(current.filter(|name| !name.is_empty()));
    let Some(context) = context else {
        return Err(ClusterError::NoCurrentContext {
            file: file.to_owned(),
            known: list,
        });
    };
    if !known.contains(&context.as_str()) {
        return Err(ClusterError::NoContext {
            file: file.to_owned(),
            context,
            known: list,
        });
    }
    let options = KubeConfigOptions {
        context: Some(context.clone()),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    let config = config.map_err(|error| ClusterError::Kubeconfig {
        file: format!("{file} (context {context})"),
        reason: deepest(&error),
    })?;
    Ok((config, context))
}

/// The words of an error and of the one that it comes from.
pub(crate) fn deepest(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    let (first, last) = (error.to_string(), last.to_string());
    if first.contains(&last) {
        first
    } else {
        format!("{first}: {last}")
    }
}
