//! Problems in the Static Analysis Results Interchange Format 2.1.0 (OASIS).

use std::collections::BTreeSet;

use novaedge_control_plane::problem::{Level, Problem};
use serde_json::{Value, json};

use super::sentence;

/// A log with one run.
pub(super) fn log(problems: &[Problem]) -> Value {
    let reasons: BTreeSet<&str> = problems.iter().map(|one| one.reason.as_str()).collect();
    let rules: Vec<Value> = reasons.into_iter().map(|id| json!({"id": id})).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "novactl",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "results": problems.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

fn result(problem: &Problem) -> Value {
    let level = match problem.severity {
        Level::Error => "error",
        Level::Warning => "warning",
    };
    let mut result = json!({
        "ruleId": problem.reason,
        "level": level,
        "message": {"text": sentence(problem)},
    });
    if let Some(file) = &problem.file {
        let mut place = json!({"artifactLocation": {"uri": file}});
        if let Some(line) = problem.line {
            place["region"] = json!({"startLine": line});
        }
        result["locations"] = json!([{"physicalLocation": place}]);
    }
    result
}
