//! `tests/golden/<area>/<name>.yaml` is the snapshot that a case comes to. `UPDATE_GOLDEN=1` writes them; read each one
//! before you commit it.

use std::fs;
use std::path::Path;

use novaedge_store::Change;
use serde_json::{Value, json};

use crate::cases::{self, Case};
use crate::shown::Shower;
use crate::system::{Snapshot, System};

#[test]
fn every_case_comes_to_its_snapshot() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let shower = Shower::new();
    let mut stale = Vec::new();
    for case in cases::all() {
        let snapshot = compile(&case, false);
        assert_eq!(
            snapshot,
            compile(&case, true),
            "{}: the order of events shows",
            case.name
        );
        let text = serde_saphyr::to_string(&shown(&shower, &snapshot)).unwrap();
        let path = root.join(format!("{}.yaml", case.name));
        if update {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != text {
            stale.push(format!("{}\n{text}", path.display()));
        }
    }
    assert!(
        stale.is_empty(),
        "{} differ:\n{}",
        stale.len(),
        stale.join("\n")
    );
}

/// No Secret's key shows in what people look at, whatever way they look.
#[test]
fn no_inspection_shows_a_private_key() {
    let shower = Shower::new();
    for case in cases::all() {
        let snapshot = compile(&case, false);
        let shown = format!("{snapshot:?}{}", shown(&shower, &snapshot));
        assert!(!shown.contains("PRIVATE KEY"), "{}", case.name);
    }
}

fn compile(case: &Case, backwards: bool) -> Snapshot {
    let mut system = System::new(case.config());
    let mut objects = case.objects.clone();
    if backwards {
        objects.reverse();
    }
    for object in objects {
        system.update(vec![Change::Upsert(object)]);
    }
    for delete in &case.deletes {
        system.update(vec![delete.clone()]);
    }
    system.snapshot
}

fn shown(shower: &Shower, snapshot: &Snapshot) -> Value {
    let resources = snapshot.resources.iter();
    let resources = resources.map(|(name, resource)| (name.clone(), shower.show(resource)));
    let diagnostics: Vec<String> = snapshot
        .diagnostics
        .values()
        .flatten()
        .map(|d| format!("{} {}: {}: {}", d.object, d.field, d.reason, d.message))
        .collect();
    let resources = Value::Object(resources.collect());
    json!({ "resources": resources, "diagnostics": diagnostics })
}
