//! What a folder comes to, without serving it.

use std::path::Path;

use novaedge_api::meta::{Object, ObjectId};
use novaedge_compile::Compiler;
use novaedge_proto::v1::resource::Body;
use novaedge_store::Change;
use novaedge_translate::{TranslateConfig, Translator};
use serde_json::{Value, json};

use crate::{
    folder::FolderSource,
    problem::{Level, Problem},
    source::SourceError,
    status::to_value,
};

/// Everything that a folder comes to.
#[derive(Debug)]
pub struct Translation {
    /// ProxyGateways, ProxyRoutes and ProxyBackends.
    pub natives: Vec<Object>,
    /// `{kind, namespace, name, status}`; transition times are the epoch.
    pub statuses: Vec<Value>,
    /// `{name, resource}`; private keys are blanked.
    pub snapshot: Vec<Value>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl Translation {
    /// Whether something is not served as written.
    pub fn has_errors(&self) -> bool {
        self.problems
            .iter()
            .any(|problem| problem.severity == Level::Error)
    }
}

/// Reads and translates `folder`.
pub fn translate(folder: &Path) -> Result<Translation, SourceError> {
    let batch = FolderSource::read(folder)?;
    let ids: Vec<ObjectId> = batch.changes.iter().map(Change::id).collect();
    let mut translator = Translator::new(TranslateConfig::standalone());
    let delta = translator.update(batch.changes);
    let compiled = Compiler::default().update(&delta.natives, translator.store(), &ids);
    let output = translator.output();
    let mut problems: Vec<Problem> = batch.problems.into_values().flatten().collect();
    problems.extend(output.diagnostics.values().flatten().map(Problem::from));
    let found = compiled
        .diagnostics
        .iter()
        .flat_map(|(_, diagnostics)| diagnostics);
    problems.extend(found.map(Problem::from));
    problems.sort();
    problems.dedup();
    let statuses = output.statuses.iter().map(|(id, status)| {
        json!({
            "kind": id.kind.as_str(),
            "namespace": id.key.namespace,
            "name": id.key.name,
            "status": to_value(status),
        })
    });
    let snapshot = compiled.upserts.into_iter().map(|(name, mut resource)| {
        if let Some(Body::Certificate(certificate)) = &mut resource.body {
            certificate.private_key_pem.clear();
        }
        json!({"name": name, "resource": format!("{:?}", resource.body)})
    });
    Ok(Translation {
        natives: output.natives.values().cloned().collect(),
        statuses: statuses.collect(),
        snapshot: snapshot.collect(),
        problems,
    })
}
