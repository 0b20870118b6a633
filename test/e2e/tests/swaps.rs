//! Edits under load: every answer is the old or the new one, and open streams live through all.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use novaedge_e2e::{
    clients::{GrpcStream, Http1, Tcp, WebSocket, eventually, get},
    manifests::{self, GATEWAY_CLASS, gateway, http_route, service, service_with},
    origins,
    system::System,
};
use novaedge_ports::free_port;
use tokio::task::JoinSet;

const EDITS: usize = 1_000;
const CONNECTIONS: usize = 64;
const HOST: &str = "edited.example.com";

/// What an edit writes: the route under edit with another split, order of backends and header, and every
/// third time other endpoints behind its Service `b` and a neighbour that comes or goes. Its number is sent along in
/// `x-edit`, so that an answer tells which version of the route made it.
fn edited(edit: usize, endpoint_of_b: SocketAddr) -> String {
    let (first, second) = if edit.is_multiple_of(2) {
        ("a", "b")
    } else {
        ("b", "a")
    };
    let weight = edit % 100;
    let route = format!(
        r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: edited}}
spec:
  parentRefs: [{{name: gw, sectionName: http}}]
  hostnames: [{HOST}]
  rules:
  - filters:
    - type: ResponseHeaderModifier
      responseHeaderModifier: {{set: [{{name: x-edit, value: "{edit}"}}]}}
    backendRefs:
    - {{name: {first}, port: 80, weight: {weight}}}
    - {{name: {second}, port: 80, weight: {}}}
"#,
        100 - weight
    );
    let mut parts = vec![route, service("b", 80, "TCP", &[endpoint_of_b])];
    if moves_b(edit) {
        parts.push(http_route("neighbour", "gw", "neighbour.example.com", "b"));
    }
    manifests::documents(parts)
}

/// Whether the endpoint of Service `b` is the origin `c` by this edit.
fn moves_b(edit: usize) -> bool {
    edit.is_multiple_of(3)
}

