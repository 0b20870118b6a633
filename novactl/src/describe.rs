//! One Gateway with all that hangs on it.

use std::fmt::Write as _;

use k8s_openapi::jiff::Timestamp;
use novaedge_api::meta::{Kind, ObjectKey};
use serde_json::Value;

use crate::{
    age::{UNKNOWN, since},
    certificate::CertificateFacts,
    object::{Inventory, Judgement, Parent, Part, ROUTE_KINDS, Resource, number, text, weight},
    table::{Cell, Paint, Table, Tone},
};

/// The description of `gateway` as text.
pub fn gateway(inventory: &Inventory, gateway: &Resource, now: Timestamp, paint: Paint) -> String {
    let sets = listener_sets(inventory, gateway);
    let mut text = head(gateway, now);
    let sections = [
        ("Addresses", addresses(gateway)),
        ("Conditions", conditions(gateway, now)),
        ("Listeners", listeners(gateway, &sets)),
        (
            "Listener conditions",
            listener_conditions(gateway, &sets, now),
        ),
        ("ListenerSets", set_table(&sets)),
        ("Routes", routes(inventory, gateway, &sets)),
        ("Certificates", certificates(inventory, gateway, &sets, now)),
    ];
    for (title, table) in sections {
        if table.is_empty() {
            text.extend(["\n", title, ": <none>\n"]);
        } else {
            text.extend(["\n", title, ":\n", &table.render(2, paint)]);
        }
    }
    text + &problems(inventory, gateway, &sets)
}

fn head(gateway: &Resource, now: Timestamp) -> String {
    let created = gateway.created().map(|created| since(created, now));
    let generation = gateway
        .judgements()
        .iter()
        .filter_map(|judgement| judgement.condition.observed_generation)
        .max()
        .map(|generation| generation.to_string());
    let lines = [
        ("Name:", Some(gateway.id.key.name.clone())),
        ("Namespace:", Some(gateway.id.key.namespace.clone())),
        (
            "Class:",
            gateway.text("/spec/gatewayClassName").map(str::to_owned),
        ),
        ("Generation:", generation),
        ("Age:", created),
    ];
    let mut text = String::new();
    for (label, value) in lines {
        let value = value.unwrap_or_else(|| UNKNOWN.to_owned());
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{label:<13}{value}");
    }
    text
}

fn addresses(gateway: &Resource) -> Table {
    let mut table = Table::new(vec!["TYPE", "VALUE"]);
    for address in gateway.list("/status/addresses") {
        let type_ = match text(address, "/type") {
            "" => "IPAddress",
            type_ => type_,
        };
        table.push(vec![
            Cell::plain(type_),
            Cell::plain(text(address, "/value")),
        ]);
    }
    table
}

fn conditions(gateway: &Resource, now: Timestamp) -> Table {
    let mut table = Table::new(vec!["TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"]);
    for judgement in gateway.judgements() {
        if judgement.about == Part::Whole {
            table.push(condition_cells(&judgement, now));
        }
    }
    table
}

fn listener_conditions(gateway: &Resource, sets: &[&Resource], now: Timestamp) -> Table {
    let mut table = Table::new(vec![
        "LISTENER", "TYPE", "STATUS", "REASON", "SINCE", "MESSAGE",
    ]);
    for owner in std::iter::once(&gateway).chain(sets) {
        for judgement in owner.judgements() {
            if let Part::Listener(name) = &judgement.about {
                let mut row = vec![Cell::plain(listener_name(gateway, owner, name))];
                row.extend(condition_cells(&judgement, now));
                table.push(row);
            }
        }
    }
    table
}

fn condition_cells(judgement: &Judgement, now: Timestamp) -> Vec<Cell> {
    let condition = &judgement.condition;
    let tone = match weight(condition) {
        None => Tone::Good,
        Some(crate::object::Weight::Doubt) => Tone::Doubtful,
        Some(crate::object::Weight::Fault) => Tone::Bad,
    };
    vec![
        Cell::plain(&condition.type_),
        Cell::toned(&condition.status, tone),
        Cell::plain(&condition.reason),
        Cell::plain(since(condition.last_transition_time.0, now)),
        Cell::plain(&condition.message),
    ]
}

fn listeners(gateway: &Resource, sets: &[&Resource]) -> Table {
    let mut table = Table::new(vec![
        "NAME", "PORT", "PROTOCOL", "HOSTNAME", "ROUTES", "KINDS",
    ]);
    for owner in std::iter::once(&gateway).chain(sets) {
        for (written, status) in listeners_of(owner) {
            let name = text(written.or(status).unwrap_or(&Value::Null), "/name");
            let mut row = vec![Cell::plain(listener_name(gateway, owner, name))];
            row.extend(written_cells(written));
            row.extend(status_cells(status));
            table.push(row);
        }
    }
    table
}

