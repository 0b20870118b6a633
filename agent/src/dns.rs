//! Names of endpoints, by the system's resolver configuration.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::Name;

/// A resolver of one worker. It caches as the records allow.
pub(crate) struct Dns {
    resolver: Result<TokioResolver, String>,
}

impl Dns {
    /// Reads the system's configuration. A host without one resolves nothing and serves the rest.
    pub(crate) fn new() -> Self {
        let resolver =
            TokioResolver::builder_tokio().and_then(hickory_resolver::ResolverBuilder::build);
        Self {
            resolver: resolver.map_err(|error| error.to_string()),
        }
    }

    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let mut absolute = parse(name)?;
        // Endpoints carry full names; a single label is left to the hosts file and search list.
        absolute.set_fqdn(name.contains('.'));
        self.find(absolute).await
    }

    async fn find(&self, name: Name) -> io::Result<Vec<IpAddr>> {
        let resolver = self.resolver.as_ref().map_err(|error| {
            io::Error::other(format!(
                "the system's resolver configuration can't be used: {error}"
            ))
        })?;
        let found = resolver.lookup_ip(name).await.map_err(io::Error::other)?;
        Ok(found.iter().collect())
    }
}

fn parse(name: &str) -> io::Result<Name> {
    Name::from_utf8(name).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

impl novaedge_proxy::Resolve for Dns {
    fn resolve<'a>(&'a self, name: &'a str) -> novaedge_proxy::Resolving<'a> {
        Box::pin(self.lookup(name))
    }
}

impl novaedge_l4::Resolve for Dns {
    fn resolve<'a>(&'a self, name: &'a str) -> novaedge_l4::Resolving<'a> {
        Box::pin(self.lookup(name))
    }
}

/// Names of the control plane, such as `novaedge-control-plane.novaedge-system.svc`, which the search
/// list completes. Each connection looks up anew, so that nothing is kept that may be wrong by then.
#[derive(Debug)]
pub(crate) struct ControlPlaneDns;

impl novaedge_subscribe::Resolve for ControlPlaneDns {
    fn resolve(&self, host: String, port: u16) -> Addresses<'_> {
        Box::pin(async move {
            let found = Dns::new().find(parse(&host)?).await?;
            Ok(found.into_iter().map(|ip| (ip, port).into()).collect())
        })
    }
}

type Addresses<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_hosts_file_is_read() {
        let dns = Dns::new();
        if dns.resolver.is_ok() {
            let found = dns.lookup("localhost").await.unwrap();
            assert!(found.iter().all(IpAddr::is_loopback), "{found:?}");
        }
    }
}
