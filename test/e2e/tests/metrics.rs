//! Dashboards and alerts, asked of a real Prometheus that scrapes a real run.
#![allow(clippy::unwrap_used)] // a harness may panic

use std::collections::BTreeSet;

use novaedge_e2e::dashboards::{Dashboard, alerts, dashboards, metric_names, root, runbook};
use novaedge_e2e::scraped::Run;

/// All names that queries may use.
fn known() -> BTreeSet<String> {
    let agent = novaedge_agent::metrics_catalog();
    let control_plane = novaedge_control_plane::metrics::catalog();
    let all = agent.iter().chain(&control_plane);
    all.flat_map(|metric| {
        let name = metric.series();
        let parts = ["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}"));
        parts.into_iter().chain([name])
    })
    .collect()
}

#[test]
fn dashboards_are_what_grafana_takes() {
    let mut uids = BTreeSet::new();
    for dashboard in dashboards() {
        let Dashboard { name, json, .. } = &dashboard;
        assert!(json["schemaVersion"].as_u64() >= Some(39), "{name}");
        assert!(
            json["title"]
                .as_str()
                .is_some_and(|title| !title.is_empty()),
            "{name}"
        );
        let uid = json["uid"].as_str().unwrap_or_default().to_owned();
        assert!(
            !uid.is_empty() && uid.len() <= 40,
            "{name}: at most 40 characters"
        );
        assert!(uids.insert(uid), "{name}: the uid is another one's");
        assert!(json["time"]["from"].is_string(), "{name}");
        assert!(json["templating"]["list"].is_array(), "{name}");
        let mut ids = BTreeSet::new();
        let mut places: Vec<(String, [u64; 4])> = Vec::new();
        for panel in &dashboard.panels {
            let title = panel["title"].as_str().unwrap_or_default();
            let place = format!("{name}: {title}");
            assert!(!title.is_empty(), "{place}");
            assert!(ids.insert(panel["id"].as_u64()), "{place}: id");
            assert!(panel["type"].is_string(), "{place}: type");
            let unit = &panel["fieldConfig"]["defaults"]["unit"];
            assert!(
                unit.as_str().is_some_and(|unit| !unit.is_empty()),
                "{place}: unit"
            );
            assert!(panel["datasource"]["uid"] == "${datasource}", "{place}");
            let grid = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64());
            let [Some(x), Some(y), Some(w), Some(h)] = grid else {
                panic!("{place}: gridPos");
            };
            assert!(
                w > 0 && h > 0 && x + w <= 24,
                "{place}: 24 columns are there"
            );
            for (other, [ox, oy, ow, oh]) in &places {
                let apart = x + w <= *ox || ox + ow <= x || y + h <= *oy || oy + oh <= y;
                assert!(apart, "{place} is over {other}");
            }
            places.push((place.clone(), [x, y, w, h]));
            let targets = panel["targets"].as_array().expect("targets");
            assert!(!targets.is_empty(), "{place}: targets");
            let refs: BTreeSet<_> = targets.iter().map(|t| t["refId"].as_str()).collect();
            assert_eq!(refs.len(), targets.len(), "{place}: refId");
        }
    }
    assert!(uids.len() >= 5, "{uids:?}");
}

#[test]
fn queries_use_metrics_that_there_are() {
    let known = known();
    let panels = dashboards()
        .into_iter()
        .flat_map(|dashboard| dashboard.queries());
    let alerts = alerts()
        .into_iter()
        .map(|alert| (alert.name, alert.expression));
    let mut count = 0;
    for (place, query) in panels.chain(alerts) {
        for name in metric_names(&query) {
            assert!(known.contains(&name), "{place}: {name} is no metric");
            count += 1;
        }
    }
    assert!(count > 100, "{count} names are found");
}

#[test]
fn each_alert_has_a_runbook_and_each_runbook_an_alert() {
    let mut pages = BTreeSet::from(["README.md".to_owned()]);
    let index = runbook("README.md");
    for alert in alerts() {
        let page = alert.runbook.strip_prefix("docs/runbooks/");
        let page = page.unwrap_or_else(|| panic!("{}: {}", alert.name, alert.runbook));
        let text = runbook(page);
        let begin = format!("# {}\n", alert.name);
        assert!(text.starts_with(&begin), "{page}");
        assert!(text.contains(&alert.expression), "{page}: the expression");
        for part in ["## Where to look", "## What to do"] {
            assert!(text.contains(part), "{page}: {part}");
        }
        assert!(index.contains(&format!("]({page})")), "{page}: the index");
        assert!(!alert.summary.is_empty(), "{}", alert.name);
        assert!(pages.insert(page.to_owned()), "{page}: two alerts");
    }
    let folder = root().join("docs/runbooks");
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_string_lossy().into_owned();
        assert!(pages.contains(&name), "{name}: no alert");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_and_every_alert_has_an_answer() {
    let run = Run::start().await;
    let mut wrong = Vec::new();
    for dashboard in dashboards() {
        for (place, query) in dashboard.queries() {
            let query = query.replace("$__rate_interval", "1m");
            wrong.extend(run.unanswered(&place, &query).await);
        }
    }
    let rules = run.prometheus.rules().await;
    for alert in alerts() {
        assert!(rules.contains(&alert.name), "{}: not read", alert.name);
        let side = alert.left_side();
        wrong.extend(run.unanswered(&alert.name, side).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    run.agrees_with_what_was_sent().await;
    run.stop().await;
}
