//! What a folder comes to, without serving it.

use std::path::Path;

use novaedge_api::meta::{Object, ObjectId};
use novaedge_compile::Compiler;
use novaedge_proto::v1::Resource;
use novaedge_store::Change;
use novaedge_translate::{TranslateConfig, Translator};
use serde_json::{Map, Value, json};

use crate::{
    folder::{FolderSource, Places},
    inspect,
    problem::{Level, Problem},
    source::SourceError,
    status::{object, to_value},
};

/// Everything that a folder comes to.
#[derive(Debug)]
pub struct Translation {
    /// ProxyGateways, ProxyRoutes and ProxyBackends.
    pub natives: Vec<Object>,
    /// Objects with `apiVersion`, `kind`, `metadata` and `status`; transition times are the epoch.
    pub statuses: Vec<Value>,
    /// What agents would be sent, by name.
    pub snapshot: Vec<Resource>,
    /// What is wrong, sorted.
    pub problems: Vec<Problem>,
    /// Where the objects stand.
    pub places: Places,
}

/// A part of a translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Native objects
    Natives,
    /// Statuses of Gateway API objects
    Statuses,
    /// Resources for the agents
    Snapshot,
    /// What is wrong
    Diagnostics,
}

impl Part {
    /// Every part, in the order of the data flow.
    pub const ALL: [Self; 4] = [
        Self::Natives,
        Self::Statuses,
        Self::Snapshot,
        Self::Diagnostics,
    ];

    /// Its name in the output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Natives => "natives",
            Self::Statuses => "statuses",
            Self::Snapshot => "snapshot",
            Self::Diagnostics => "diagnostics",
        }
    }
}

impl Translation {
    /// Whether something is not served as written.
    pub fn has_errors(&self) -> bool {
        self.problems
            .iter()
            .any(|problem| problem.severity == Level::Error)
    }

    /// The parts as one object, by their names; all, if none is named.
    pub fn to_value(&self, parts: &[Part]) -> Result<Value, serde_json::Error> {
        let mut value = Map::new();
        let parts = if parts.is_empty() { &Part::ALL } else { parts };
        for part in parts {
            let list = match part {
                Part::Natives => self.natives.iter().map(Object::to_value).collect(),
                Part::Statuses => Ok(Value::from(self.statuses.clone())),
                // Without private keys.
                Part::Snapshot => Ok(self.snapshot.iter().map(inspect::resource).collect()),
                Part::Diagnostics => serde_json::to_value(&self.problems),
            };
            value.insert(part.name().to_owned(), list?);
        }
        Ok(Value::Object(value))
    }
}

/// Reads and translates a folder or a file, at a time in seconds since 1970: certificates expire.
pub fn translate(path: &Path, now: i64) -> Result<Translation, SourceError> {
    let (batch, mut places) = FolderSource::read_with_places(path)?;
    let ids: Vec<ObjectId> = batch.changes.iter().map(Change::id).collect();
    let mut translator = Translator::new(TranslateConfig::standalone());
    translator.set_clock(now);
    let delta = translator.update(batch.changes);
    let compiled = Compiler::default().update(&delta.natives, translator.store(), &ids);
    let output = translator.output();
    let mut problems: Vec<Problem> = batch.problems.into_values().flatten().collect();
    problems.extend(output.diagnostics.values().flatten().map(Problem::from));
    let found = compiled.diagnostics.iter();
    problems.extend(found.flat_map(|(_, found)| found).map(Problem::from));
    for problem in &mut problems {
        places.place(problem);
    }
    problems.sort();
    problems.dedup();
    let statuses = output.statuses.iter();
    let snapshot = compiled.upserts.into_iter().map(|(_, resource)| resource);
    Ok(Translation {
        natives: output.natives.values().cloned().collect(),
        statuses: statuses
            .map(|(id, status)| object(id, &to_value(status)))
            .collect(),
        snapshot: snapshot.collect(),
        problems,
        places,
    })
}

/// Text forms of a translation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One YAML document
    #[default]
    Yaml,
    /// One JSON object
    Json,
}

impl Format {
    /// Writes a value, with a line break at its end.
    pub fn write(self, value: &Value) -> std::io::Result<String> {
        let text = match self {
            Self::Yaml => serde_saphyr::to_string(value).map_err(std::io::Error::other)?,
            Self::Json => serde_json::to_string_pretty(&json!(value))?,
        };
        Ok(format!("{}\n", text.trim_end()))
    }
}