/// Each listener as it is written, unless only the status is known, and what the status says of it.
fn listeners_of(owner: &Resource) -> Vec<(Option<&Value>, Option<&Value>)> {
    let statuses = owner.list("/status/listeners");
    if !owner.has_spec() {
        return statuses.iter().map(|status| (None, Some(status))).collect();
    }
    let status = |written: &Value| {
        let name = text(written, "/name").to_owned();
        statuses.iter().find(|status| text(status, "/name") == name)
    };
    let written = owner.list("/spec/listeners").iter();
    written.map(|one| (Some(one), status(one))).collect()
}

fn written_cells(written: Option<&Value>) -> [Cell; 3] {
    let Some(written) = written else {
        return [UNKNOWN; 3].map(Cell::plain);
    };
    let port = number(written, "/port").unwrap_or_default();
    let hostname = match text(written, "/hostname") {
        "" => "<any>",
        hostname => hostname,
    };
    [
        Cell::plain(port.to_string()),
        Cell::plain(protocol(written)),
        Cell::plain(hostname),
    ]
}

fn status_cells(status: Option<&Value>) -> [Cell; 2] {
    let Some(status) = status else {
        return [UNKNOWN; 2].map(Cell::plain);
    };
    let routes = number(status, "/attachedRoutes").unwrap_or_default();
    [Cell::plain(routes.to_string()), Cell::plain(kinds(status))]
}

/// A listener's name; with the set in front for one of a ListenerSet.
fn listener_name(gateway: &Resource, owner: &Resource, name: &str) -> String {
    if owner.id == gateway.id {
        return name.to_owned();
    }
    format!("{}:{name}", set_name(gateway, &owner.id.key))
}

fn set_name(gateway: &Resource, set: &ObjectKey) -> String {
    if set.namespace == gateway.id.key.namespace {
        set.name.clone()
    } else {
        set.to_string()
    }
}

fn protocol(listener: &Value) -> String {
    let protocol = text(listener, "/protocol");
    match (protocol, text(listener, "/tls/mode")) {
        ("TLS", "Passthrough") => "TLS passthrough".to_owned(),
        _ => protocol.to_owned(),
    }
}

fn kinds(status: &Value) -> String {
    let kinds = status.pointer("/supportedKinds").and_then(Value::as_array);
    let kinds = kinds.map_or(&[][..], Vec::as_slice).iter();
    let kinds: Vec<&str> = kinds.map(|kind| text(kind, "/kind")).collect();
    if kinds.is_empty() {
        "<none>".to_owned()
    } else {
        kinds.join(",")
    }
}

/// The ListenerSets that name this Gateway.
fn listener_sets<'a>(inventory: &'a Inventory, gateway: &Resource) -> Vec<&'a Resource> {
    inventory
        .of_kind(Kind::ListenerSet)
        .filter(|set| {
            let parent = set.value.pointer("/spec/parentRef").unwrap_or(&Value::Null);
            Parent::of(parent, &set.id.key.namespace).key == gateway.id.key
        })
        .collect()
}

fn set_table(sets: &[&Resource]) -> Table {
    let mut table = Table::new(vec!["NAMESPACE", "NAME", "ACCEPTED", "PROGRAMMED"]);
    for set in sets {
        table.push(vec![
            Cell::plain(&set.id.key.namespace),
            Cell::plain(&set.id.key.name),
            Cell::status(status_of(&set.judgements(), &Part::Whole, "Accepted")),
            Cell::status(status_of(&set.judgements(), &Part::Whole, "Programmed")),
        ]);
    }
    table
}

fn status_of(judgements: &[Judgement], about: &Part, type_: &str) -> String {
    let mut matching = judgements
        .iter()
        .filter(|j| j.about == *about && j.condition.type_ == type_);
    let found = matching.next().map(|j| j.condition.status.clone());
    found.unwrap_or_else(|| UNKNOWN.to_owned())
}

