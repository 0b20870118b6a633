//! What a worker remembers by names, found by their addresses.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Weak};

use rustc_hash::FxHashMap;

/// What is remembered before it is looked for what is gone.
const FEW: usize = 64;

/// Things by names that others hold: as long as a name is held, its address is its own. So nobody reads the names to find
/// what is there, and what is there outlives those tables that have the same names as the tables before.
#[derive(Debug)]
pub struct ByName<T, const NAMES: usize> {
    known: RefCell<FxHashMap<[usize; NAMES], Known<T, NAMES>>>,
    /// How many to remember before the next look.
    most: Cell<usize>,
}

#[derive(Debug)]
struct Known<T, const NAMES: usize> {
    thing: Rc<T>,
    /// The addresses are theirs alone as long as these are there.
    names: [Option<Weak<str>>; NAMES],
}

impl<T, const NAMES: usize> Default for ByName<T, NAMES> {
    fn default() -> Self {
        Self {
            known: RefCell::default(),
            most: Cell::new(FEW),
        }
    }
}

impl<T, const NAMES: usize> ByName<T, NAMES> {
    /// What these names stand for, made the first time. A name may be missing.
    pub fn get(&self, names: [Option<&Arc<str>>; NAMES], make: impl FnOnce() -> T) -> Rc<T> {
        let address = |name: &Arc<str>| Arc::as_ptr(name).cast::<u8>().addr();
        let key = names.map(|name| name.map_or(0, address));
        let mut known = self.known.borrow_mut();
        if let Some(found) = known.get(&key) {
            return Rc::clone(&found.thing);
        }
        if known.len() >= self.most.get() {
            known.retain(|_, one| one.is_current());
            self.most.set(FEW.max(2 * known.len()));
        }
        let thing = Rc::new(make());
        let one = Known {
            thing: Rc::clone(&thing),
            names: names.map(|name| name.map(Arc::downgrade)),
        };
        known.insert(key, one);
        thing
    }

    /// How many are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.borrow().len()
    }

    /// Whether nothing is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T, const NAMES: usize> Known<T, NAMES> {
    /// Whether somebody still has the names.
    fn is_current(&self) -> bool {
        let mut names = self.names.iter().flatten();
        names.all(|name| name.strong_count() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_are_told_apart_by_who_holds_them() {
        let things = ByName::<u32, 2>::default();
        let (a, b) = (Arc::<str>::from("a"), Arc::<str>::from("a"));
        assert_eq!(*things.get([Some(&a), None], || 1), 1);
        assert_eq!(*things.get([Some(&a), None], || 2), 1);
        assert_eq!(*things.get([Some(&b), None], || 3), 3);
        assert_eq!(*things.get([None, Some(&a)], || 4), 4);
        assert_eq!(*things.get([None, None], || 5), 5);
        assert_eq!(things.len(), 4);
    }

    #[test]
    fn what_nobody_has_any_more_makes_room() {
        let things = ByName::<usize, 1>::default();
        let kept: Vec<Arc<str>> = (0..10).map(|number| number.to_string().into()).collect();
        for (number, name) in kept.iter().enumerate() {
            things.get([Some(name)], || number);
        }
        for _ in 0..1_000 {
            let name = Arc::<str>::from("gone");
            things.get([Some(&name)], || 0);
        }
        assert!(things.len() <= 2 * FEW, "{}", things.len());
        for (number, name) in kept.iter().enumerate() {
            assert_eq!(*things.get([Some(name)], || 99), number);
        }
    }
}
