//! What differs between two snapshots, field by field.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::Value;

use super::Snapshot;
use crate::{
    object::text,
    table::{Paint, Tone, harmless, painted},
};

/// Characters of a value that a line shows.
const SHOWN: usize = 80;

/// A resource that differs.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    /// It came.
    Added(String),
    /// It went.
    Removed(String),
    /// It changed: name, and each field with its value before and after.
    Changed(String, Vec<Field>),
}

/// A field that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Path, such as `route.backends[0].weight`.
    pub path: String,
    /// Value before; none when the field came.
    pub before: Option<Value>,
    /// Value after; none when the field went.
    pub after: Option<Value>,
}

/// The resources that differ, by name.
pub fn diff(before: &Snapshot, after: &Snapshot) -> Vec<Difference> {
    let (old, new) = (by_name(before), by_name(after));
    let mut names: Vec<&str> = old.keys().chain(new.keys()).copied().collect();
    names.sort_unstable();
    names.dedup();
    let differences = names.into_iter().filter_map(|name| {
        match (old.get(name), new.get(name)) {
            (None, Some(_)) => Some(Difference::Added(name.to_owned())),
            (Some(_), None) => Some(Difference::Removed(name.to_owned())),
            (Some(old), Some(new)) if old != new => {
                let mut fields = Vec::new();
                compare(&mut fields, String::new(), Some(old), Some(new));
                // The version says only that something changed.
                fields.retain(|field| field.path != "version");
                Some(Difference::Changed(name.to_owned(), fields))
            }
            _ => None,
        }
    });
    differences.collect()
}

impl Difference {
    /// `+ name`, `- name`, or `~ name` with a line per field.
    pub fn text(&self, paint: Paint) -> String {
        match self {
            Self::Added(name) => {
                painted(&format!("+ {}", harmless(name)), Tone::Good, paint) + "\n"
            }
            Self::Removed(name) => {
                painted(&format!("- {}", harmless(name)), Tone::Bad, paint) + "\n"
            }
            Self::Changed(name, fields) => {
                let mut text =
                    painted(&format!("~ {}", harmless(name)), Tone::Doubtful, paint) + "\n";
                for field in fields {
                    let (before, after) =
                        (short(field.before.as_ref()), short(field.after.as_ref()));
                    // Writing to a String cannot fail.
                    let _ = writeln!(text, "    {}: {before} -> {after}", field.path);
                }
                text
            }
        }
    }
}

fn by_name(snapshot: &Snapshot) -> BTreeMap<&str, &Value> {
    let resources = snapshot.resources.iter();
    resources
        .map(|resource| (text(resource, "/name"), resource))
        .collect()
}

fn compare(found: &mut Vec<Field>, path: String, before: Option<&Value>, after: Option<&Value>) {
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                let dot = if path.is_empty() { "" } else { "." };
                compare(
                    found,
                    format!("{path}{dot}{name}"),
                    old.get(name),
                    new.get(name),
                );
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                compare(
                    found,
                    format!("{path}[{index}]"),
                    old.get(index),
                    new.get(index),
                );
            }
        }
        (before, after) if before != after => found.push(Field {
            path,
            before: before.cloned(),
            after: after.cloned(),
        }),
        _ => {}
    }
}

fn short(value: Option<&Value>) -> String {
    let Some(value) = value else {
        return "(none)".to_owned();
    };
    let text = harmless(&value.to_string());
    if text.chars().count() <= SHOWN {
        return text;
    }
    text.chars().take(SHOWN).collect::<String>() + "..."
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Difference, diff};
    use crate::{snapshot::Snapshot, table::Paint};

    fn snapshot(resources: &serde_json::Value) -> Snapshot {
        let document = json!({"version": {"sequence": 1, "digest": "d"}, "resources": resources});
        Snapshot::parse(&document.to_string()).expect("a snapshot")
    }

    #[test]
    fn equal_snapshots_do_not_differ() {
        let one = snapshot(&json!([{"name": "a", "version": "1"}]));
        assert_eq!(diff(&one, &one), []);
    }

    #[test]
    fn what_came_went_and_changed_is_named_with_its_fields() {
        let before = snapshot(&json!([
            {"name": "a", "version": "1"},
            {"name": "b", "version": "1", "route": {"backends": [{"weight": 90}], "hostnames": ["x"]}},
        ]));
        let after = snapshot(&json!([
            {"name": "b", "version": "2", "route": {"backends": [{"weight": 10}, {"weight": 1}]}},
            {"name": "c", "version": "1"},
        ]));
        let text: String = diff(&before, &after)
            .iter()
            .map(|difference| Difference::text(difference, Paint::Plain))
            .collect();
        let expect = "- a\n~ b\n    route.backends[0].weight: 90 -> 10\n    \
            route.backends[1]: (none) -> {\"weight\":1}\n    \
            route.hostnames: [\"x\"] -> (none)\n+ c\n";
        assert_eq!(text, expect);
    }
}