/// The routes that name this Gateway or one of its ListenerSets, accepted or not.
fn routes(inventory: &Inventory, gateway: &Resource, sets: &[&Resource]) -> Table {
    let mut table = Table::new(vec![
        "KIND",
        "NAME",
        "LISTENER",
        "ACCEPTED",
        "RESOLVEDREFS",
        "HOSTNAMES",
    ]);
    for route in ROUTE_KINDS.iter().flat_map(|kind| inventory.of_kind(*kind)) {
        let judgements = route.judgements();
        let mut seen: Vec<&Part> = Vec::new();
        for judgement in &judgements {
            let Part::Under(parent) = &judgement.about else {
                continue;
            };
            let Some(listener) = target(parent, gateway, sets) else {
                continue;
            };
            if seen.contains(&&judgement.about) {
                continue;
            }
            seen.push(&judgement.about);
            table.push(vec![
                Cell::plain(route.id.kind.as_str()),
                Cell::plain(set_name(gateway, &route.id.key)),
                Cell::plain(listener),
                Cell::status(status_of(&judgements, &judgement.about, "Accepted")),
                Cell::status(status_of(&judgements, &judgement.about, "ResolvedRefs")),
                Cell::plain(hostnames(route)),
            ]);
        }
    }
    table
}

/// Which listener of this Gateway a parent stands for; none when it is another Gateway.
fn target(parent: &Parent, gateway: &Resource, sets: &[&Resource]) -> Option<String> {
    let section = parent.section.clone().unwrap_or_else(|| "<all>".to_owned());
    if parent.kind == "Gateway" && parent.key == gateway.id.key {
        return Some(section);
    }
    let set = sets
        .iter()
        .find(|set| parent.kind == "ListenerSet" && parent.key == set.id.key)?;
    Some(format!("{}:{section}", set_name(gateway, &set.id.key)))
}

fn hostnames(route: &Resource) -> String {
    let hostnames = route.list("/spec/hostnames").iter();
    let hostnames: Vec<&str> = hostnames.filter_map(Value::as_str).collect();
    match (route.has_spec(), hostnames.is_empty()) {
        (false, _) => UNKNOWN.to_owned(),
        (true, true) => "<any>".to_owned(),
        (true, false) => hostnames.join(","),
    }
}

fn certificates(
    inventory: &Inventory,
    gateway: &Resource,
    sets: &[&Resource],
    now: Timestamp,
) -> Table {
    let mut table = Table::new(vec!["LISTENER", "SECRET", "NAMES", "EXPIRES"]);
    for owner in std::iter::once(&gateway).chain(sets) {
        for listener in owner.list("/spec/listeners") {
            let references = listener.pointer("/tls/certificateRefs");
            let references = references.and_then(Value::as_array);
            for reference in references.map_or(&[][..], Vec::as_slice) {
                let secret = Parent::of(reference, &owner.id.key.namespace).key;
                let (names, expires) = facts(inventory.certificates.get(&secret), now);
                table.push(vec![
                    Cell::plain(listener_name(gateway, owner, text(listener, "/name"))),
                    Cell::plain(secret.to_string()),
                    names,
                    expires,
                ]);
            }
        }
    }
    table
}

/// Days before its end from which on a certificate is to be looked at.
const SOON_DAYS: i64 = 14;

fn facts(facts: Option<&CertificateFacts>, now: Timestamp) -> (Cell, Cell) {
    match facts {
        None => (
            Cell::plain(UNKNOWN),
            Cell::toned("no such Secret", Tone::Bad),
        ),
        Some(CertificateFacts::Unreadable) => (
            Cell::plain(UNKNOWN),
            Cell::toned("no certificate in it", Tone::Bad),
        ),
        Some(CertificateFacts::Hidden) => (
            Cell::plain(UNKNOWN),
            Cell::toned("you may not read the Secret", Tone::Doubtful),
        ),
        Some(CertificateFacts::Readable { names, not_after }) => {
            let days = not_after.as_second().saturating_sub(now.as_second()) / 86_400;
            let date = not_after.to_string();
            let date = date.split('T').next().unwrap_or_default().to_owned();
            let (words, tone) = match days {
                ..0 => (format!("{date}, expired"), Tone::Bad),
                0..SOON_DAYS => (format!("{date}, in {days} days"), Tone::Doubtful),
                _ => (date, Tone::Good),
            };
            (Cell::plain(names.join(",")), Cell::toned(words, tone))
        }
    }
}

fn problems(inventory: &Inventory, gateway: &Resource, sets: &[&Resource]) -> String {
    let owners: Vec<String> = std::iter::once(&gateway)
        .chain(sets)
        .map(|owner| owner.id.to_string())
        .collect();
    let lines: Vec<String> = inventory
        .problems
        .iter()
        .filter(|problem| problem.object.as_ref().is_some_and(|o| owners.contains(o)))
        .map(|problem| format!("  {}\n", crate::table::harmless(&problem.to_string())))
        .collect();
    if lines.is_empty() {
        "\nProblems: <none>\n".to_owned()
    } else {
        format!("\nProblems:\n{}", lines.concat())
    }
}
