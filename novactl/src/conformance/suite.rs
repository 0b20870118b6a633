//! Running the official suite, where its sources are.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::ConformanceError;

/// Below the repository's folder.
const SCRIPT: &str = "test/conformance/run.sh";

/// The script that runs the suite: in `folder` or above it.
pub fn sources(folder: &Path) -> Result<PathBuf, ConformanceError> {
    let mut scripts = folder.ancestors().map(|folder| folder.join(SCRIPT));
    scripts
        .find(|script| script.is_file())
        .ok_or(ConformanceError::NoSources {
            version: env!("CARGO_PKG_VERSION"),
        })
}

/// Runs the suite on the cluster of `kubeconfig` or `KUBECONFIG`, or on the project's own, which is brought up if needed.
/// What it says goes to standard error, its report into the file `report`. Whether all tests passed.
pub fn run_suite(
    script: &Path,
    report: &Path,
    flags: &[String],
    kubeconfig: Option<&Path>,
) -> Result<bool, ConformanceError> {
    go_runs()?;
    let start = |error: io::Error| ConformanceError::Start {
        file: script.to_owned(),
        reason: error.to_string(),
    };
    let report = std::path::absolute(report).map_err(start)?;
    let mut command = Command::new(script);
    if let Some(kubeconfig) = kubeconfig {
        command.env(
            "KUBECONFIG",
            std::path::absolute(kubeconfig).map_err(start)?,
        );
    }
    let status = command
        .args(flags)
        .env("REPORT", report)
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .status()
        .map_err(start)?;
    Ok(status.success())
}

fn go_runs() -> Result<(), ConformanceError> {
    let output = Command::new("go")
        .arg("version")
        .stdin(Stdio::null())
        .output();
    let reason = match output {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => output.status.to_string(),
        Err(error) => error.to_string(),
    };
    Err(ConformanceError::NoGo { reason })
}
