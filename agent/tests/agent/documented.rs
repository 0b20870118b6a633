//! docs/observability.md says what the code does.
//!
//! `UPDATE_GOLDEN=1` rewrites its tables.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args as _, Command};
use novaedge_access_log::field::Place;
use novaedge_access_log::{FIELDS, Termination};
use novaedge_agent::flags::AccessLogFlags;
use novaedge_l4::ErrorKind;
use novaedge_proxy::reason::{OTHER_REASONS, Reason};
use novaedge_telemetry::flags::TraceFlags;

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/observability.md")
}

/// The page.
pub fn page() -> String {
    std::fs::read_to_string(path()).unwrap()
}

/// Holds the part of the page that is marked by this name to what it should be.
fn hold(name: &str, expect: &str) {
    let page = page();
    let (begin, end) = (
        format!("<!-- begin {name} -->\n"),
        format!("<!-- end {name} -->\n"),
    );
    let (before, rest) = page.split_once(&begin).unwrap();
    let (found, after) = rest.split_once(&end).unwrap();
    if found == expect {
        return;
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::write(path(), format!("{before}{begin}{expect}{end}{after}")).unwrap();
        return;
    }
    panic!(
        "docs/observability.md is stale; run UPDATE_GOLDEN=1 cargo test -p novaedge-agent documented"
    );
}

/// One test, because the parts are written into one page.
#[test]
fn tables_are_those_of_the_code() {
    let mut fields = "| field | what it is |\n|---|---|\n".to_owned();
    for info in FIELDS {
        let place = match info.place {
            Place::Everywhere => "",
            Place::Templates => " (templates only)",
        };
        writeln!(fields, "| `{}` | {}{place} |", info.name, info.about).unwrap();
    }
    hold("fields", &fields);
    let mut ends = "| `termination` | who ended it |\n|---|---|\n".to_owned();
    for (end, about) in Termination::ALL {
        writeln!(ends, "| `{}` | {about} |", end.as_str()).unwrap();
    }
    hold("terminations", &ends);
    let mut reasons = "| `reason` | status | what it means |\n|---|---|---|\n".to_owned();
    for reason in Reason::ALL {
        let (code, status) = (reason.code(), reason.status().as_u16());
        writeln!(
            reasons,
            "| `{code}` | {status} | {} |",
            reason.text().trim()
        )
        .unwrap();
    }
    for (code, about) in OTHER_REASONS {
        writeln!(reasons, "| `{code}` | | {about} |").unwrap();
    }
    hold("reasons", &reasons);
}

#[test]
fn reasons_of_layer_4_and_all_flags_are_there() {
    let page = page();
    for kind in ErrorKind::ALL {
        let code = format!("| `{}` |", kind.as_str());
        assert!(page.contains(&code), "{code}");
    }
    let flags = AccessLogFlags::augment_args(TraceFlags::augment_args(Command::new("test")));
    let mut count = 0;
    for flag in flags.get_arguments() {
        let name = format!("| `--{}", flag.get_long().unwrap());
        assert!(page.contains(&name), "{name}");
        let variable = flag.get_env().unwrap().to_str().unwrap();
        assert!(page.contains(&format!("`{variable}`")), "{variable}");
        count += 1;
    }
    assert!(count >= 10);
}
