//! Kinds of output.

use serde::Serialize;

use crate::run::Failure;

/// How a list is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// Columns for people
    #[default]
    Table,
    /// More columns
    Wide,
    /// JSON for programs
    Json,
    /// YAML
    Yaml,
}

/// How a snapshot is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum SnapshotOutput {
    /// One line per resource
    #[default]
    Table,
    /// JSON for programs
    Json,
    /// YAML
    Yaml,
}

/// How problems of manifests are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum CheckOutput {
    /// A line for each, as compilers write them
    #[default]
    Text,
    /// JSON for programs
    Json,
    /// SARIF 2.1.0 for code scanning
    Sarif,
}

/// `value` as JSON with indentation and a newline at the end.
pub fn json(value: &impl Serialize) -> Result<String, Failure> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Failure::Print(error.to_string()))?;
    Ok(text + "\n")
}

/// `value` as a YAML document.
pub fn yaml(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_saphyr::to_string(value).map_err(|error| Failure::Print(error.to_string()))?;
    Ok(text.trim_end().to_owned() + "\n")
}
