//! Rules of every kind of route, as native rules.

use std::collections::BTreeMap;

use novaedge_api::gateway::{BackendRef, Duration};
use novaedge_api::native::{
    ProxyBackendRef, ProxyBackendTarget, ProxyFilter, ProxyMatch, ProxyRouteRule,
};

use super::fault::Fault;
use super::matches::Matches;
use super::status::Judgement;
use crate::backend::reference::{Found, Refs};
use crate::filter::{self, Given, Place};

/// The rules of one route, converted one after the other.
pub(crate) struct Rules<'a, 'v> {
    /// References of the route.
    pub(crate) refs: Refs<'a, 'v>,
    native: Vec<ProxyRouteRule>,
    /// The place in the route of each native rule.
    places: Vec<usize>,
    /// The place of the rule at hand.
    place: usize,
    faults: Vec<Fault>,
    /// Rules that are served as written, at least in part.
    served: usize,
    /// Backends of the current rule whose filters cannot be served.
    refused_backends: usize,
}

/// What came of all rules.
pub(crate) struct Converted {
    /// The native rules.
    pub(crate) native: Vec<ProxyRouteRule>,
    /// The place in the route of each of them.
    pub(crate) places: Vec<usize>,
    /// What the status says.
    pub(crate) judgement: Judgement,
    /// What the references came to; its faults have moved to the judgement.
    pub(crate) found: Found,
}

impl<'a, 'v> Rules<'a, 'v> {
    /// No rules yet.
    pub(crate) fn new(refs: Refs<'a, 'v>) -> Self {
        Self {
            refs,
            native: Vec::new(),
            places: Vec::new(),
            place: 0,
            faults: Vec::new(),
            served: 0,
            refused_backends: 0,
        }
    }

    /// What came of all rules.
    pub(crate) fn finish(self) -> Converted {
        let mut found = self.refs.into_found();
        let judgement = Judgement {
            hopeless: self.served == 0 && !self.faults.is_empty(),
            rules: self.faults,
            references: std::mem::take(&mut found.faults),
        };
        Converted {
            native: self.native,
            places: self.places,
            judgement,
            found,
        }
    }

    /// Goes to the rule at a place of the route; what comes next belongs to it.
    pub(crate) fn begin(&mut self, place: usize) -> String {
        self.place = place;
        format!("spec.rules[{place}]")
    }

    fn push(&mut self, rule: ProxyRouteRule) {
        self.native.push(rule);
        self.places.push(self.place);
    }

    /// Takes the matches of a rule: those that can be served. None when the rule had some and none
    /// is left: a rule without matches would match everything, so it is left out.
    pub(crate) fn matches(&mut self, matches: Matches) -> Option<Vec<ProxyMatch>> {
        let lost = matches.lost();
        self.refs.ignored().extend(matches.ignored);
        self.faults.extend(matches.faults);
        (!lost).then_some(matches.native)
    }

    /// Adds a rule that is served as written, apart from matches and backends that are not.
    pub(crate) fn serve(&mut self, rule: ProxyRouteRule) {
        // Backends whose reference does not resolve are served as written: with a 500, as the
        // specification wants it. Backends whose filters are refused are not.
        let refused = std::mem::take(&mut self.refused_backends);
        if refused == 0 || refused < rule.backend_refs.len() {
            self.served += 1;
        }
        self.push(rule);
    }

    /// Adds a rule that cannot be served as written: it keeps its matches and answers 500, so that
    /// its requests never reach a broader rule instead.
    pub(crate) fn refuse(&mut self, rule: ProxyRouteRule, fault: Fault) {
        self.refused_backends = 0;
        let ProxyRouteRule { name, matches, .. } = rule;
        self.push(ProxyRouteRule {
            name,
            matches,
            invalid: Some(fault.invalid()),
            ..ProxyRouteRule::default()
        });
        // What is wrong with the route as a whole is said once.
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// A share of a rule's traffic. A backend that cannot be used keeps its weight and answers 500.
    pub(crate) fn backend<'f>(
        &mut self,
        field: &str,
        given: &BackendRef,
        filters: impl Iterator<Item = Given<'f>>,
        prefix: bool,
    ) -> ProxyBackendRef {
        let reference = self.refs.backend(field, &given.object());
        let field = format!("{field}.filters");
        let place = Place {
            field: &field,
            prefix,
            backends: false,
        };
        let filters = filter::convert(filters, place, &mut self.refs);
        let (target, filters) = match (reference, filters) {
            (Ok(reference), Ok(filters)) => (ProxyBackendTarget::Backend(reference), filters),
            (Err(fault), Ok(_)) => (ProxyBackendTarget::Invalid(fault.invalid()), Vec::new()),
            (_, Err(fault)) => {
                let target = ProxyBackendTarget::Invalid(fault.invalid());
                self.faults.push(fault);
                self.refused_backends += 1;
                (target, Vec::new())
            }
        };
        ProxyBackendRef {
            weight: given.weight,
            target,
            filters,
        }
    }

    /// Tells of a rule that sends nothing anywhere.
    pub(crate) fn note_silence(&mut self, field: &str, backends: &[ProxyBackendRef], answer: &str) {
        let text = if backends.is_empty() {
            format!("the rule has no backends and {answer}; add backendRefs")
        } else if backends.iter().all(|backend| backend.weight == 0) {
            format!("every weight is 0, so the rule {answer}; give a backend a weight")
        } else {
            return;
        };
        let fault = Fault::unsupported(format!("{field}.backendRefs"), text);
        self.refs.ignored().push(fault);
    }
}

impl Converted {
    /// Takes in which native rules the agents cannot serve, and why. Those rules stay where they are: only what the
    /// status says of them changes.
    pub(crate) fn reject(&mut self, rejected: &BTreeMap<usize, String>) {
        let mut served = self.native.iter().enumerate();
        let lost =
            served.all(|(index, rule)| rule.invalid.is_some() || rejected.contains_key(&index));
        for (index, error) in rejected {
            let Some(place) = self.places.get(*index) else {
                continue;
            };
            let text = format!("the agents cannot serve the rule: {error}");
            let fault = Fault::unsupported(format!("spec.rules[{place}]"), text);
            self.judgement.rules.push(fault);
            self.judgement.hopeless |= lost;
        }
    }
}

/// Whether the filters answer requests themselves.
pub(crate) fn answers(filters: &[ProxyFilter]) -> bool {
    filters
        .iter()
        .any(|filter| matches!(filter, ProxyFilter::RequestRedirect(_)))
}

/// A duration in milliseconds.
pub(crate) fn millis(given: Option<&Duration>, field: &str) -> Result<Option<u64>, Fault> {
    let parsed = given.map(Duration::as_millis).transpose();
    parsed.map_err(|error| Fault::unsupported(field, format!("{error}; correct it")))
}
