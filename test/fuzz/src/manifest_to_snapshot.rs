//! A file that anybody may have written, from its bytes to the tables of an agent.

use std::{cell::OnceCell, fs, path::Path};

use novaedge_api::meta::ObjectId;
use novaedge_compile::Compiler;
use novaedge_control_plane::folder::FolderSource;
use novaedge_publish::encoded::EncodedResource;
use novaedge_router::TablesBuilder;
use novaedge_store::Change;
use novaedge_translate::{TranslateConfig, Translator};
use tempfile::TempDir;

use crate::snapshot_decode;

/// What the file's routes can refer to.
const BASE: &str = include_str!("manifest_to_snapshot/base.yaml");
/// Seconds since 1970: some certificates have expired by then.
const NOW: i64 = 1_800_000_000;

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

/// Whatever the file holds, every stage takes it.
pub fn run(bytes: &[u8]) {
    FOLDER.with(|folder| serve(folder.get_or_init(folder_with_base).path(), bytes));
}

fn folder_with_base() -> TempDir {
    // Memory, where there is some to write files to.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    let folder = folder.expect("a folder for temporary files");
    fs::write(folder.path().join("base.yaml"), BASE).expect("a folder that can be written");
    folder
}

fn serve(folder: &Path, bytes: &[u8]) {
    fs::write(folder.join("file.yaml"), bytes).expect("a folder that can be written");
    let batch = FolderSource::read(folder).expect("a folder that can be read");
    let ids: Vec<ObjectId> = batch.changes.iter().map(Change::id).collect();
    let mut translator = Translator::new(TranslateConfig::standalone());
    translator.set_clock(NOW);
    let delta = translator.update(batch.changes);
    let compiled = Compiler::default().update(&delta.natives, translator.store(), &ids);
    let encoded = compiled
        .upserts
        .into_iter()
        .filter_map(|(name, resource)| EncodedResource::encode(&name, resource).ok());
    let resources = encoded.map(|resource| {
        // What was encoded must decode: the agents see nothing else.
        prost::Message::decode(resource.bytes().clone()).expect("our own encoding")
    });
    let mut tables = TablesBuilder::new();
    tables.apply(resources, &[]);
    snapshot_decode::ask(tables.tables());
}
