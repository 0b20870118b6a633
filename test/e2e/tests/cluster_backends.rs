//! Backends restart and routes change while requests come: on a real cluster.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use novaedge_e2e::{
    clients::{Answer, Http1, get},
    cluster::{Namespace, OpenLoop, agents, bed, hello, size, within},
};
use tokio::task::JoinSet;

const HOST: &str = "hello.example.com";
const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn backends_restart_at_500_requests_per_second_without_an_error() {
    let restarts = size("NOVAEDGE_E2E_RESTARTS", 3);
    let (namespace, address) = bed("backends", HOST, 5).await;
    let begin = Instant::now();
    let load = OpenLoop::start(address, HOST, 500);
    for _ in 0..restarts {
        namespace.kubectl(&["rollout", "restart", "deployment/hello"]);
        namespace.kubectl(&["rollout", "status", "deployment/hello", "--timeout=120s"]);
    }
    // The last ones end under load too.
    within(MINUTE, "the end of the old pods", async || {
        (namespace.objects("pods", &["-l", "app=hello"]).len() == 5).then_some(())
    })
    .await;
    let measured = load.finish().await;
    eprintln!("{restarts} rolling restarts in {:?}", begin.elapsed());
    measured.assert_all_good();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn every_answer_is_right_while_a_route_is_edited() {
    let edits = size("NOVAEDGE_E2E_EDITS", 30);
    let (namespace, address) = bed("edits", HOST, 2).await;
    namespace.apply(&hello(2).replace("hello", "world"));
    namespace.kubectl(&["rollout", "status", "deployment/world", "--timeout=120s"]);
    edit(&namespace, 0);
    within(MINUTE, "the first edit", async || {
        let answer = get(address, HOST, "/").await;
        answer.headers.contains_key("x-edit").then_some(())
    })
    .await;
    let agents = agents(&namespace);
    everywhere(
        &agents.iter().map(|agent| agent.address).collect::<Vec<_>>(),
        0,
    )
    .await;

    let truth = Arc::<Truth>::default();
    let mut clients = JoinSet::new();
    for address in std::iter::once(address).chain(agents.iter().map(|agent| agent.address)) {
        for _ in 0..2 {
            clients.spawn(Arc::clone(&truth).ask(address));
        }
    }
    let direct: Vec<_> = agents.iter().map(|agent| agent.address).collect();
    for number in 1..=edits {
        truth.written.store(number, Ordering::SeqCst);
        edit(&namespace, number);
        everywhere(&direct, number).await;
        truth.served.store(number, Ordering::SeqCst);
    }
    truth.over.store(true, Ordering::SeqCst);
    let wrong: Vec<_> = clients.join_all().await.into_iter().flatten().collect();
    let answers = truth.answers.load(Ordering::SeqCst);
    eprintln!("{edits} edits, {answers} answers, {} wrong", wrong.len());
    assert_eq!(wrong, Vec::<String>::new());
}

/// Odd edits lead to `world`, even ones to `hello`; each tells its number in a header.
fn edit(namespace: &Namespace, number: usize) {
    let backend = backend_of(number);
    let rules = format!(
        "{{\"spec\":{{\"rules\":[{{\"backendRefs\":[{{\"name\":\"{backend}\",\"port\":80}}],\
         \"filters\":[{{\"type\":\"ResponseHeaderModifier\",\"responseHeaderModifier\":\
         {{\"set\":[{{\"name\":\"x-edit\",\"value\":\"{number}\"}}]}}}}]}}]}}}}"
    );
    namespace.kubectl(&["patch", "httproute/hello", "--type=merge", "-p", &rules]);
}

fn backend_of(number: usize) -> &'static str {
    if number.is_multiple_of(2) {
        "hello"
    } else {
        "world"
    }
}

/// Waits until each agent gives this edit. They are asked often: what comes between is what the test is about.
async fn everywhere(agents: &[SocketAddr], number: usize) {
    let begin = Instant::now();
    for &agent in agents {
        while number_of(&get(agent, HOST, "/").await) != Ok(number) {
            assert!(
                begin.elapsed() < MINUTE,
                "{agent} does not serve edit {number}"
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// The edit that an answer is by, if it is right in itself.
fn number_of(answer: &Answer) -> Result<usize, String> {
    let body = String::from_utf8_lossy(&answer.body);
    let edit = answer
        .headers
        .get("x-edit")
        .and_then(|edit| edit.to_str().ok());
    let wrong = || format!("{} {edit:?} {body}", answer.status);
    let number = edit.and_then(|edit| edit.parse().ok()).ok_or_else(wrong)?;
    let right = answer.status == 200 && body.starts_with(backend_of(number));
    right.then_some(number).ok_or_else(wrong)
}

/// What may be answered now.
#[derive(Default)]
struct Truth {
    /// The newest edit that may have been written.
    written: AtomicUsize,
    /// The newest edit that all agents serve.
    served: AtomicUsize,
    answers: AtomicUsize,
    over: AtomicBool,
}

impl Truth {
    /// Asks on kept connections until the end: the answers that were wrong.
    async fn ask(self: Arc<Self>, address: SocketAddr) -> Vec<String> {
        let mut wrong = Vec::new();
        'connections: while wrong.len() < 10 {
            let Ok(mut client) = Http1::try_connect(address).await else {
                wrong.push(format!("{address}: cannot connect"));
                continue;
            };
            // An agent never falls back to what it served before.
            let mut last = 0;
            while client.is_open() {
                if self.over.load(Ordering::SeqCst) {
                    break 'connections;
                }
                last = last.max(self.served.load(Ordering::SeqCst));
                let answer = client.get(HOST, "/").await;
                let written = self.written.load(Ordering::SeqCst);
                match answer
                    .map_err(|error| format!("{error:?}"))
                    .and_then(|a| number_of(&a))
                {
                    Ok(number) if (last..=written).contains(&number) => {
                        self.answers.fetch_add(1, Ordering::Relaxed);
                        last = number;
                    }
                    Ok(number) => {
                        wrong.push(format!("{address}: {number}, not {last} to {written}"));
                    }
                    Err(error) => wrong.push(format!("{address}: {error}")),
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        wrong
    }
}
