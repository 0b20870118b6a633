//! What control planes tell over gRPC, through port-forwards of the API server.

use serde_json::Value;

use super::bed::Bed;

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_all_replicas_are_told() {
    let mut bed = Bed::start().await;
    let none = bed.run(&["agents"]);
    assert_eq!(
        (none.code, none.err.as_str()),
        (0, "No agents are connected.\n"),
        "{none:?}"
    );
    bed.replica("control-plane-1").await;
    bed.replicas[0].agent("agent-b").await;
    bed.replicas[1].agent("agent-a").await;
    let table = bed.ok(&["agents"]);
    let rows: Vec<&str> = table.lines().skip(1).collect();
    assert_eq!(rows.len(), 2, "{table}");
    assert!(
        rows[0].starts_with("agent-a ") && rows[1].starts_with("agent-b "),
        "{table}"
    );
    assert!(
        rows.iter()
            .all(|row| row.contains(" ACK ") && row.ends_with("1.2.3")),
        "{table}"
    );
    // One that does not answer is named, and the others are told.
    bed.api.change(|answers| {
        answers.forwards.remove("control-plane-1:18000");
    });
    let some = bed.run(&["agents"]);
    assert_eq!(some.code, 0, "{some:?}");
    assert!(
        some.out.contains("agent-b ") && !some.out.contains("agent-a "),
        "{some:?}"
    );
    let words =
        "no connection to port 18000 of pod novaedge-system/control-plane-1: connection refused";
    assert!(some.err.contains(words), "{some:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_come_without_keys_and_explain_goes_by_them() {
    let bed = Bed::start().await;
    let json = bed.ok(&["snapshot", "get", "-o", "json"]);
    let snapshot: Value = serde_json::from_str(&json).expect("JSON");
    assert!(snapshot["resources"].as_array().expect("a list").len() > 10);
    assert!(json.contains("certificate/") && !json.contains("PRIVATE KEY"));
    let part = bed.ok(&["snapshot", "get", "--gateway", "example-gateway"]);
    assert!(part.contains("gateway/default/example-gateway"), "{part}");
    // Names without a namespace are of the context's.
    let other = bed.run(&[
        "snapshot",
        "get",
        "--gateway",
        "example-gateway",
        "--context",
        "shop",
    ]);
    assert_eq!(other.code, 1, "{other:?}");
    let told = bed.ok(&["explain", "http://www.example.com:8080/"]);
    assert!(
        told.contains("Rule      1 of HTTPRoute default/www"),
        "{told}"
    );
    let before = bed.home.path().join("before.json");
    std::fs::write(&before, json).expect("the folder is writable");
    let line = ["snapshot", "diff", before.to_str().expect("a path of text")];
    assert_eq!(bed.ok(&line), "");
}
