//! Secrets are read where something refers to them, and not otherwise.

use crate::harness::{GATEWAYS, Running, SECRETS, gateway, secret, server};
use crate::server::Server;

const ID: &str = "Secret/n/wanted";
const PATH: &str = "/api/v1/namespaces/n/secrets/wanted";

fn reads(server: &Server) -> Vec<String> {
    server.change(|data| {
        let reads = data
            .requests
            .iter()
            .filter(|path| path.contains("/namespaces/"));
        reads.cloned().collect()
    })
}

#[tokio::test]
async fn only_what_is_referred_to_is_read_and_before_the_first_batch() {
    let server = server().await;
    server.put(GATEWAYS, gateway("g", "wanted"));
    server.put(SECRETS, secret("wanted", "eA=="));
    server.put(SECRETS, secret("other", "eA=="));
    server.change(|data| data.stuck.insert(PATH.to_owned()));
    let mut running = Running::start(&server);
    running.is_quiet().await;
    assert!(running.health.borrow().waiting.contains(ID));
    server.change(|data| data.stuck.clear());
    running.next().await;
    assert!(running.has(ID) && running.has("Gateway/n/g") && !running.has("Secret/n/other"));
    assert!(running.objects[ID]["data"]["other"].is_null());
    assert_eq!(reads(&server), [PATH]);
}

#[tokio::test]
async fn a_gateway_comes_with_its_secret() {
    let server = server().await;
    let mut running = Running::start(&server);
    running.next().await;
    server.put(GATEWAYS, gateway("g", "wanted"));
    server.put(SECRETS, secret("wanted", "eA=="));
    running.next().await;
    running
        .until("both", |running| {
            running.has(ID) && running.has("Gateway/n/g")
        })
        .await;
    // A Secret that there is not holds nobody up.
    server.put(GATEWAYS, gateway("h", "missing"));
    running
        .until("the other", |running| running.has("Gateway/n/h"))
        .await;
    assert!(!running.has("Secret/n/missing"));
}

#[tokio::test]
async fn a_secret_is_read_again_when_it_changes_and_goes_with_the_last_reference() {
    let server = server().await;
    server.put(GATEWAYS, gateway("g", "wanted"));
    server.put(SECRETS, secret("wanted", "eA=="));
    let mut running = Running::start(&server);
    running.next().await;
    server.put(SECRETS, secret("wanted", "eQ=="));
    running
        .until("rotated", |running| {
            running.objects[ID]["data"]["tls.key"] == "eQ=="
        })
        .await;
    server.delete(SECRETS, "n/wanted");
    running.until("deleted", |running| !running.has(ID)).await;
    server.put(SECRETS, secret("wanted", "eg=="));
    running.until("made again", |running| running.has(ID)).await;
    server.put(GATEWAYS, gateway("g", "missing"));
    running.until("forgotten", |running| !running.has(ID)).await;
    let before = reads(&server).len();
    server.put(SECRETS, secret("wanted", "eA=="));
    running.is_quiet().await;
    assert_eq!(reads(&server).len(), before);
}

#[tokio::test]
async fn a_secret_that_may_not_be_read_is_told_and_holds_nobody_up() {
    let server = server().await;
    server.put(GATEWAYS, gateway("g", "wanted"));
    server.put(SECRETS, secret("wanted", "eA=="));
    server.change(|data| data.failing.insert(PATH.to_owned(), 403));
    let mut running = Running::start(&server);
    running.next().await;
    assert!(running.has("Gateway/n/g") && !running.has(ID));
    assert!(
        running.problems[ID][0].contains("it cannot be read"),
        "{:?}",
        running.problems
    );
    server.change(|data| data.failing.clear());
    running.until("readable", |running| running.has(ID)).await;
    assert!(running.problems.is_empty());
}
