//! Names of endpoints, resolved when a connection is opened.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::metrics::Metrics;

/// The addresses of a name.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + 'a>>;

/// Turns DNS names into addresses. The agent brings one; tests bring a table.
pub trait Resolve {
    /// The addresses of `name`, in the order to try them.
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a>;
}

/// Answers that are kept for a short time, at most so many.
pub(crate) struct DnsCache {
    resolver: Rc<dyn Resolve>,
    ttl: Duration,
    capacity: usize,
    metrics: Arc<Metrics>,
    names: RefCell<FxHashMap<Arc<str>, Answer>>,
}

struct Answer {
    addresses: Rc<[IpAddr]>,
    expires: Instant,
}

impl DnsCache {
    pub(crate) fn new(
        resolver: Rc<dyn Resolve>,
        ttl: Duration,
        capacity: usize,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            resolver,
            ttl,
            capacity,
            metrics,
            names: RefCell::default(),
        }
    }

    /// The addresses of `name`; an answer without any is an error.
    pub(crate) async fn resolve(&self, name: &Arc<str>) -> io::Result<Rc<[IpAddr]>> {
        let now = Instant::now();
        if let Some(answer) = self.names.borrow().get(name)
            && answer.expires > now
        {
            return Ok(Rc::clone(&answer.addresses));
        }
        let addresses: Rc<[IpAddr]> = self.resolver.resolve(name).await?.into();
        if addresses.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the name has no address",
            ));
        }
        self.keep(name, &addresses);
        Ok(addresses)
    }

    fn keep(&self, name: &Arc<str>, addresses: &Rc<[IpAddr]>) {
        let now = Instant::now();
        let mut names = self.names.borrow_mut();
        if names.len() >= self.capacity {
            names.retain(|_, answer| answer.expires > now);
        }
        if names.len() < self.capacity {
            let answer = Answer {
                addresses: Rc::clone(addresses),
                expires: now + self.ttl,
            };
            names.insert(Arc::clone(name), answer);
        } else {
            self.metrics.names_not_kept.increment();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    struct Counting(Cell<u32>);

    impl Resolve for Counting {
        fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
            self.0.set(self.0.get() + 1);
            let found = if name == "none" {
                vec![]
            } else {
                vec![IpAddr::from([127, 0, 0, 1])]
            };
            Box::pin(std::future::ready(Ok(found)))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn answers_are_kept_briefly_and_bounded() {
        let resolver = Rc::new(Counting(Cell::new(0)));
        let cache = DnsCache::new(resolver.clone(), Duration::from_secs(5), 1, Arc::default());
        let (a, b, none) = (Arc::from("a"), Arc::from("b"), Arc::from("none"));
        cache.resolve(&a).await.unwrap();
        cache.resolve(&a).await.unwrap();
        assert_eq!(resolver.0.get(), 1);
        cache.resolve(&b).await.unwrap();
        cache.resolve(&b).await.unwrap();
        assert_eq!(resolver.0.get(), 3, "a full cache keeps no more names");
        assert_eq!(cache.metrics.names_not_kept.get(), 2);
        tokio::time::advance(Duration::from_secs(6)).await;
        cache.resolve(&b).await.unwrap();
        cache.resolve(&b).await.unwrap();
        assert_eq!(resolver.0.get(), 4, "expired names make room");
        assert!(cache.resolve(&none).await.is_err());
    }
}
