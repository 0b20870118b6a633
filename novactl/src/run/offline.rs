//! What needs no running system.

use std::{fs, path::PathBuf};

use k8s_openapi::jiff::Timestamp;
use novaedge_control_plane::translate::{Format, Part, translate};

use super::{Failure, Looking, Terminal, Verdict, verdict};
use crate::{
    arguments,
    check::{Checked, check},
    conformance::{self, Conformance, ConformanceError},
    output::{CheckOutput, SnapshotOutput, json, yaml},
};

pub(super) fn print_check(
    looking: &Looking<'_>,
    output: CheckOutput,
    to: &mut Terminal<'_>,
) -> Result<Checked, Failure> {
    let folder = looking.manifests()?;
    let checked = check(&folder, Timestamp::now().as_second())?;
    let text = match output {
        CheckOutput::Text => checked.text(to.paint),
        CheckOutput::Json => json(&checked.document())?,
        CheckOutput::Sarif => json(&checked.sarif())?,
    };
    to.out.write_all(text.as_bytes())?;
    Ok(checked)
}

pub(super) fn print_translation(
    looking: &Looking<'_>,
    only: &[Part],
    output: Format,
    to: &mut Terminal<'_>,
) -> Result<Verdict, Failure> {
    let folder = looking.manifests()?;
    let translation = translate(&folder, Timestamp::now().as_second())?;
    let value = translation.to_value(only);
    let value = value.map_err(|error| Failure::Print(error.to_string()))?;
    let text = output.write(&value);
    let text = text.map_err(|error| Failure::Print(error.to_string()))?;
    to.out.write_all(text.as_bytes())?;
    Ok(verdict(!translation.has_errors()))
}

/// The report that `--run` has written, or the file that is named, or else the one that this version ships with.
pub(super) fn conformance(
    looking: &Looking<'_>,
    arguments: &arguments::Conformance,
    to: &mut Terminal<'_>,
) -> Result<Verdict, Failure> {
    let mut file = arguments.report.clone();
    let mut passed = true;
    if arguments.run {
        if let Some(context) = looking.flags().context.clone() {
            return Err(ConformanceError::Context { context }.into());
        }
        let kubeconfig = looking.flags().kubeconfig.as_deref();
        let script = conformance::sources(&std::env::current_dir()?)?;
        let written = file.unwrap_or_else(|| PathBuf::from("conformance-report.yaml"));
        let modified = || fs::metadata(&written).and_then(|file| file.modified()).ok();
        let before = modified();
        passed = conformance::run_suite(&script, &written, &arguments.flags, kubeconfig)?;
        if modified() == before {
            writeln!(to.remarks, "The suite has written no report.")?;
            return Ok(verdict(passed));
        }
        file = Some(written);
    }
    let found = match file {
        Some(file) => Conformance::read(&file)?,
        None => Conformance::shipped()?,
    };
    let text = match arguments.output {
        SnapshotOutput::Table => conformance::text(&found, to.paint),
        SnapshotOutput::Json => json(&conformance::document(&found))?,
        SnapshotOutput::Yaml => yaml(&conformance::document(&found))?,
    };
    to.out.write_all(text.as_bytes())?;
    Ok(verdict(passed && found.is_success()))
}
