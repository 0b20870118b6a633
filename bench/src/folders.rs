//! Where programs come from and reports go.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

/// The folders of a benchmark that runs our programs.
#[derive(Debug, Args)]
pub struct Folders {
    /// Folder for the report and the plots.
    #[arg(long, default_value = "docs/benchmarks")]
    pub out: PathBuf,
    /// Folder of our binaries (release build).
    #[arg(long, default_value = "target/release")]
    pub binaries: PathBuf,
}

/// The path of one of our binaries. Fails when it has not been built.
pub fn binary(folder: &Path, name: &str) -> anyhow::Result<String> {
    let path = folder.join(name);
    anyhow::ensure!(
        path.exists(),
        "{} is missing: cargo build --release --workspace --bins",
        path.display()
    );
    word(&path)
}

/// A path as an argument of a program.
pub fn word(path: &Path) -> anyhow::Result<String> {
    Ok(path.to_str().context("a UTF-8 path")?.to_owned())
}
