//! `novactl check` finds what is broken, with file and line, without serving it.

use std::{fs, net::SocketAddr, path::Path};

use novactl::check::{Checked, check};
use novaedge_e2e::{
    certificates::Ca,
    fixture::{Expectation, Fixture, base, values},
};

/// What only a running system can know: which addresses and ports are there.
const UNKNOWABLE: [&str; 2] = [
    "address-that-is-not-here.yaml",
    "port-of-another-program.yaml",
];

/// What stands in the line where the key does not: it is missing, or one item of a list is meant.
const INSTEAD: [(&str, &str); 3] = [
    ("https-without-a-certificate.yaml", "name: one"),
    ("listener-written-twice.yaml", "name: two"),
    ("two-protocols-on-a-port.yaml", "name: one"),
];

#[test]
fn what_is_broken_is_found_at_its_line_and_what_is_mended_is_not() {
    let values = values(&Ca::new(), 1);
    let nowhere: SocketAddr = "127.0.0.1:9".parse().expect("an address");
    let base = base(&values, [nowhere; 4]);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("broken");
    let fixtures = Fixture::all(&folder, &values);
    assert!(fixtures.len() >= 80, "only {}", fixtures.len());
    let mut wrong = Vec::new();
    let now = now();
    for fixture in &fixtures {
        let checked = |text: &str| {
            let folder = tempfile::tempdir().expect("a folder");
            fs::write(folder.path().join("0-base.yaml"), &base).expect("the folder is writable");
            fs::write(folder.path().join(&fixture.name), text).expect("the folder is writable");
            check(folder.path(), now).expect("a check")
        };
        let broken = checked(&fixture.broken);
        for expectation in &fixture.expect {
            if let Err(error) = judge(fixture, expectation, &broken)
                && !UNKNOWABLE.contains(&fixture.name.as_str())
            {
                wrong.push(format!("{}: {error}", fixture.name));
            }
        }
        let mended = checked(&fixture.mended).problems;
        if !mended.is_empty() {
            wrong.push(format!("{}: mended, yet {mended:#?}", fixture.name));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Whether it is found, and at a line where the field stands, or the innermost of those around it that is there.
fn judge(fixture: &Fixture, expectation: &Expectation, checked: &Checked) -> Result<(), String> {
    let all = || {
        let problems = checked
            .problems
            .iter()
            .map(|problem| format!("  {problem}"));
        problems.collect::<Vec<_>>().join("\n")
    };
    let problem = expectation
        .found(&fixture.name, &checked.problems)
        .ok_or_else(|| format!("not found: {expectation}\n{}", all()))?;
    let line = problem.line.ok_or_else(|| format!("no line: {problem}"))?;
    let text = usize::try_from(line)
        .ok()
        .and_then(|line| fixture.broken.lines().nth(line - 1))
        .ok_or_else(|| format!("no such line: {problem}"))?;
    let instead = INSTEAD.iter().find(|(name, _)| *name == fixture.name);
    let key = instead.map(|(_, text)| *text).or_else(|| {
        let mut keys = expectation.keys();
        keys.find(|key| fixture.broken.contains(*key))
    });
    match key {
        Some(key) if !text.contains(key) => Err(format!("not at {key}: {problem}\n  {text}")),
        _ => Ok(()),
    }
}

fn now() -> i64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
    let seconds = since.expect("now is after 1970").as_secs();
    i64::try_from(seconds).expect("it is before the end of time")
}
