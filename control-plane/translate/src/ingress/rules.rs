//! The rules of the ProxyRoute of an Ingress.

mod backend;
mod serve;
mod settings;

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::Ingress;
use novaedge_api::meta::{Kind, ObjectId};
use novaedge_api::native::{ProxyMirror, ProxyRouteRule};

use self::settings::mirror;
use super::canary::shares;
use super::claim::{CanaryClaim, IngressClaims};
use super::entrance::Entrance;
use super::entry::{CONFLICTED, Entry, entries};
use super::path::Rewrite;
use super::settings::Settings;
use crate::backend::reference::{Found, Refs};
use crate::plan::Traffic;
use crate::route::fault::Fault;
use crate::view::View;

/// Rules of one ProxyRoute, as many as it may have.
const MAX_RULES: usize = 128;
/// Matches of one rule, as many as it may have.
const MAX_MATCHES: usize = 128;
/// The rules of one Ingress, made one after the other.
pub(super) struct Rules<'a, 'v> {
    view: &'a View<'v>,
    id: &'a ObjectId,
    settings: &'a Settings,
    claims: &'a IngressClaims,
    entrance: &'a Entrance,
    refs: Refs<'a, 'v>,
    /// The copies that another backend gets.
    mirror: Option<ProxyMirror>,
    native: Vec<ProxyRouteRule>,
    /// The entry that each rule was made for first.
    fields: Vec<String>,
    faults: Vec<Fault>,
}

/// What came of all entries.
pub(super) struct Made {
    pub(super) native: Vec<ProxyRouteRule>,
    fields: Vec<String>,
    pub(super) faults: Vec<Fault>,
    pub(super) found: Found,
}

impl Made {
    /// Takes in which rules the agents cannot serve, and why.
    pub(super) fn reject(&mut self, rejected: &BTreeMap<usize, String>) {
        for (index, error) in rejected {
            if let Some(field) = self.fields.get(*index) {
                let text = format!("the agents cannot serve it: {error}");
                self.faults.push(Fault::unsupported(field, text));
            }
        }
    }
}

impl<'a, 'v> Rules<'a, 'v> {
    /// The rules of an Ingress.
    pub(super) fn of(
        view: &'a View<'v>,
        id: &'a ObjectId,
        ingress: &Ingress,
        settings: &'a Settings,
        claims: &'a IngressClaims,
        entrance: &'a Entrance,
    ) -> Self {
        let mut refs = Refs::new(view, Kind::Ingress, &id.key.namespace, Traffic::Http);
        let mirror = mirror(settings, &mut refs);
        let (entries, faults) = entries(ingress, settings);
        let mut rules = Self {
            view,
            id,
            settings,
            claims,
            entrance,
            refs,
            mirror,
            native: Vec::new(),
            fields: Vec::new(),
            faults,
        };
        for entry in &entries {
            match &settings.canary {
                Some(_) => rules.canary(entry),
                None => rules.entry(entry),
            }
        }
        rules
    }

    pub(super) fn finish(self) -> Made {
        Made {
            native: self.native,
            fields: self.fields,
            faults: self.faults,
            found: self.refs.into_found(),
        }
    }

    /// A canary has no rules of its own: its share stands in those of the Ingress that it belongs to.
    fn canary(&mut self, entry: &Entry<'_>) {
        let place = &entry.place;
        let main = self
            .view
            .path_claims(&self.claims.class, place)
            .into_iter()
            .next();
        let text = match main {
            None => {
                "it is a canary, and no Ingress has the same host and path; create that, or remove the annotations \
                 novaedge.io/canary-*"
                    .to_owned()
            }
            Some(main) if main.ingress.namespace != self.id.key.namespace => format!(
                "it is a canary of Ingress {}, which is in another namespace; move one of them",
                main.ingress
            ),
            Some(main) => match self.first_canary(entry) {
                Some(first) if first.ingress != self.id.key => format!(
                    "Ingress {} goes before as a canary of Ingress {}; remove one",
                    first.ingress, main.ingress
                ),
                _ => return,
            },
        };
        self.faults.push(Fault::new(&entry.field, CONFLICTED, text));
    }

