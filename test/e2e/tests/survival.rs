//! The programs as processes: one of them dies or ends, and traffic does not notice.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use novaedge_e2e::{
    certificates::Ca,
    clients::{Http1, Outcome, Probe, Tcp, WebSocket, eventually},
    manifests::{self, GATEWAY_CLASS, http_route, service},
    origins::{self, Origin},
    programs::Pair,
    system::System,
};
use novaedge_ports::free_port;
use rustls::ClientConfig;
use tokio::task::JoinHandle;

const HOST: &str = "www.example.com";

/// Manifests in a folder, origins behind them, and nothing started yet.
struct Bed {
    pair: Pair,
    http: Probe,
    https: Probe,
    tls: Arc<ClientConfig>,
    /// Ports: HTTP, HTTPS, TCP.
    ports: [u16; 3],
    origins: [Origin; 3],
}

impl Bed {
    async fn new() -> Self {
        let ca = Ca::new();
        let ports @ [http, https, tcp] = [free_port(), free_port(), free_port()];
        let origins = [
            origins::http("a").await,
            origins::http("b").await,
            origins::tcp("t").await,
        ];
        let gateway = manifests::gateway(
            "gw",
            &format!(
                "  - {{name: http, protocol: HTTP, port: {http}}}\n  \
             - {{name: https, protocol: HTTPS, port: {https}, tls: {{certificateRefs: [{{name: pair}}]}}}}\n  \
             - {{name: tcp, protocol: TCP, port: {tcp}}}\n"
            ),
        );
        let tcp_route = "apiVersion: gateway.networking.k8s.io/v1\nkind: TCPRoute\nmetadata: {name: t}\n\
             spec:\n  parentRefs: [{name: gw, sectionName: tcp}]\n  rules: [{backendRefs: [{name: t, port: 90}]}]\n";
        let base = [
            GATEWAY_CLASS.to_owned(),
            gateway,
            ca.issue(&[HOST]).secret("pair"),
            service("a", 80, "TCP", &[origins[0].address]),
            service("b", 80, "TCP", &[origins[1].address]),
            service("t", 90, "TCP", &[origins[2].address]),
            tcp_route.to_owned(),
        ];
        let pair = Pair::new();
        pair.write("base.yaml", &manifests::documents(base));
        pair.write("www.yaml", &http_route("www", "gw", HOST, "a"));
        let (host, path) = (HOST.to_owned(), "/".to_owned());
        Self {
            pair,
            http: Probe::Http {
                address: System::local(http),
                host: host.clone(),
                path: path.clone(),
            },
            https: Probe::Https {
                address: System::local(https),
                host,
                path,
            },
            tls: ca.client(&[]),
            ports,
            origins,
        }
    }

    /// Waits until HTTP and HTTPS are served.
    async fn served(&self) {
        for probe in [&self.http, &self.https] {
            eventually("traffic", async || {
                (probe.once(&self.tls).await == Outcome::Status(200)).then_some(())
            })
            .await;
        }
    }

    async fn client(&self) -> Http1 {
        Http1::connect(System::local(self.ports[0])).await
    }

    /// Waits until the agent has something on disk; its file.
    async fn kept(&self) -> std::path::PathBuf {
        eventually("the last good snapshot", async || {
            let file = self.pair.agent_state().join("snapshot");
            file.exists().then_some(file)
        })
        .await
    }
}

