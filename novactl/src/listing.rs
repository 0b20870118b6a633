//! Lists of objects, as tables or as Kubernetes lists.

use k8s_openapi::jiff::Timestamp;
use novaedge_api::meta::{Kind, Scope};
use serde_json::{Value, json};

use crate::{
    age::{UNKNOWN, since},
    object::{Parent, Part, Resource, number, text, weight},
    table::{Cell, Table},
};

/// What stands where a list is empty.
const NONE: &str = "<none>";
/// Items of a list that a cell shows; the rest is counted.
const SHOWN: usize = 3;

/// How much a table shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// What matters most.
    Narrow,
    /// More.
    Wide,
}

/// Whether the table says which namespace an object is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// All objects are in one.
    One,
    /// Each row tells its own.
    All,
}

/// The table of objects of one kind.
pub fn table(
    kind: Kind,
    resources: &[&Resource],
    namespaces: Namespaces,
    width: Width,
    now: Timestamp,
) -> Table {
    let columns = columns(kind);
    let shows_namespace = namespaces == Namespaces::All && kind.scope() == Scope::Namespaced;
    let shown = || {
        columns
            .iter()
            .filter(|column| width == Width::Wide || column.width == Width::Narrow)
    };
    let mut headings = Vec::new();
    if shows_namespace {
        headings.push("NAMESPACE");
    }
    headings.push("NAME");
    headings.extend(shown().map(|column| column.heading));
    let mut table = Table::new(headings);
    for resource in resources {
        let mut row = Vec::new();
        if shows_namespace {
            row.push(Cell::plain(&resource.id.key.namespace));
        }
        row.push(Cell::plain(&resource.id.key.name));
        row.extend(shown().map(|column| (column.cell)(resource, now)));
        table.push(row);
    }
    table
}

/// The objects as `kubectl get -o` gives them: one by itself, several in a List.
pub fn document(resources: &[&Resource], one: bool) -> Value {
    match resources {
        [only] if one => only.value.clone(),
        all => {
            let items: Vec<&Value> = all.iter().map(|resource| &resource.value).collect();
            json!({"apiVersion": "v1", "kind": "List", "items": items})
        }
    }
}

/// What to say when there is nothing to list.
pub fn nothing(kind: Kind, namespace: Option<&str>) -> String {
    match namespace {
        Some(namespace) if kind.scope() == Scope::Namespaced => {
            format!("No {kind} in namespace {namespace}; -A shows all namespaces.")
        }
        _ => format!("No {kind}."),
    }
}

/// A column: heading, whether only wide tables have it, and its cell.
struct Column {
    heading: &'static str,
    width: Width,
    cell: fn(&Resource, Timestamp) -> Cell,
}

const fn narrow(heading: &'static str, cell: fn(&Resource, Timestamp) -> Cell) -> Column {
    Column {
        heading,
        width: Width::Narrow,
        cell,
    }
}

const fn wide(heading: &'static str, cell: fn(&Resource, Timestamp) -> Cell) -> Column {
    Column {
        heading,
        width: Width::Wide,
        cell,
    }
}

const ACCEPTED: Column = narrow("ACCEPTED", |r, _| condition(r, "Accepted"));
const PROGRAMMED: Column = narrow("PROGRAMMED", |r, _| condition(r, "Programmed"));
const RESOLVED: Column = narrow("RESOLVEDREFS", |r, _| condition(r, "ResolvedRefs"));
const AGE: Column = narrow("AGE", age);
const REASONS: Column = wide("REASONS", |r, _| Cell::plain(reasons(r)));
const LISTENERS: Column = narrow("LISTENERS", |r, _| count(r, "/listeners"));
const ROUTES: Column = wide("ROUTES", |r, _| Cell::plain(attached(r).to_string()));
const PORTS: Column = wide("PORTS", |r, _| Cell::plain(ports(r)));
const HOSTNAMES: Column = narrow("HOSTNAMES", |r, _| {
    spec(r, |r| strings(r, "/spec/hostnames"))
});
const PARENTS: Column = narrow("PARENTS", |r, _| Cell::plain(parents(r)));
const TARGETS: Column = narrow("TARGETS", |r, _| spec(r, parents));
const RULES: Column = wide("RULES", |r, _| spec_count(r, "/spec/rules"));
const BACKENDS: Column = wide("BACKENDS", |r, _| spec(r, backends));

fn columns(kind: Kind) -> Vec<Column> {
    match kind {
        Kind::GatewayClass => vec![
            narrow("CONTROLLER", |r, _| written(r, "/spec/controllerName")),
            ACCEPTED,
            AGE,
            wide("SUPPORTEDVERSION", |r, _| condition(r, "SupportedVersion")),
            wide("FEATURES", |r, _| {
                Cell::plain(r.list("/status/supportedFeatures").len().to_string())
            }),
            REASONS,
        ],
        Kind::Gateway => vec![
            narrow("CLASS", |r, _| written(r, "/spec/gatewayClassName")),
            narrow("ADDRESS", |r, _| Cell::plain(addresses(r))),
            LISTENERS,
            ACCEPTED,
            PROGRAMMED,
            AGE,
            PORTS,
            ROUTES,
            REASONS,
        ],
        Kind::ListenerSet => vec![
            narrow("PARENT", |r, _| written(r, "/spec/parentRef/name")),
            LISTENERS,
            ACCEPTED,
            PROGRAMMED,
            AGE,
            PORTS,
            ROUTES,
            REASONS,
        ],
        Kind::TcpRoute | Kind::UdpRoute => {
            vec![PARENTS, ACCEPTED, RESOLVED, AGE, RULES, BACKENDS, REASONS]
        }
        Kind::BackendTlsPolicy => vec![
            TARGETS,
            narrow("HOSTNAME", |r, _| written(r, "/spec/validation/hostname")),
            ACCEPTED,
            RESOLVED,
            AGE,
            REASONS,
        ],
        _ => vec![
            HOSTNAMES, PARENTS, ACCEPTED, RESOLVED, AGE, RULES, BACKENDS, REASONS,
        ],
    }
}

