//! `docs/metrics.md` has every metric that the code has. `UPDATE_GOLDEN=1` rewrites its tables.
#![allow(clippy::unwrap_used)] // a harness may panic

use std::{fmt::Write as _, fs, path::Path};

use novaedge_meter::Description;

/// The text between the marks of a table, replaced by what the code says.
fn with_table(page: &str, mark: &str, metrics: &[Description]) -> String {
    let (begin, end) = (
        format!("<!-- {mark} -->\n"),
        format!("<!-- end of {mark} -->"),
    );
    let (before, rest) = page.split_once(&begin).expect("the table has a begin");
    let (_, after) = rest.split_once(&end).expect("the table has an end");
    let mut table = String::from("| metric | type | unit | labels | what it tells |\n");
    table.push_str("|---|---|---|---|---|\n");
    for metric in metrics {
        writeln!(table, "{}", metric.row()).unwrap();
    }
    format!("{before}{begin}\n{table}\n{end}{after}")
}

#[test]
fn the_page_of_metrics_has_them_all() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let page = fs::read_to_string(&path).unwrap();
    let agent = novaedge_agent::metrics_catalog();
    let control_plane = novaedge_control_plane::metrics::catalog();
    let expected = with_table(&page, "metrics of an agent", &agent);
    let expected = with_table(&expected, "metrics of a control plane", &control_plane);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::write(&path, expected).unwrap();
        return;
    }
    assert!(
        page == expected,
        "docs/metrics.md is stale; run UPDATE_GOLDEN=1 cargo test -p novaedge --test metrics"
    );
}

#[test]
fn both_halves_share_one_page_and_no_name() {
    let agent = novaedge_agent::metrics_catalog();
    let control_plane = novaedge_control_plane::metrics::catalog();
    let mut names: Vec<&str> = agent.iter().chain(&control_plane).map(|m| m.name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    for metric in agent.iter().chain(&control_plane) {
        let otel = ["http_server_", "http_client_"];
        let named = metric.name.starts_with("novaedge_")
            || otel.iter().any(|begin| metric.name.starts_with(begin));
        assert!(named, "{}", metric.name);
        assert!(!metric.help().is_empty(), "{}", metric.name);
        assert!(!metric.help().contains('|'), "{}", metric.name);
    }
}