/// Requests one after the other, on one connection, until told to end.
struct Load {
    answers: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Load {
    /// Each answer must be 200; anything else, and a lost connection, is a panic in [`Self::end`].
    async fn start(bed: &Bed) -> Self {
        let (answers, over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let mut client = bed.client().await;
        let (count, end) = (answers.clone(), over.clone());
        let task = tokio::spawn(async move {
            while !end.load(Ordering::SeqCst) {
                let answer = client.get(HOST, "/").await.expect("the connection lives");
                assert_eq!(answer.status, 200);
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self {
            answers,
            over,
            task,
        }
    }

    /// Waits for `more` answers.
    async fn answers(&self, more: usize) {
        let goal = self.answers.load(Ordering::SeqCst) + more;
        eventually("answers", async || {
            (self.answers.load(Ordering::SeqCst) >= goal || self.task.is_finished()).then_some(())
        })
        .await;
    }

    async fn end(self) {
        self.over.store(true, Ordering::SeqCst);
        self.task.await.expect("every answer was right");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_goes_on_without_a_control_plane_and_edits_arrive_when_it_is_back() {
    let bed = Bed::new().await;
    let control_plane = bed.pair.control_plane();
    let _agent = bed.pair.agent();
    bed.served().await;
    let mut socket = WebSocket::connect(System::local(bed.ports[0]), HOST, "/").await;
    let mut flow = Tcp::connect(System::local(bed.ports[2]))
        .await
        .expect("a flow");
    let load = Load::start(&bed).await;

    control_plane.kill();
    bed.pair
        .write("www.yaml", &http_route("www", "gw", HOST, "b"));
    load.answers(500).await;
    assert_eq!(
        bed.https.once(&bed.tls).await,
        Outcome::Status(200),
        "a new connection"
    );
    let mut client = bed.client().await;
    let answer = client.get(HOST, "/").await.expect("an answer");
    assert_eq!(answer.origin(), "a", "nobody has read the edit");

    let _control_plane = bed.pair.control_plane();
    eventually("the edit", async || {
        let answer = client.get(HOST, "/").await.expect("an answer");
        (answer.origin() == "b").then_some(())
    })
    .await;
    load.answers(100).await;
    load.end().await;
    socket
        .echo("still here")
        .await
        .expect("a WebSocket lives on");
    flow.echo("still here").await.expect("a flow lives on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_without_a_control_plane_serves_from_disk_within_two_seconds() {
    let bed = Bed::new().await;
    let (control_plane, agent) = (bed.pair.control_plane(), bed.pair.agent());
    bed.served().await;
    bed.kept().await;
    control_plane.kill();
    agent.kill();
    assert_private(&bed.pair.agent_state());

    let start = Instant::now();
    let agent = bed.pair.agent();
    bed.served().await;
    let took = start.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}\n{}", agent.log());
    tell(&format!(
        "served from disk {took:?} after the start of the process"
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_corrupt_last_good_snapshot_is_named_and_ignored() {
    let bed = Bed::new().await;
    let (control_plane, agent) = (bed.pair.control_plane(), bed.pair.agent());
    bed.served().await;
    let file = bed.kept().await;
    control_plane.kill();
    agent.kill();
    let mut bytes = fs::read(&file).expect("the snapshot");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&file, bytes).expect("the folder is writable");

    let agent = bed.pair.agent();
    let name = file.to_str().expect("a plain name");
    eventually("a word about the file", async || {
        let named = |line: &str| line.contains(name) && line.contains("WARN");
        agent.log().lines().any(named).then_some(())
    })
    .await;
    assert_eq!(
        bed.http.once(&bed.tls).await,
        Outcome::Refused,
        "it serves nothing"
    );
    let _control_plane = bed.pair.control_plane();
    bed.served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_request_is_answered_after_a_request_to_end() {
    let bed = Bed::new().await;
    let _control_plane = bed.pair.control_plane();
    let mut agent = bed.pair.agent();
    bed.served().await;
    let mut idle = bed.client().await;
    idle.get(HOST, "/").await.expect("an answer");
    let open = slow_request(&bed, 1_000).await;

    agent.terminate();
    eventually("no new connections", async || {
        (bed.http.once(&bed.tls).await == Outcome::Refused).then_some(())
    })
    .await;
    assert!(!open.is_finished(), "the request is still open");
    assert_eq!(open.await.expect("no panic"), Some(200));
    let status = agent.ended().await;
    assert!(status.success(), "{status}\n{}", agent.log());
    assert!(
        idle.get(HOST, "/").await.is_err(),
        "the idle connection was closed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_never_ends_is_cut_at_the_deadline() {
    let bed = Bed::new().await;
    let mut control_plane = bed.pair.control_plane();
    let mut agent = bed.pair.agent();
    bed.served().await;
    let open = slow_request(&bed, 60_000).await;

    let start = Instant::now();
    agent.terminate();
    let status = agent.ended().await;
    assert!(status.success(), "{status}\n{}", agent.log());
    // The agent was started with three seconds.
    let took = start.elapsed();
    assert!(
        took > Duration::from_secs(2) && took < Duration::from_secs(5),
        "{took:?}"
    );
    assert_eq!(open.await.expect("no panic"), None);
    control_plane.terminate();
    let status = control_plane.ended().await;
    assert!(status.success(), "{status}\n{}", control_plane.log());
}

/// Sends a request that the origin answers after `milliseconds`, and waits until the origin has it. The status, or
/// none when the connection is lost.
async fn slow_request(bed: &Bed, milliseconds: u64) -> JoinHandle<Option<u16>> {
    let before = bed.origins[0].hits();
    let mut client = bed.client().await;
    let request = Request::builder()
        .uri(format!("/delay/{milliseconds}"))
        .header(header::HOST, HOST)
        .body(Full::<Bytes>::default())
        .expect("a request");
    let open = tokio::spawn(async move {
        client
            .send(request)
            .await
            .ok()
            .map(|answer| answer.status.as_u16())
    });
    eventually("the request at the origin", async || {
        (bed.origins[0].hits() > before).then_some(())
    })
    .await;
    open
}

/// Only the owner may look into a folder that has private keys in it.
fn assert_private(folder: &Path) {
    let mode = |path: &Path| {
        fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(folder), 0o700, "{}", folder.display());
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            assert_private(&path);
        } else {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }
}

#[allow(clippy::print_stdout)]
fn tell(text: &str) {
    println!("{text}");
}