const STREAM_ROUTES: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: grpc}
spec:
  parentRefs: [{name: gw, sectionName: http}]
  hostnames: [grpc.example.com]
  rules: [{backendRefs: [{name: grpc, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: t}
spec:
  parentRefs: [{name: gw, sectionName: tcp}]
  rules: [{backendRefs: [{name: t, port: 90}]}]
";

struct Bed {
    system: System,
    http: SocketAddr,
    tcp: SocketAddr,
    /// a, b, c and the TCP origin.
    origins: [origins::Origin; 4],
}

impl Bed {
    fn edited(&self, edit: usize) -> String {
        edited(edit, endpoint_of_b(&self.origins, edit))
    }
}

fn endpoint_of_b([_, b, c, _]: &[origins::Origin; 4], edit: usize) -> SocketAddr {
    if moves_b(edit) { c.address } else { b.address }
}

async fn bed() -> Bed {
    let (http, tcp) = (free_port(), free_port());
    let listeners = format!(
        "  - {{name: http, protocol: HTTP, port: {http}}}\n  - {{name: tcp, protocol: TCP, port: \
         {tcp}}}\n"
    );
    let origins = [
        origins::http("a").await,
        origins::http("b").await,
        origins::http("c").await,
        origins::tcp("t").await,
    ];
    let [a, _, _, t] = &origins;
    let backends = manifests::documents([
        service("a", 80, "TCP", &[a.address]),
        service_with("grpc", 80, "TCP", "kubernetes.io/h2c", &[a.address]),
        service("t", 90, "TCP", &[t.address]),
    ]);
    let system = System::start(&[
        ("class.yaml", GATEWAY_CLASS),
        ("gateway.yaml", &gateway("gw", &listeners)),
        ("backends.yaml", &backends),
        ("ws.yaml", &http_route("ws", "gw", "ws.example.com", "a")),
        ("streams.yaml", STREAM_ROUTES),
        ("edited.yaml", &edited(0, endpoint_of_b(&origins, 0))),
    ])
    .await;
    let (http, tcp) = (System::local(http), System::local(tcp));
    eventually("the first route", async || {
        (get(http, HOST, "/").await.status == 200).then_some(())
    })
    .await;
    Bed {
        system,
        http,
        tcp,
        origins,
    }
}

/// The edits in force, as far as a client can know.
#[derive(Default)]
struct Edits {
    /// Every worker serves this one or a later one.
    oldest: AtomicUsize,
    /// Written last.
    newest: AtomicUsize,
    over: AtomicBool,
}

/// Sends requests until the edits are over. Each answer must come from a version of the route that
/// was in force between sending and receiving. Returns the number of answers.
async fn load(address: SocketAddr, edits: Arc<Edits>) -> usize {
    let mut client = Http1::connect(address).await;
    let mut answers = 0;
    while !edits.over.load(Ordering::SeqCst) {
        let oldest = edits.oldest.load(Ordering::SeqCst);
        let answer = client.get(HOST, "/").await.expect("the connection lives");
        let newest = edits.newest.load(Ordering::SeqCst);
        assert_eq!(
            answer.status,
            200,
            "{}",
            String::from_utf8_lossy(&answer.body)
        );
        let edit: usize = answer.headers["x-edit"]
            .to_str()
            .expect("text")
            .parse()
            .expect("number");
        assert!(
            (oldest..=newest).contains(&edit),
            "edit {edit} of {oldest}..={newest}"
        );
        let origin = answer.headers["x-origin"].to_str().expect("text");
        let b = if moves_b(edit) { "c" } else { "b" };
        assert!(origin == "a" || origin == b, "{origin} by edit {edit}");
        answers += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    answers
}

async fn edit_a_thousand_times(bed: &Bed, edits: &Edits) {
    let mut probe = Http1::connect(bed.http).await;
    for edit in 1..=EDITS {
        edits.newest.store(edit, Ordering::SeqCst);
        bed.system.write("edited.yaml", &bed.edited(edit));
        eventually("the edit", async || {
            let answer = probe.get(HOST, "/").await.expect("an answer");
            assert_eq!(answer.status, 200);
            (answer.headers["x-edit"] == edit.to_string().as_str()).then_some(())
        })
        .await;
        // All workers load the same pointer, so what one has answered with, all answer with.
        edits.oldest.store(edit, Ordering::SeqCst);
    }
    edits.over.store(true, Ordering::SeqCst);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_edits_under_load_give_only_old_or_new_answers() {
    let bed = bed().await;
    let (mut sockets, mut calls, mut flows) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..100 {
        sockets.push(WebSocket::connect(bed.http, "ws.example.com", "/").await);
    }
    for _ in 0..50 {
        calls.push(GrpcStream::open(bed.http, "grpc.example.com", "/echo.Echo/Stream").await);
        flows.push(Tcp::connect(bed.tcp).await.expect("a TCP flow"));
    }

    let edits = Arc::new(Edits::default());
    let mut loads = JoinSet::new();
    for _ in 0..CONNECTIONS {
        loads.spawn(load(bed.http, edits.clone()));
    }
    edit_a_thousand_times(&bed, &edits).await;
    let mut answers = 0;
    while let Some(count) = loads.join_next().await {
        answers += count.expect("a load saw only right answers");
    }
    assert!(answers > EDITS, "{answers} answers are no constant load");

    for socket in &mut sockets {
        socket
            .echo("still here")
            .await
            .expect("a WebSocket lives through all edits");
    }
    for mut call in calls {
        call.echo("still here")
            .await
            .expect("a gRPC stream lives through all edits");
        assert_eq!(call.finish().await.as_deref(), Ok("0"));
    }
    for mut flow in flows {
        flow.echo("still here")
            .await
            .expect("a TCP flow lives through all edits");
        assert_eq!(flow.finish().await.expect("an orderly end"), b"");
    }
    bed.system.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_route_goes_from_404_to_200_with_nothing_between() {
    let bed = bed().await;
    let mut client = Http1::connect(bed.http).await;
    for number in 0..100 {
        let name = format!("new{number}");
        let host = format!("{name}.example.com");
        assert_eq!(client.get(&host, "/").await.expect("an answer").status, 404);
        bed.system.write(
            &format!("{name}.yaml"),
            &http_route(&name, "gw", &host, "a"),
        );
        eventually("the new route", async || {
            let status = client
                .get(&host, "/")
                .await
                .expect("an answer")
                .status
                .as_u16();
            assert!(
                status == 404 || status == 200,
                "{status} between 404 and 200"
            );
            (status == 200).then_some(())
        })
        .await;
    }
    bed.system.stop().await;
}
