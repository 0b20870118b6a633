//! `docs/native-kinds.md` tells every field of the native kinds, as their schemas have it.
//!
//! `UPDATE_GOLDEN=1` rewrites it.

use std::{fmt::Write as _, fs, path::PathBuf};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use novaedge_api::native::crds;

const HEAD: &str = include_str!("native_kinds/head.md");
const EXAMPLES: [(&str, &str); 3] = [
    ("ProxyGateway", include_str!("native_kinds/gateway.yaml")),
    ("ProxyRoute", include_str!("native_kinds/route.yaml")),
    ("ProxyBackend", include_str!("native_kinds/backend.yaml")),
];

fn page() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/native-kinds.md")
}

#[test]
fn the_page_of_the_native_kinds_is_fresh() {
    let expect = HEAD.to_owned() + &crds().iter().map(chapter).collect::<String>();
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::write(page(), &expect).expect("the page can be written");
    }
    let found = fs::read_to_string(page()).unwrap_or_default();
    assert!(
        found == expect,
        "docs/native-kinds.md is stale; run UPDATE_GOLDEN=1 cargo test -p novactl --test native_kinds"
    );
}

#[test]
fn the_examples_are_objects_that_the_control_plane_takes() {
    for (kind, example) in EXAMPLES {
        let value: serde_json::Value = serde_saphyr::from_str(example).expect("YAML");
        let object = novaedge_api::decode::decode(value).expect("an object");
        assert_eq!(object.kind().as_str(), kind);
        assert_eq!(novaedge_api::validate::validate(&object), []);
    }
}

/// One kind: what it is, an example, its fields, its rules.
fn chapter(crd: &CustomResourceDefinition) -> String {
    let names = &crd.spec.names;
    let version = crd.spec.versions.first().expect("a CRD has a version");
    let schema = version
        .schema
        .as_ref()
        .and_then(|schema| schema.open_api_v3_schema.as_ref())
        .expect("a CRD has a schema");
    let short = names.short_names.iter().flatten().cloned();
    let short: Vec<String> = short.map(|name| format!("`{name}`")).collect();
    let columns = version.additional_printer_columns.iter().flatten();
    let columns: Vec<&str> = columns.map(|column| column.name.as_str()).collect();
    let example = EXAMPLES.iter().find(|(kind, _)| *kind == names.kind);
    let example = example.map(|(_, text)| *text).expect("every kind has one");
    let mut text = format!("\n## {}\n\n", names.kind);
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}\n", line(schema.description.as_deref()));
    let _ = writeln!(
        text,
        "Its short name is {}, and `kubectl get` shows Name, {}.\n",
        short.join(", "),
        columns.join(", ")
    );
    let _ = writeln!(text, "```yaml\n{}\n```\n", example.trim_end());
    text += "| field | type | what it is |\n|---|---|---|\n";
    let mut rules = Vec::new();
    let parts = schema.properties.iter().flatten();
    for (name, part) in parts.filter(|(name, _)| name.as_str() == "spec") {
        fields(&mut text, &mut rules, name, part, true);
    }
    if !rules.is_empty() {
        text += "\nAn API server and the folder reader refuse an object that breaks one of these rules:\n\n";
        for (path, message) in rules {
            let _ = writeln!(text, "- `{path}`: {message}.");
        }
    }
    text
}

/// A row for each field below a schema, and the rules of all of them.
fn fields(
    text: &mut String,
    rules: &mut Vec<(String, String)>,
    path: &str,
    schema: &JSONSchemaProps,
    required: bool,
) {
    let (inner, suffix) = innermost(schema);
    let mark = if required { ", required" } else { "" };
    if path.contains('.') {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| `{path}` | {}{mark} | {} |",
            type_of(schema),
            line(schema.description.as_deref())
        );
    }
    let path = format!("{path}{suffix}");
    for rule in inner.x_kubernetes_validations.iter().flatten() {
        let message = rule.message.clone().unwrap_or_else(|| rule.rule.clone());
        rules.push((path.clone(), message));
    }
    let required = inner.required.clone().unwrap_or_default();
    for (name, field) in inner.properties.iter().flatten() {
        let path = format!("{path}.{name}");
        fields(text, rules, &path, field, required.contains(name));
    }
}

/// The schema of an object, or of the items of a list, and what the path gets for that.
fn innermost(schema: &JSONSchemaProps) -> (&JSONSchemaProps, &'static str) {
    match &schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => (items, "[]"),
        _ => (schema, ""),
    }
}

fn type_of(schema: &JSONSchemaProps) -> String {
    let (inner, suffix) = innermost(schema);
    let words = inner.enum_.iter().flatten();
    let words: Vec<&str> = words.filter_map(|word| word.0.as_str()).collect();
    let type_ = inner.type_.as_deref().unwrap_or_default();
    let mut text = if words.is_empty() {
        type_.to_owned()
    } else {
        words.join(", ")
    };
    if let (Some(minimum), Some(maximum)) = (inner.minimum, inner.maximum) {
        let _ = write!(text, " {minimum}–{maximum}");
    }
    if !suffix.is_empty() {
        text = format!("list of {text}");
        if let Some(most) = schema.max_items {
            let _ = write!(text, ", at most {most}");
        }
    }
    text
}

/// A description as one line that a table can hold.
fn line(description: Option<&str>) -> String {
    let text = description.unwrap_or_default();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace('|', "\\|")
}