fn age(resource: &Resource, now: Timestamp) -> Cell {
    let age = resource.created().map(|created| since(created, now));
    Cell::plain(age.unwrap_or_else(|| UNKNOWN.to_owned()))
}

/// The status of a condition; `1/2` when it holds for one of two parents.
fn condition(resource: &Resource, type_: &str) -> Cell {
    let all = resource.statuses(type_);
    let Some(first) = all.first() else {
        return Cell::status(UNKNOWN);
    };
    if all.iter().all(|status| status == first) {
        return Cell::status(first.clone());
    }
    let good = all.iter().filter(|status| *status == "True").count();
    Cell::status(format!("{good}/{}", all.len()))
}

/// The reasons of conditions that are not as they should be.
fn reasons(resource: &Resource) -> String {
    let mut reasons = Vec::new();
    for judgement in resource.judgements() {
        if weight(&judgement.condition).is_some() {
            let reason = match &judgement.about {
                Part::Listener(name) => format!("{name}: {}", judgement.condition.reason),
                Part::Whole | Part::Under(_) => judgement.condition.reason,
            };
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
    }
    some(reasons)
}

/// A text of the spec.
fn written(resource: &Resource, pointer: &str) -> Cell {
    Cell::plain(resource.text(pointer).unwrap_or(UNKNOWN))
}

/// A cell from the spec, where it is known.
fn spec(resource: &Resource, cell: fn(&Resource) -> String) -> Cell {
    if resource.has_spec() {
        Cell::plain(cell(resource))
    } else {
        Cell::plain(UNKNOWN)
    }
}

fn spec_count(resource: &Resource, pointer: &str) -> Cell {
    if resource.has_spec() {
        Cell::plain(resource.list(pointer).len().to_string())
    } else {
        Cell::plain(UNKNOWN)
    }
}

/// How many listeners there are, by the spec or else by the status.
fn count(resource: &Resource, list: &str) -> Cell {
    let part = if resource.has_spec() {
        "/spec"
    } else {
        "/status"
    };
    Cell::plain(resource.list(&format!("{part}{list}")).len().to_string())
}

fn addresses(resource: &Resource) -> String {
    let values = resource.list("/status/addresses").iter();
    some(values.map(|a| text(a, "/value").to_owned()).collect())
}

fn strings(resource: &Resource, pointer: &str) -> String {
    let values = resource.list(pointer).iter();
    some(
        values
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
    )
}

fn ports(resource: &Resource) -> String {
    let listeners = resource.list("/spec/listeners").iter();
    let ports = listeners.map(|listener| {
        let port = number(listener, "/port").unwrap_or_default();
        format!("{port}/{}", text(listener, "/protocol"))
    });
    let mut ports: Vec<String> = ports.collect();
    ports.dedup();
    some(ports)
}

fn attached(resource: &Resource) -> i64 {
    let listeners = resource.list("/status/listeners").iter();
    listeners.filter_map(|l| number(l, "/attachedRoutes")).sum()
}

/// The parents that a route or policy names, by the spec or else by the status.
fn parents(resource: &Resource) -> String {
    let namespace = &resource.id.key.namespace;
    let written = ["/spec/parentRefs", "/spec/targetRefs"]
        .into_iter()
        .flat_map(|pointer| resource.list(pointer));
    let judged = resource.list("/status/parents").iter();
    let references: Vec<&Value> = if resource.has_spec() {
        written.collect()
    } else {
        judged.filter_map(|entry| entry.get("parentRef")).collect()
    };
    let mut names: Vec<String> = Vec::new();
    for reference in references {
        let parent = Parent::of(reference, namespace);
        let name = if parent.key.namespace == *namespace {
            parent.key.name
        } else {
            parent.key.to_string()
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    some(names)
}

/// The backends of all rules, with weights where a rule has several.
fn backends(resource: &Resource) -> String {
    let mut names = Vec::new();
    for rule in resource.list("/spec/rules") {
        let references = rule.get("backendRefs").and_then(Value::as_array);
        let references = references.map_or(&[][..], Vec::as_slice);
        for reference in references {
            let mut name = text(reference, "/name").to_owned();
            if let Some(port) = number(reference, "/port") {
                name = format!("{name}:{port}");
            }
            if let (Some(weight), true) = (number(reference, "/weight"), references.len() > 1) {
                name = format!("{name}={weight}");
            }
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    some(names)
}

/// The first items, and how many more there are.
fn some(items: Vec<String>) -> String {
    if items.is_empty() {
        return NONE.to_owned();
    }
    let more = items.len().saturating_sub(SHOWN);
    let shown: Vec<String> = items.into_iter().take(SHOWN).collect();
    let shown = shown.join(",");
    if more == 0 {
        shown
    } else {
        format!("{shown} + {more} more")
    }
}
