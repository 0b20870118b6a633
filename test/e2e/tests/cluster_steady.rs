//! What NovaEdge writes and keeps, and what it does not: on a real cluster.

// The numbers that were seen.
#![allow(clippy::print_stderr)]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    time::{Duration, Instant},
};

use novaedge_e2e::cluster::{
    Audit, Namespace, alone, bed, is_own, memory, route, serves, size, within,
};

const HOST: &str = "hello.example.com";
const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn nothing_is_written_in_a_steady_state() {
    if !is_own() {
        return;
    }
    let seconds = size("NOVAEDGE_E2E_STEADY_SECONDS", 30);
    let (_namespace, _) = bed("steady", HOST, 2).await;
    alone().await;
    within(2 * MINUTE, "the end of all changes", async || {
        let audit = Audit::begin();
        tokio::time::sleep(Duration::from_secs(5)).await;
        audit.writes().is_empty().then_some(())
    })
    .await;
    let audit = Audit::begin();
    tokio::time::sleep(Duration::from_secs(seconds as u64)).await;
    assert_eq!(audit.writes(), BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn a_deleted_route_takes_along_what_was_made_for_it() {
    let (namespace, _) = bed("deleted", HOST, 1).await;
    made(&namespace, "proxyroutes", 1).await;
    made(&namespace, "proxybackends", 1).await;
    namespace.kubectl(&["delete", "httproute/hello"]);
    made(&namespace, "proxyroutes", 0).await;
    made(&namespace, "proxybackends", 0).await;
    made(&namespace, "proxygateways", 1).await;
    namespace.kubectl(&["delete", "gateway/edge"]);
    made(&namespace, "proxygateways", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn many_routes_are_counted_at_once_written_once_and_forgotten() {
    if !is_own() {
        return;
    }
    let count = size("NOVAEDGE_E2E_ROUTES", 200);
    let (namespace, address) = bed("many", HOST, 1).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (before, audit) = (memory(), Audit::begin());
    let mut manifest = String::new();
    for number in 0..count {
        let route = route(&format!("r{number}"), &format!("r{number}.example.com"));
        writeln!(manifest, "{route}---").expect("text takes all");
    }
    namespace.create(&manifest);
    let last = Instant::now();
    attached(&namespace, count + 1).await;
    let counted = last.elapsed();
    eprintln!("{count} routes: attachedRoutes is right {counted:?} after the last");
    assert!(counted < Duration::from_secs(2), "{counted:?}");
    serves(address, &format!("r{}.example.com", count - 1)).await;
    made(&namespace, "proxyroutes", count + 1).await;
    written_once(&audit, &namespace, count).await;
    let with = memory();

    namespace.kubectl(&["delete", "httproute", "--all", "--wait=false"]);
    attached(&namespace, 0).await;
    made(&namespace, "proxyroutes", 0).await;
    made(&namespace, "proxybackends", 0).await;
    eprintln!("RSS in KiB: {before:?} before, {with:?} with the routes");
    let mut now = BTreeMap::new();
    within(2 * MINUTE, "memory as before", async || {
        let next = memory();
        if next != now {
            eprintln!("RSS in KiB: {next:?}");
            now = next;
        }
        let grown = |(name, kib): (&String, &u64)| {
            let before = before.get(name);
            before.is_none_or(|before| *kib > before * 115 / 100)
        };
        (!now.iter().any(grown)).then_some(())
    })
    .await;
}

/// One status for each real change: a route has one, the Gateway has its count at most once per route.
async fn written_once(audit: &Audit, namespace: &Namespace, count: usize) {
    // What is still to be written would be missed.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut most: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    // What other tests have left behind may be on its way out.
    let prefix = format!("{}/", namespace.name());
    let writes = audit.writes().into_iter();
    for (write, times) in writes.filter(|(write, _)| write.object.starts_with(&prefix)) {
        let (objects, at_most) = most
            .entry(format!("{} {}", write.verb, write.resource))
            .or_default();
        *objects += 1;
        *at_most = times.max(*at_most);
    }
    eprintln!("written (objects, most writes of one): {most:?}");
    for (what, (_, times)) in &most {
        let may = if what.contains("gateways/status") {
            count
        } else {
            1
        };
        assert!(*times <= may, "{what}: {times} writes of one object");
    }
}

async fn attached(namespace: &Namespace, count: usize) {
    within(MINUTE, "the number of routes", async || {
        let number = namespace.kubectl(&[
            "get",
            "gateway/edge",
            "-o",
            "jsonpath={.status.listeners[0].attachedRoutes}",
        ]);
        (number == count.to_string()).then_some(())
    })
    .await;
}

/// Waits until so many objects of a native kind are there.
async fn made(namespace: &Namespace, kind: &str, count: usize) {
    within(MINUTE, &format!("{count} {kind}"), async || {
        (namespace.objects(kind, &[]).len() == count).then_some(())
    })
    .await;
}
