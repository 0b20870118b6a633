//! The lists of listeners that routes are bound to.

use std::{collections::HashSet, sync::Arc};

use rustc_hash::FxBuildHasher;

/// Most routes are bound to the same listeners as many others, so each list is kept once.
#[derive(Debug, Default)]
pub(super) struct Bound(HashSet<Arc<[Arc<str>]>, FxBuildHasher>);

impl Bound {
    /// A list, as other routes hold it if they do.
    pub(super) fn share(&mut self, listeners: Vec<Arc<str>>) -> Arc<[Arc<str>]> {
        if let Some(held) = self.0.get(listeners.as_slice()) {
            return Arc::clone(held);
        }
        let listeners: Arc<[_]> = listeners.into();
        self.0.insert(Arc::clone(&listeners));
        listeners
    }

    /// Forgets a list when the last route that holds it has gone.
    pub(super) fn release(&mut self, listeners: &Arc<[Arc<str>]>) {
        // The route's own and that in the set.
        if Arc::strong_count(listeners) <= 2 {
            self.0.remove(&**listeners);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_kept_once_and_as_long_as_a_route_holds_it() {
        let mut bound = Bound::default();
        let list = |name: &str| vec![Arc::from(name)];
        let (a, same, other) = (
            bound.share(list("a")),
            bound.share(list("a")),
            bound.share(list("b")),
        );
        assert!(Arc::ptr_eq(&a, &same));
        bound.release(&other);
        bound.release(&same);
        drop(same);
        assert_eq!(bound.0.len(), 1);
        bound.release(&a);
        assert!(bound.0.is_empty());
    }
}
