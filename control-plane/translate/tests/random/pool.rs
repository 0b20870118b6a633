//! Where random objects come from: the golden cases, cut up and put together anew. They name each other already, and
//! hold every field that some rule looks at.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use novaedge_api::decode::decode;
use novaedge_api::meta::{Kind, Object};
use serde_json::{Value, json};

use crate::rng::Rng;

/// Documents of the golden cases, by kind.
pub(crate) struct Pool {
    documents: BTreeMap<Kind, Vec<Value>>,
    /// The documents of each case.
    cases: Vec<Vec<Value>>,
}

const NAMESPACES: [&str; 4] = ["infra", "infra", "web", "vault"];
const NAMES: [&str; 4] = ["web", "gw", "other", "set"];
/// Two ages and none.
const AGES: [&str; 3] = ["", "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"];

impl Pool {
    /// The cases in folders of folders.
    pub(crate) fn load(folders: &[PathBuf]) -> Self {
        let mut pool = Self {
            documents: BTreeMap::new(),
            cases: Vec::new(),
        };
        let mut paths = Vec::new();
        for area in folders
            .iter()
            .flat_map(|folder| fs::read_dir(folder).unwrap())
        {
            let files = fs::read_dir(area.unwrap().path()).unwrap();
            paths.extend(files.map(|file| file.unwrap().path()));
        }
        paths.retain(|path| !path.file_stem().unwrap().to_string_lossy().contains(".out"));
        paths.sort();
        for path in paths {
            let text = fs::read_to_string(&path).unwrap();
            let values: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
            pool.add(values.into_iter().filter(|value| !value.is_null()));
        }
        pool
    }

    fn add(&mut self, values: impl Iterator<Item = Value>) {
        let case: Vec<Value> = values.collect();
        for value in &case {
            let kind = decode(value.clone()).unwrap().kind();
            self.documents.entry(kind).or_default().push(value.clone());
        }
        self.cases.push(case);
    }

    /// All objects of some case.
    pub(crate) fn case(&self, rng: &mut Rng) -> Vec<Object> {
        let case = rng.pick(&self.cases);
        case.iter()
            .map(|value| decode(value.clone()).unwrap())
            .collect()
    }

    /// Some object, perhaps put together from two and under another name.
    pub(crate) fn object(&self, rng: &mut Rng) -> Object {
        let kinds: Vec<Kind> = self.documents.keys().copied().collect();
        let kind = *rng.pick(&kinds);
        let documents = &self.documents[&kind];
        let plain = rng.pick(documents).clone();
        let mut mixed = plain.clone();
        if rng.chance(40) {
            cross(rng, &mut mixed, documents);
        }
        if rng.chance(30) {
            rename(rng, &mut mixed);
        }
        if rng.chance(30) {
            redirect(rng, &mut mixed["spec"]);
        }
        if rng.chance(20) {
            spoil(rng, &mut mixed["spec"]);
        }
        if rng.chance(30) {
            mixed["metadata"]["generation"] = json!(rng.below(4));
        }
        let age = *rng.pick(&AGES);
        if rng.chance(40) && !age.is_empty() {
            mixed["metadata"]["creationTimestamp"] = json!(age);
        }
        // What the decoder refuses never reaches the translation.
        decode(mixed).unwrap_or_else(|_| decode(plain).unwrap())
    }
}

/// Takes one field of the spec from another object of the kind, or leaves one out.
fn cross(rng: &mut Rng, document: &mut Value, others: &[Value]) {
    let other = &rng.pick(others)["spec"];
    let (Value::Object(spec), Value::Object(other)) = (&mut document["spec"], other) else {
        return;
    };
    let fields: Vec<&String> = other.keys().collect();
    if fields.is_empty() {
        return;
    }
    let field = *rng.pick(&fields);
    if rng.chance(10) {
        spec.remove(field);
    } else {
        spec.insert(field.clone(), other[field].clone());
    }
}

/// Lets one reference lead elsewhere.
fn redirect(rng: &mut Rng, spec: &mut Value) {
    let mut found = Vec::new();
    references(spec, &mut String::new(), &mut found);
    if found.is_empty() {
        return;
    }
    let path = rng.pick(&found).clone();
    let names = if path.ends_with("/namespace") {
        &NAMESPACES
    } else {
        &NAMES
    };
    if let Some(name) = spec.pointer_mut(&path) {
        *name = json!(rng.pick(names));
    }
}

/// JSON pointers of the names and namespaces inside.
fn references(value: &Value, path: &mut String, found: &mut Vec<String>) {
    let length = path.len();
    let mut visit = |step: &str, inner: &Value| {
        path.push('/');
        path.push_str(step);
        if inner.is_string() && matches!(step, "name" | "namespace") {
            found.push(path.clone());
        }
        references(inner, path, found);
        path.truncate(length);
    };
    match value {
        // No field with a reference below it has a slash in its name.
        Value::Object(fields) => fields.iter().for_each(|(name, inner)| visit(name, inner)),
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(index, inner)| visit(&index.to_string(), inner));
        }
        _ => {}
    }
}

/// What people write by mistake, and what nobody should.
const ODD_TEXTS: [&str; 14] = [
    "",
    " ",
    "*",
    "*.",
    "..",
    "-",
    "a/b",
    "(",
    "%zz",
    "10.0.0.1",
    "::1",
    "A.Example.COM",
    "\u{1f980}",
    "\0",
];
const ODD_NUMBERS: [i64; 8] = [-1, 0, 1, 80, 443, 65_535, 65_536, i64::MAX];

/// Puts something odd in place of one text or number somewhere inside.
fn spoil(rng: &mut Rng, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let count = fields.len();
            if let Some(inner) = fields.values_mut().nth(rng.below(count)) {
                spoil(rng, inner);
            }
        }
        Value::Array(items) => {
            let count = items.len();
            if let Some(inner) = items.get_mut(rng.below(count)) {
                spoil(rng, inner);
            }
        }
        Value::String(_) if rng.chance(10) => *value = json!("x".repeat(300)),
        Value::String(_) => *value = json!(rng.pick(&ODD_TEXTS)),
        Value::Number(_) => *value = json!(rng.pick(&ODD_NUMBERS)),
        Value::Bool(_) | Value::Null => {}
    }
}

fn rename(rng: &mut Rng, document: &mut Value) {
    let metadata = &mut document["metadata"];
    if metadata.get("namespace").is_some() && rng.chance(50) {
        metadata["namespace"] = json!(rng.pick(&NAMESPACES));
    } else {
        metadata["name"] = json!(rng.pick(&NAMES));
    }
}
