use std::fs;

use novaedge_api::{gateway::GatewayClassStatus, meta::Kind};
use novaedge_translate::Delta;

use super::*;

const THEN: i64 = 1_000_000_000;

fn condition(status: &str, time: &str) -> Value {
    json!({"listeners": [{"name": "a", "conditions": [
        {"type": "Accepted", "status": status, "lastTransitionTime": time}]}]})
}

#[test]
fn a_condition_keeps_its_time_until_its_status_changes() {
    let mut same = condition("True", "epoch");
    stamp(&mut same, Some(&condition("True", "then")), "now");
    assert_eq!(same, condition("True", "then"));
    let mut other = condition("False", "epoch");
    stamp(&mut other, Some(&condition("True", "then")), "now");
    assert_eq!(other, condition("False", "now"));
}

#[test]
fn a_parent_keeps_its_times_at_another_place_in_the_list() {
    let parent = |name: &str, time: &str| {
        json!({"parentRef": {"name": name}, "conditions": [
            {"type": "Accepted", "status": "True", "lastTransitionTime": time}]})
    };
    let before = json!([parent("a", "1"), parent("b", "2")]);
    let mut after = json!([
        parent("b", "epoch"),
        parent("a", "epoch"),
        parent("c", "epoch")
    ]);
    stamp(&mut after, Some(&before), "now");
    assert_eq!(
        after,
        json!([parent("b", "2"), parent("a", "1"), parent("c", "now")])
    );
}

fn class(name: &str, accepted: &str) -> (ObjectId, Option<DesiredStatus>) {
    let status: GatewayClassStatus = serde_json::from_value(json!({"conditions": [{
        "type": "Accepted", "status": accepted, "reason": "Accepted", "message": "",
        "lastTransitionTime": "1970-01-01T00:00:00Z"}]}))
    .unwrap();
    let id = ObjectId::new(Kind::GatewayClass, "", name);
    (id, Some(DesiredStatus::GatewayClass(status)))
}

fn take(findings: &mut Findings, statuses: Vec<(ObjectId, Option<DesiredStatus>)>) {
    findings.take(&Delta {
        statuses,
        ..Delta::default()
    });
}

fn write(writer: &mut StatusWriter, findings: &Findings, seconds: i64) {
    let changes = writer.changes(findings);
    writer.write(changes, Timestamp::new(seconds, 123_456_789).unwrap());
}

fn time_of(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let object: Value = serde_saphyr::from_str(&text).unwrap();
    let time = &object["status"]["conditions"][0]["lastTransitionTime"];
    time.as_str().unwrap().to_owned()
}

#[test]
fn times_survive_a_restart_and_what_is_gone_is_pruned() {
    let state = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        state
            .path()
            .join(format!("status/GatewayClass/{name}.yaml"))
    };
    let mut findings = Findings::default();
    take(
        &mut findings,
        vec![class("a", "True"), class("b", "True"), class("c", "True")],
    );
    write(
        &mut StatusWriter::new(state.path()).unwrap(),
        &findings,
        THEN,
    );
    assert_eq!(time_of(&file("a")), "2001-09-09T01:46:40Z");
    fs::write(file("junk"), "a: [").unwrap();

    let mut writer = StatusWriter::new(state.path()).unwrap();
    assert!(file("b").exists(), "a restart wipes nothing");
    let mut findings = Findings::default();
    take(&mut findings, vec![class("a", "True"), class("c", "False")]);
    write(&mut writer, &findings, THEN + 60);
    assert_eq!(time_of(&file("a")), "2001-09-09T01:46:40Z");
    assert_eq!(time_of(&file("c")), "2001-09-09T01:47:40Z");
    assert!(!file("b").exists());
    assert!(!file("junk").exists());
}

#[test]
fn only_what_changed_is_looked_at_and_written() {
    let state = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        state
            .path()
            .join(format!("status/GatewayClass/{name}.yaml"))
    };
    let mut writer = StatusWriter::new(state.path()).unwrap();
    let mut findings = Findings::default();
    take(
        &mut findings,
        (0..50).map(|n| class(&n.to_string(), "True")).collect(),
    );
    write(&mut writer, &findings, THEN);
    take(&mut findings, vec![class("7", "False")]);
    let changes = writer.changes(&findings);
    assert_eq!(changes.statuses.len(), 1);
    assert_eq!(changes.problems, None);
    fs::remove_file(file("8")).unwrap();
    writer.write(changes, Timestamp::UNIX_EPOCH);
    assert!(file("7").exists() && !file("8").exists());
    take(&mut findings, vec![(class("7", "").0, None)]);
    write(&mut writer, &findings, THEN);
    assert!(!file("7").exists());
}

#[test]
fn the_file_reads_as_kubernetes_shows_the_object() {
    let state = tempfile::tempdir().unwrap();
    let mut findings = Findings::default();
    let id = ObjectId::new(Kind::HttpRoute, "shop", "n".repeat(253));
    take(
        &mut findings,
        vec![(id, Some(DesiredStatus::Route([].into())))],
    );
    let mut writer = StatusWriter::new(state.path()).unwrap();
    write(&mut writer, &findings, THEN);
    let folder = state.path().join("status/HTTPRoute/shop");
    let files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let text = fs::read_to_string(&files[0]).unwrap();
    let object: Value = serde_saphyr::from_str(&text).unwrap();
    let expect = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "n".repeat(253), "namespace": "shop"},
        "status": {"parents": []},
    });
    assert_eq!(object, expect);
    let diagnostics = fs::read_to_string(state.path().join("status/diagnostics.yaml")).unwrap();
    assert_eq!(diagnostics, "omitted: 0\nproblems: []\n");
    let writer = StatusWriter::new(state.path()).unwrap();
    assert_eq!(
        writer.written.len(),
        1,
        "a name that was cut is found again"
    );
}

#[test]
fn a_status_that_cannot_be_written_is_tried_again_and_harms_no_other() {
    let state = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        state
            .path()
            .join(format!("status/GatewayClass/{name}.yaml"))
    };
    let mut writer = StatusWriter::new(state.path()).unwrap();
    fs::create_dir_all(file("a").join("in the way")).unwrap();
    let mut findings = Findings::default();
    take(&mut findings, vec![class("a", "True"), class("b", "True")]);
    write(&mut writer, &findings, THEN);
    assert!(file("b").is_file());
    fs::remove_dir_all(file("a")).unwrap();
    take(&mut findings, vec![class("b", "False")]);
    write(&mut writer, &findings, THEN);
    assert!(file("a").is_file());
}
