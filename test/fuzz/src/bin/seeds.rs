//! Writes the seeds of all targets: `seeds <folder>`, one folder per target in it.

use std::{env, fs, path::PathBuf};

use anyhow::Context as _;
use novaedge_fuzz_targets::TARGETS;

fn main() -> anyhow::Result<()> {
    let root: PathBuf = env::args_os().nth(1).context("usage: seeds FOLDER")?.into();
    for target in &TARGETS {
        let folder = root.join(target.name);
        fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        for (index, seed) in (target.seeds)()?.iter().enumerate() {
            fs::write(folder.join(format!("seed-{index:04}")), seed)?;
        }
    }
    Ok(())
}
