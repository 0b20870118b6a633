//! `novactl check` over manifests that are broken where they say so: `# error REASON` or `# warning REASON` at the end of a
//! line, in `tests/check/*.yaml`.

#[path = "support/quickstart.rs"]
mod quickstart;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use novactl::{
    check::{Checked, check},
    table::Paint,
};
use novaedge_control_plane::problem::Level;

/// When nothing has expired.
const NOW: i64 = 1_800_000_000;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check")
}

/// Level, line and reason.
type Mark = (String, u32, String);

fn marks(text: &str) -> BTreeSet<Mark> {
    let mut marks = BTreeSet::new();
    for (line, content) in (1..).zip(text.lines()) {
        for level in ["error", "warning"] {
            if let Some((_, reason)) = content.split_once(&format!("# {level} ")) {
                marks.insert((level.to_owned(), line, reason.trim().to_owned()));
            }
        }
    }
    marks
}

fn found(checked: &Checked, file: &str) -> BTreeSet<Mark> {
    let problems = checked.problems.iter();
    problems
        .map(|problem| {
            let level = match problem.severity {
                Level::Error => "error",
                Level::Warning => "warning",
            };
            assert_eq!(problem.file.as_deref(), Some(file), "{problem}");
            let line = problem.line.unwrap_or_else(|| panic!("no line: {problem}"));
            (level.to_owned(), line, problem.reason.clone())
        })
        .collect()
}

#[test]
fn what_is_broken_is_found_where_it_stands_and_nothing_else() {
    let base = fs::read_to_string(fixtures().join("base.yaml")).expect("the base");
    let mut count = 0;
    for entry in fs::read_dir(fixtures()).expect("fixtures") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        if name == "base.yaml" {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a fixture");
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("base.yaml"), &base).expect("the folder is writable");
        fs::write(folder.path().join(&*name), &text).expect("the folder is writable");
        let checked = check(folder.path(), NOW).expect("a check");
        let told = checked.text(Paint::Plain);
        assert_eq!(found(&checked, &name), marks(&text), "{name}:\n{told}");
        count += 1;
    }
    assert!(count >= 15, "only {count} fixtures");
}

#[test]
fn what_is_valid_is_not_called_broken() {
    let quickstart = quickstart::folder();
    for path in [&fixtures().join("base.yaml"), quickstart.path()] {
        let checked = check(path, NOW).expect("a check");
        let told = checked.text(Paint::Plain);
        assert!(checked.problems.is_empty(), "{}: {told}", path.display());
    }
}

#[test]
fn code_scanning_gets_file_and_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = fs::read_to_string(fixtures().join("syntax.yaml")).expect("a fixture");
    fs::write(folder.path().join("a.yaml"), text).expect("the folder is writable");
    let log = check(folder.path(), NOW).expect("a check").sarif();
    let result = &log["runs"][0]["results"][0];
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(log["version"], "2.1.0");
    assert_eq!(
        (&result["level"], &result["ruleId"]),
        (&"error".into(), &"Syntax".into())
    );
    assert_eq!(place["artifactLocation"]["uri"], "a.yaml");
    assert_eq!(place["region"]["startLine"], 3);
}
