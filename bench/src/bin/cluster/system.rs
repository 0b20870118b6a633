//! What is measured: NovaEdge, or a peer on the same cluster.

use clap::ValueEnum;

/// A system whose data path is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum System {
    /// Its agents.
    Novaedge,
    /// As `bench/cluster/traefik` runs it.
    Traefik,
}

impl System {
    /// Its name in reports.
    pub fn title(self) -> &'static str {
        match self {
            Self::Novaedge => "NovaEdge",
            Self::Traefik => "Traefik",
        }
    }

    /// The file that its results are kept in.
    pub fn file(self) -> &'static str {
        match self {
            Self::Novaedge => "cluster.json",
            Self::Traefik => "cluster-traefik.json",
        }
    }

    /// Its GatewayClass.
    pub fn class(self) -> &'static str {
        match self {
            Self::Novaedge => "novaedge",
            Self::Traefik => "traefik",
        }
    }

    /// Namespace and label of the pods that serve.
    pub fn pods(self) -> (&'static str, &'static str) {
        match self {
            Self::Novaedge => ("novaedge-system", "app.kubernetes.io/name=novaedge-agent"),
            Self::Traefik => ("traefik-bench", "app=traefik"),
        }
    }

    /// The port that pods serve every Gateway's port 80 on, if it is always the same.
    pub fn port(self) -> Option<u16> {
        (self == Self::Traefik).then_some(80)
    }
}
