//! From where a command line says to look to sources and servers.

use std::path::PathBuf;

use super::{Failure, Terminal};
use crate::{
    arguments::Place,
    cluster::Cluster,
    place::{Chosen, Environment, Standalone, TwoPlaces, choose, standalone},
    server::Server,
    source::{ClusterSource, Source, SourceError},
};

/// Where to look.
pub(super) struct Looking<'a> {
    flags: &'a Place,
    environment: Environment,
}

impl<'a> Looking<'a> {
    /// By flags and the environment of this process.
    pub(super) fn new(flags: &'a Place) -> Self {
        Self {
            flags,
            environment: Environment::of_process(),
        }
    }

    /// The place.
    pub(super) fn chosen(&self) -> Result<Chosen, TwoPlaces> {
        choose(self.flags, &self.environment)
    }

    /// What flags and environment name besides clusters.
    pub(super) fn standalone(&self) -> Standalone {
        standalone(self.flags, &self.environment)
    }

    /// The kubeconfig of the flags.
    pub(super) fn flags(&self) -> &Place {
        self.flags
    }

    /// The folder or file of manifests that is named.
    pub(super) fn manifests(&self) -> Result<PathBuf, SourceError> {
        self.standalone().folder.ok_or(SourceError::NoManifests)
    }

    /// Objects with statuses.
    pub(super) async fn source(&self) -> Result<Source, Failure> {
        match self.chosen()? {
            Chosen::Standalone(place) => Ok(Source::of_standalone(&place)?),
            Chosen::Cluster(access) => {
                let cluster = Cluster::open(&access).await.map_err(SourceError::from)?;
                Ok(Source::Cluster(ClusterSource::new(cluster)))
            }
        }
    }

    /// The control planes: all replicas of a cluster that answer, else the one server.
    pub(super) async fn servers(&self, to: &mut Terminal<'_>) -> Result<Vec<Server>, Failure> {
        let access = match self.chosen()? {
            Chosen::Standalone(place) => return Ok(vec![Server::connect(&place.server).await?]),
            Chosen::Cluster(access) => access,
        };
        let cluster = Cluster::open(&access).await.map_err(SourceError::from)?;
        let (servers, silent) = Server::of_cluster(&cluster).await?;
        for error in silent {
            writeln!(to.remarks, "{error}")?;
        }
        Ok(servers)
    }

    /// One control plane, and the namespace of names that come without one.
    pub(super) async fn server(&self) -> Result<(Server, String), Failure> {
        match self.chosen()? {
            Chosen::Standalone(place) => {
                let server = Server::connect(&place.server).await?;
                Ok((server, "default".to_owned()))
            }
            Chosen::Cluster(access) => {
                let cluster = Cluster::open(&access).await.map_err(SourceError::from)?;
                let server = Server::any_of_cluster(&cluster).await?;
                Ok((server, cluster.namespace))
            }
        }
    }
}