    /// The canary of a place that counts: the first one in the namespace of this Ingress.
    fn first_canary(&self, entry: &Entry<'_>) -> Option<CanaryClaim> {
        let claims = self.view.canary_claims(&self.claims.class, &entry.place);
        let mut near = claims
            .into_iter()
            .filter(|claim| claim.ingress.namespace == self.id.key.namespace);
        near.next()
    }

    fn entry(&mut self, entry: &Entry<'_>) {
        let claims = self.view.path_claims(&self.claims.class, &entry.place);
        if let Some(winner) = claims.first().filter(|claim| claim.ingress != self.id.key) {
            let text = format!(
                "Ingress {} goes before with the same host and path, and is served; remove one",
                winner.ingress
            );
            self.faults.push(Fault::new(&entry.field, CONFLICTED, text));
            return;
        }
        let rewrite = match self.rewrite(entry) {
            Ok(rewrite) => rewrite,
            Err(fault) => {
                // Without the rewrite a backend would see paths that are not meant for it.
                self.faults.push(fault.clone());
                self.refuse(entry, None, &fault);
                return;
            }
        };
        if let Some(fault) = &self.settings.closed {
            self.refuse(entry, rewrite.as_ref(), fault);
            return;
        }
        let own = &self.settings.backend;
        let main = self.backend(&entry.backend_field, entry.backend, &self.id.key, own);
        let canary = self.first_canary(entry).map(|claim| {
            let backend = self.canary_backend(&claim);
            (claim.canary, backend)
        });
        let canary = canary
            .as_ref()
            .map(|(canary, backend)| (canary, backend.clone()));
        let shares = shares(main, canary);
        self.serve(entry, rewrite.as_ref(), shares);
    }

    /// What `rewrite-target` makes of the path.
    fn rewrite(&self, entry: &Entry<'_>) -> Result<Option<Rewrite>, Fault> {
        let Some(target) = &self.settings.rewrite_target else {
            return Ok(None);
        };
        let rewrite = entry.place.path.rewrite(target);
        rewrite
            .map(Some)
            .map_err(|text| super::value::fault("rewrite-target", text))
    }

    /// Adds a rule; one that differs from another in its matches alone adds them to that.
    fn push(&mut self, mut rule: ProxyRouteRule, field: &str) {
        let matches = std::mem::take(&mut rule.matches);
        let mut same = self.native.iter_mut().filter(|other| {
            other.matches.len() + matches.len() <= MAX_MATCHES && is_same(other, &rule)
        });
        if let Some(other) = same.next() {
            other.matches.extend(matches);
            return;
        }
        if self.native.len() == MAX_RULES {
            let text = format!(
                "the Ingress has more than {MAX_RULES} different hosts and backends, and this one is not served; move \
                 some to another Ingress"
            );
            let told = |fault: &Fault| fault.field == field;
            if !self.faults.iter().any(told) {
                self.faults.push(Fault::new(field, "NoResources", text));
            }
            return;
        }
        rule.matches = matches;
        self.native.push(rule);
        self.fields.push(field.to_owned());
    }
}

/// Whether two rules are the same but for their matches.
fn is_same(other: &ProxyRouteRule, rule: &ProxyRouteRule) -> bool {
    // One of them is about to be compared with many, so what differs most often comes first.
    other.hostnames == rule.hostnames
        && other.listeners == rule.listeners
        && other.backend_refs == rule.backend_refs
        && (&other.filters, &other.invalid) == (&rule.filters, &rule.invalid)
        && (&other.timeouts, &other.retry) == (&rule.timeouts, &rule.retry)
        && other.session_persistence == rule.session_persistence
        && other.max_request_body_size == rule.max_request_body_size
}
