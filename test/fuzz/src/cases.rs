//! Objects from the golden cases of the translation, and the broken manifests of the end-to-end test.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use anyhow::Context as _;
use novaedge_api::{decode::decode, meta::Object};
use serde_json::Value;

/// The objects of all golden cases, those of a case side by side.
pub fn objects() -> &'static [Object] {
    static OBJECTS: OnceLock<Vec<Object>> = OnceLock::new();
    OBJECTS.get_or_init(|| {
        let cases = golden().expect("the golden cases of the translation");
        let objects: Vec<Object> = cases.iter().flat_map(|case| decoded(case)).collect();
        assert!(!objects.is_empty(), "the golden cases hold no objects");
        objects
    })
}

/// The inputs of the golden cases, by path.
pub fn golden() -> anyhow::Result<Vec<String>> {
    texts("control-plane/translate/tests/golden", |name| {
        !name.ends_with(".out.yaml")
    })
}

/// The broken manifests, by path.
pub fn broken() -> anyhow::Result<Vec<String>> {
    texts("test/e2e/broken", |_| true)
}

/// The objects of a manifest that can be decoded.
pub fn decoded(text: &str) -> Vec<Object> {
    let values: Vec<Value> = serde_saphyr::from_multiple(text).unwrap_or_default();
    let objects = values.into_iter().filter(|value| !value.is_null());
    objects.filter_map(|value| decode(value).ok()).collect()
}

fn texts(folder: &str, wanted: fn(&str) -> bool) -> anyhow::Result<Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    collect(&root.join(folder), &mut found)?;
    found.sort();
    let files = found.iter().filter(|path| wanted(&path.to_string_lossy()));
    files
        .map(|path| fs::read_to_string(path).with_context(|| format!("reading {}", path.display())))
        .collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            found.push(path);
        }
    }
    Ok(())
}
