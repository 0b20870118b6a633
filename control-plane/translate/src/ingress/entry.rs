//! The places of an Ingress: hosts with paths, and what they lead to.

use std::collections::BTreeSet;

use k8s_openapi::api::networking::v1::{Ingress, IngressBackend};

use super::path::Path;
use super::settings::Settings;
use crate::route::fault::Fault;
use crate::route::hostname;

/// A host with a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Lower case, perhaps with a leading `*.`; empty for every host.
    pub(crate) host: String,
    /// The path.
    pub(crate) path: Path,
}

/// How a place came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Some rule names it.
    Rule,
    /// It takes what no rule takes.
    Default,
}

/// A place of an Ingress.
#[derive(Clone, Debug)]
pub(super) struct Entry<'a> {
    pub(super) place: Place,
    pub(super) role: Role,
    pub(super) backend: &'a IngressBackend,
    /// Path of the entry in the Ingress.
    pub(super) field: String,
    /// Path of its backend.
    pub(super) backend_field: String,
}

/// The places of an Ingress, each once, and what is wrong with those that are none. Rules come in their order, and
/// behind them what the default backend is for: the rest of each host, and all other hosts.
pub(super) fn entries<'a>(
    ingress: &'a Ingress,
    settings: &Settings,
) -> (Vec<Entry<'a>>, Vec<Fault>) {
    let mut found = Found::default();
    let Some(spec) = &ingress.spec else {
        return (found.entries, found.faults);
    };
    let mut hosts = BTreeSet::new();
    for (index, rule) in spec.rules.iter().flatten().enumerate() {
        let field = format!("spec.rules[{index}]");
        let host = match host(rule.host.as_deref(), &format!("{field}.host")) {
            Ok(host) => host,
            Err(fault) => {
                found.faults.push(fault);
                continue;
            }
        };
        hosts.insert(host.clone());
        let paths = rule.http.iter().flat_map(|http| &http.paths).enumerate();
        for (index, path) in paths {
            let field = format!("{field}.http.paths[{index}]");
            let read = Path::read(&path.path_type, path.path.as_deref(), settings.expressions);
            match read {
                Ok(path_) => found.add(Entry {
                    place: Place {
                        host: host.clone(),
                        path: path_,
                    },
                    role: Role::Rule,
                    backend: &path.backend,
                    backend_field: format!("{field}.backend"),
                    field,
                }),
                Err(text) => {
                    let fault = Fault::unsupported(format!("{field}.path"), text);
                    found.faults.push(fault);
                }
            }
        }
    }
    if let Some(backend) = &spec.default_backend {
        hosts.insert(String::new());
        for host in hosts {
            found.add_default(host, backend);
        }
    }
    if found.entries.is_empty() && found.faults.is_empty() {
        let text = "there are neither rules nor a default backend; add one";
        found.faults.push(Fault::unsupported("spec.rules", text));
    }
    (found.entries, found.faults)
}

#[derive(Default)]
struct Found<'a> {
    entries: Vec<Entry<'a>>,
    faults: Vec<Fault>,
    places: BTreeSet<Place>,
}

impl<'a> Found<'a> {
    fn add(&mut self, entry: Entry<'a>) {
        if self.places.insert(entry.place.clone()) {
            self.entries.push(entry);
            return;
        }
        let text = "an entry before this one has the same host and path, and is served; remove one";
        let fault = Fault::new(entry.field, CONFLICTED, text);
        self.faults.push(fault);
    }

    /// A rule that names the place goes before.
    fn add_default(&mut self, host: String, backend: &'a IngressBackend) {
        let place = Place {
            host,
            path: Path::root(),
        };
        if self.places.insert(place.clone()) {
            self.entries.push(Entry {
                place,
                role: Role::Default,
                backend,
                field: "spec.defaultBackend".to_owned(),
                backend_field: "spec.defaultBackend".to_owned(),
            });
        }
    }
}

/// Another one has the place.
pub(super) const CONFLICTED: &str = "Conflicted";

/// A host in lower case; empty for every host.
pub(super) fn host(given: Option<&str>, field: &str) -> Result<String, Fault> {
    let Some(host) = given.filter(|host| !host.is_empty()) else {
        return Ok(String::new());
    };
    match hostname::fault(host) {
        None => Ok(host.to_ascii_lowercase()),
        Some(fault) => {
            let text = format!("\"{host}\" is no host: {fault}; correct it");
            Err(Fault::unsupported(field, text))
        }
    }
}
