//! Golden cases: the objects, and in comment lines the scene that matters for a snapshot.

use std::fs;
use std::path::{Path, PathBuf};

use novaedge_api::decode::decode;
use novaedge_api::meta::Object;
use novaedge_store::Change;
use novaedge_translate::TranslateConfig;
use serde_json::Value;

/// One case.
pub(crate) struct Case {
    /// `<area>/<name>`.
    pub(crate) name: String,
    pub(crate) objects: Vec<Object>,
    /// Told after all objects.
    pub(crate) deletes: Vec<Change>,
    standalone: bool,
}

/// The cases of the translation, and those of natives that users write.
pub(crate) fn folders() -> [PathBuf; 2] {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    [
        root.join("../translate/tests/golden"),
        root.join("tests/cases"),
    ]
}

/// All cases, by name.
pub(crate) fn all() -> Vec<Case> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for area in folders()
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
    {
        let files = fs::read_dir(area.unwrap().path()).unwrap();
        paths.extend(files.map(|file| file.unwrap().path()));
    }
    paths.retain(|path| !path.file_stem().unwrap().to_string_lossy().contains(".out"));
    paths.sort();
    paths.iter().map(|path| Case::read(path)).collect()
}

impl Case {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let area = path.parent().unwrap().file_name().unwrap();
        let stem = path.file_stem().unwrap();
        let values: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        let values = values.into_iter().filter(|value| !value.is_null());
        let objects: Vec<Object> = values.map(|value| decode(value).unwrap()).collect();
        let deleted = |object: &&Object| text.contains(&format!("# delete: {}\n", object.id()));
        let deletes = objects.iter().filter(deleted);
        Self {
            name: format!("{}/{}", area.to_string_lossy(), stem.to_string_lossy()),
            deletes: deletes.map(|object| Change::Delete(object.id())).collect(),
            objects,
            standalone: text.contains("# mode: standalone\n"),
        }
    }

    pub(crate) fn config(&self) -> TranslateConfig {
        if self.standalone {
            TranslateConfig::standalone()
        } else {
            TranslateConfig::cluster([].into())
        }
    }
}
