//! Finding the files to check.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A file of the repository.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path relative to the repository's root.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// Folders that hold no sources of ours.
const SKIPPED: [&str; 5] = ["target", ".git", "corpus", "artifacts", "node_modules"];

/// The repository's root.
pub fn repository_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every Rust file.
pub fn rust_sources() -> Vec<Source> {
    sources(&["rs"])
}

/// Every text file that people read or write.
pub fn text_sources() -> Vec<Source> {
    sources(&["rs", "md", "toml", "yaml", "yml", "proto", "sh", "go", "py"])
}

fn sources(extensions: &[&str]) -> Vec<Source> {
    let root = repository_root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).expect("the repository is readable");
        for entry in entries.map(|entry| entry.expect("a directory entry is readable")) {
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if path.is_dir() {
                let hidden = name.starts_with('.') && name != ".ci";
                if !hidden && !SKIPPED.contains(&&*name) {
                    folders.push(path);
                }
            } else if path
                .extension()
                .is_some_and(|e| extensions.iter().any(|x| e == *x))
            {
                let text = fs::read_to_string(&path)
                    .unwrap_or_else(|error| panic!("{} is not text: {error}", path.display()));
                let path = path
                    .strip_prefix(&root)
                    .expect("below the root")
                    .to_path_buf();
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}
