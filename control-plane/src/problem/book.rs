//! All problems of all parts, kept so that a change costs as much as what changed.

use std::collections::BTreeMap;

use novaedge_api::meta::{ObjectId, ObjectKey};

use super::Problem;

/// Problems that people are shown; the rest is counted. A person mends a few at a time, and a folder
/// can have a hundred thousand of them.
pub const MAX_LISTED: usize = 1_000;

/// Who tells of problems, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The source, of a file.
    Source(String),
    /// The pipeline, of an object that it leaves out.
    LeftOut(ObjectId),
    /// Translation, of an object.
    Translated(ObjectId),
    /// Compilation, of a native object.
    Compiled(ObjectId),
    /// Publication, of a resource.
    Published(String),
    /// Agents, of a resource.
    Rejected(String),
    /// The writers, of all that they could not write.
    Unwritten,
    /// The fleet, of a Gateway.
    Fleet(ObjectKey),
}

/// The problems by scope, and sorted. The same problem from two scopes is one.
#[derive(Debug, Default)]
pub struct ProblemBook {
    scopes: BTreeMap<Scope, Vec<Problem>>,
    /// How many scopes tell of each problem.
    sorted: BTreeMap<Problem, usize>,
}

impl ProblemBook {
    /// Replaces what a scope tells of. Returns whether that is something else than before.
    pub fn set(&mut self, scope: Scope, problems: Vec<Problem>) -> bool {
        let before = self.scopes.get(&scope).map_or(&[][..], Vec::as_slice);
        if before == problems.as_slice() {
            return false;
        }
        for problem in self.scopes.remove(&scope).into_iter().flatten() {
            if let Some(count) = self.sorted.get_mut(&problem) {
                *count -= 1;
                if *count == 0 {
                    self.sorted.remove(&problem);
                }
            }
        }
        for problem in &problems {
            *self.sorted.entry(problem.clone()).or_default() += 1;
        }
        if !problems.is_empty() {
            self.scopes.insert(scope, problems);
        }
        true
    }

    /// The first problems in order, errors before warnings, and how many are left out.
    pub fn listed(&self) -> (Vec<Problem>, usize) {
        let listed = self.sorted.keys().take(MAX_LISTED).cloned().collect();
        (listed, self.sorted.len().saturating_sub(MAX_LISTED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(message: &str) -> Problem {
        Problem::in_file("a.yaml", None, "Invalid", message)
    }

    #[test]
    fn a_problem_is_listed_once_for_as_long_as_somebody_tells_of_it() {
        let mut book = ProblemBook::default();
        let (a, b) = (Scope::Source("a".into()), Scope::Published("b".into()));
        assert!(book.set(a.clone(), vec![problem("y"), problem("x")]));
        assert!(book.set(b.clone(), vec![problem("x")]));
        assert!(!book.set(b, vec![problem("x")]));
        assert_eq!(book.listed(), (vec![problem("x"), problem("y")], 0));
        assert!(book.set(a, Vec::new()));
        assert_eq!(book.listed(), (vec![problem("x")], 0));
    }

    #[test]
    fn the_list_is_bounded_and_says_what_it_leaves_out() {
        let mut book = ProblemBook::default();
        let many = (0..1_500).map(|n| problem(&format!("{n:04}"))).collect();
        book.set(Scope::Source("a".into()), many);
        let (listed, omitted) = book.listed();
        assert_eq!((listed.len(), omitted), (MAX_LISTED, 500));
        assert_eq!(listed[0], problem("0000"));
    }
}
