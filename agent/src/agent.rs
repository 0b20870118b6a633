//! The agent: its threads, and how it ends.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use novaedge_access_log::{OpenError, Reopen};
use novaedge_balance::{OwnPorts, Site, Verdicts};
use novaedge_check::Checks;
use novaedge_proto::v1;
use novaedge_proxy::{Live, Taps};
use novaedge_subscribe::{
    Applier as _, Jitter, LastGood, LastGoodConfig, Step, SubscribeError, Subscriber,
    SubscriberConfig,
};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin};
use crate::asked::Asked;
use crate::config::AgentConfig;
use crate::control::Control;
use crate::dns::{ControlPlaneDns, Dns};
use crate::files::{Share, make_room, raise_limit};
use crate::leaving::Leaving;
use crate::memory;
use crate::metrics::{Sources, Subscription, Traffic, nothing};
use crate::observing::Observing;
use crate::pressure::{self, Memory};
use crate::worker::{self, COMMANDS, Command, WorkerConfig, WorkerCounters};

/// How long the threads may take to end beyond the drain's deadline.
const END_LIMIT: Duration = Duration::from_secs(5);

/// Why an agent did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The admin endpoint's address can't be used.
    #[error("can't listen on the admin address {address}")]
    Admin {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The access log can't be opened.
    #[error(transparent)]
    AccessLog(#[from] OpenError),
    /// The control plane's address or the node's name can't be used.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    /// A thread can't be started.
    #[error("can't start a thread")]
    Thread(#[source] io::Error),
    /// An essential thread has ended.
    #[error("thread {0} has ended")]
    Ended(String),
}

type Applied = oneshot::Sender<Vec<v1::RejectedResource>>;

/// A running agent. Dropping it stops it at once; [`Agent::drain`] ends connections in order.
pub struct Agent {
    workers: Vec<mpsc::Sender<Command>>,
    steps: mpsc::Sender<(Step, Applied)>,
    served: watch::Receiver<Option<v1::Version>>,
    admin: Option<SocketAddr>,
    leaving: Leaving,
    /// Ends the subscription; the admin endpoint goes on.
    unsubscribe: CancellationToken,
    stop: CancellationToken,
    reopen: Reopen,
    /// Threads that end after the workers.
    others: usize,
    ended: mpsc::Receiver<String>,
    taps: Taps,
}

impl Agent {
    /// Starts the threads. Serves the last good snapshot as soon as it is read, and what the
    /// control plane sends after that.
    pub fn start(mut config: AgentConfig) -> Result<Self, AgentError> {
        let count = config.workers.max(1);
        config.http.workers = u32::try_from(count).unwrap_or(u32::MAX);
        config.l4.workers = config.http.workers;
        let admin = config.admin.map(bind_admin).transpose()?;
        let admin_address = admin.as_ref().and_then(|one| one.local_addr().ok());
        let own = admin_address.map(|address| address.port());
        let site = Site {
            zone: config.zone.clone(),
            verdicts: Verdicts::default(),
            own: OwnPorts::new(own.into_iter().chain(config.own_ports.iter().copied())),
        };
        config.http.site.clone_from(&site);
        config.l4.site.clone_from(&site);
        let memory = Arc::new(Memory::default());
        config.http.pressure = memory.pressure.clone();
        let open_files = fit_open_files(&mut config, count);
        let live = nothing();
        let leaving = Leaving::new();
        let subscriber = subscriber(&config, leaving.watch())?;
        let reopen = Reopen::default();
        let (observing, writer) = Observing::open(&config.telemetry, reopen.clone())?;
        let others = if writer.is_some() { 3 } else { 2 };
        let (ended_sender, ended) = mpsc::channel(count + others);
        if let Some(writer) = writer {
            thread("access-log".into(), &ended_sender, || {
                writer.run();
                Ok(())
            })?;
        }
        let traffic = Traffic::default();
        let started = start_workers(&config, &live, &traffic, &observing, &ended_sender)?;
        let (workers, counters): (Vec<_>, Vec<_>) = started.into_iter().unzip();
        let (served_sender, served) = watch::channel(None);
        let checked = Arc::new(novaedge_check::Counters::default());
        let health = HealthThread {
            live: Arc::clone(&live),
            verdicts: site.verdicts,
            counters: Arc::clone(&checked),
            served: served.clone(),
            memory: Arc::clone(&memory),
            memory_limit: config.memory_limit,
        };
        thread("health".into(), &ended_sender, move || health.run())?;
        let (steps, fed) = mpsc::channel(1);
        let agent = Self {
            steps,
            served: served.clone(),
            admin: admin_address,
            leaving: leaving.clone(),
            unsubscribe: CancellationToken::new(),
            stop: CancellationToken::new(),
            reopen,
            others,
            ended,
            taps: observing.taps().clone(),
            workers: workers.clone(),
        };
        let subscription = subscriber.as_ref().map(|subscriber| Subscription {
            metrics: subscriber.metrics(),
            status: subscriber.status(),
        });
        let metrics = Arc::new(Sources {
            workers: counters,
            traffic: traffic.clone(),
            live: Arc::clone(&live),
            checked,
            memory,
            served: served.clone(),
            subscription,
            open_files,
            observed: observing.observed(),
            more: config.more_metrics.clone(),
        });
        let asked = Arc::new(Asked::new(&metrics, &agent.taps));
        let subscriber = subscriber.map(|one| one.answering(asked));
        let control = ControlThread {
            retire: Box::pin(leaving.clone().retire(workers.clone())),
            control: Control::new(live, workers, traffic, served_sender),
            subscriber,
            fed,
            admin: admin.map(|socket| {
                (
                    socket,
                    Admin {
                        served,
                        leaving,
                        log_level: config.telemetry.log_level.clone(),
                        metrics,
                        turn: Mutex::default(),
                    },
                )
            }),
            unsubscribe: agent.unsubscribe.clone(),
            stop: agent.stop.clone(),
        };
        thread("control".into(), &ended_sender, move || control.run())?;
        Ok(agent)
    }

    /// Where the admin endpoint listens.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// The snapshot in force; `None` before the first.
    pub fn served(&self) -> watch::Receiver<Option<v1::Version>> {
        self.served.clone()
    }

    /// Applies a step by hand, for agents without a control plane. When it returns, the step is in
    /// force and its sockets are open; the resources refused are returned.
    pub async fn apply(&self, step: Step) -> Result<Vec<v1::RejectedResource>, AgentError> {
        let gone = || AgentError::Ended("control".into());
        let (applied, rejected) = oneshot::channel();
        self.steps.send((step, applied)).await.map_err(|_| gone())?;
        rejected.await.map_err(|_| gone())
    }

    /// Waits until an essential thread ends by itself, which no agent survives.
    pub async fn failed(&mut self) -> AgentError {
        AgentError::Ended(self.ended.recv().await.unwrap_or_default())
    }

    /// Says that this agent is about to end: it is not ready any more, but serves on. After half the
    /// delay its clients are asked to go elsewhere. Call [`Agent::drain`] after the delay.
    pub fn leave(&self, delay: Duration) {
        self.leaving.begin(delay);
    }

    /// Who wants to see requests while they happen.
    pub fn taps(&self) -> &Taps {
        &self.taps
    }

    /// Opens the file of the access log anew, because it has been moved away.
    pub fn reopen_access_log(&self) {
        self.reopen.ask();
    }

    /// Whether the agent is about to end.
    pub fn leaving(&self) -> watch::Receiver<bool> {
        self.leaving.watch()
    }

    /// Stops accepting, lets connections finish until `limit` has passed, then ends the threads.
    pub async fn drain(mut self, limit: Duration) {
        self.leaving.begin(Duration::ZERO);
        self.unsubscribe.cancel();
        let deadline = Instant::now() + limit;
        for worker in &self.workers {
            // A worker that has ended needs no drain.
            let _ = worker.send(Command::Drain(deadline)).await;
        }
        let all = self.workers.len();
        let workers_end = async {
            for _ in 0..all {
                self.ended.recv().await;
            }
        };
        if timeout(limit + END_LIMIT, workers_end).await.is_err() {
            tracing::error!("a worker did not end at the drain's deadline");
        }
        self.stop.cancel();
        // The last snapshot is still being written, perhaps, and the last lines of the access log. The health thread ends
        // with the control thread.
        let rest_ends = async {
            for _ in 0..self.others {
                self.ended.recv().await;
            }
        };
        let _ = timeout(END_LIMIT, rest_ends).await;
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.unsubscribe.cancel();
        self.stop.cancel();
    }
}

/// Where a worker takes commands, and what it counts.
type Started = (mpsc::Sender<Command>, Arc<WorkerCounters>);

/// Starts the workers.
fn start_workers(
    config: &AgentConfig,
    live: &Live,
    traffic: &Traffic,
    observing: &Observing,
    ended: &mpsc::Sender<String>,
) -> Result<Vec<Started>, AgentError> {
    let http = Arc::new(config.http.clone());
    let start = |index| {
        let (sender, commands) = mpsc::channel(COMMANDS);
        let worker = WorkerConfig {
            index,
            live: Arc::clone(live),
            connections: config.connections_per_worker,
            http: Arc::clone(&http),
            l4: config.l4.clone(),
            counters: Arc::new(WorkerCounters::new(index, traffic)),
            traffic: traffic.clone(),
            observing: observing.clone(),
        };
        let counters = Arc::clone(&worker.counters);
        let name = format!("worker-{index}");
        thread(name, ended, move || worker::run(worker, commands))?;
        Ok((sender, counters))
    };
    (0..config.workers.max(1)).map(start).collect()
}

/// Brings the limits of the workers down to what the process may open. Returns that.
fn fit_open_files(config: &mut AgentConfig, workers: usize) -> Option<u64> {
    let files = raise_limit();
    let wanted = Share {
        connections: config.connections_per_worker,
        udp_sessions: config.l4.udp_sessions,
    };
    let share = Share::fit(wanted, files, workers);
    config.connections_per_worker = share.connections;
    config.l4.udp_sessions = share.udp_sessions;
    make_room(share.files(workers).min(files.unwrap_or(u64::MAX)));
    tracing::info!(
        open_files = files,
        workers,
        connections_per_worker = share.connections,
        udp_sessions_per_socket = share.udp_sessions,
        "limits"
    );
    if share != wanted {
        tracing::warn!(
            "the limit of open files is lower than the connections wanted: raise it (ulimit -Hn)"
        );
    }
    files
}

fn bind_admin(address: SocketAddr) -> Result<std::net::TcpListener, AgentError> {
    let bind = || {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    bind().map_err(|source| AgentError::Admin { address, source })
}

fn subscriber(
    config: &AgentConfig,
    leaving: watch::Receiver<bool>,
) -> Result<Option<Subscriber>, AgentError> {
    let Some(endpoint) = &config.control_plane else {
        return Ok(None);
    };
    let node = v1::Node {
        id: config.node_id.clone(),
        agent_version: env!("CARGO_PKG_VERSION").into(),
        ..v1::Node::default()
    };
    let last_good = config
        .state_dir
        .as_ref()
        .map(|dir| LastGood::new(LastGoodConfig::new(dir)));
    let mut subscription = SubscriberConfig::new(endpoint, node);
    subscription.tls.clone_from(&config.control_plane_tls);
    subscription.token_file.clone_from(&config.token_file);
    subscription.resolve = Arc::new(ControlPlaneDns);
    let subscriber = Subscriber::new(subscription, last_good, jitter())?;
    Ok(Some(subscriber.announcing(leaving)))
}

/// Spreads reconnections; each process has its own random keys of the standard hasher.
fn jitter() -> Jitter {
    use std::hash::BuildHasher as _;
    let random = std::collections::hash_map::RandomState::new();
    let mut turn = 0_u32;
    Box::new(move || {
        turn = turn.wrapping_add(1);
        let bits = u32::try_from(random.hash_one(turn) >> 32).unwrap_or(0);
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    })
}

/// Starts a thread that says its name when it ends, also by a panic.
fn thread(
    name: String,
    ended: &mpsc::Sender<String>,
    run: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> Result<(), AgentError> {
    struct Last(mpsc::Sender<String>, String);
    impl Drop for Last {
        fn drop(&mut self) {
            // There is a place for each thread; without a receiver nobody wants to know.
            let _ = self.0.try_send(std::mem::take(&mut self.1));
        }
    }
    let last = Last(ended.clone(), name.clone());
    let body = move || {
        let last = last;
        if let Err(error) = run() {
            tracing::error!(thread = last.1, %error, "thread failed");
        }
    };
    std::thread::Builder::new()
        .name(name)
        .spawn(body)
        .map(drop)
        .map_err(AgentError::Thread)
}

/// Asks endpoints whether they are well, and measures memory. It has a thread of its own so that neither large snapshots nor requests make an
/// answer look late, nor the measure come late.
struct HealthThread {
    live: Live,
    verdicts: Verdicts,
    counters: Arc<novaedge_check::Counters>,
    served: watch::Receiver<Option<v1::Version>>,
    memory: Arc<Memory>,
    memory_limit: Option<u64>,
}

impl HealthThread {
    /// Runs until the control thread is gone.
    fn run(self) -> io::Result<()> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())?;
        runtime.block_on(async {
            let giving_back = tokio::task::spawn_local(memory::give_back());
            let measuring = pressure::watch(self.memory, self.memory_limit);
            let measuring = tokio::task::spawn_local(measuring);
            let checks = Checks {
                live: self.live,
                resolver: Rc::new(Dns::new()),
                verdicts: self.verdicts,
                counters: self.counters,
            };
            novaedge_check::run(checks, self.served).await;
            giving_back.abort();
            measuring.abort();
        });
        Ok(())
    }
}

struct ControlThread {
    /// Asks clients to go elsewhere when the agent leaves.
    retire: Pin<Box<dyn Future<Output = ()> + Send>>,
    control: Control,
    subscriber: Option<Subscriber>,
    fed: mpsc::Receiver<(Step, Applied)>,
    admin: Option<(std::net::TcpListener, Admin)>,
    unsubscribe: CancellationToken,
    stop: CancellationToken,
}

impl ControlThread {
    fn run(self) -> io::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let admin = self.admin.map(|(socket, admin)| {
                tokio::net::TcpListener::from_std(socket)
                    .map(|listener| tokio::spawn(admin::serve(listener, Arc::new(admin))))
            });
            let admin = admin.transpose()?;
            let retire = tokio::spawn(self.retire);
            let giving_back = tokio::spawn(memory::give_back());
            let mut control = self.control;
            match self.subscriber {
                Some(one) => {
                    let shutdown = self.unsubscribe.cancelled_owned();
                    one.run(&mut control, shutdown).await;
                }

                None => feed(&mut control, self.fed, &self.unsubscribe).await,
            }
            self.stop.cancelled().await;
            retire.abort();
            giving_back.abort();
            if let Some(admin) = admin {
                admin.abort();
            }
            Ok(())
        })
    }
}

async fn feed(
    control: &mut Control,
    mut fed: mpsc::Receiver<(Step, Applied)>,
    unsubscribe: &CancellationToken,
) {
    loop {
        let next = tokio::select! {
            next = fed.recv() => next,
            () = control.recover() => continue,
            () = unsubscribe.cancelled() => None,
        };
        let Some((step, applied)) = next else { return };
        // The caller may have given up waiting; the step is in force all the same.
        let _ = applied.send(control.apply(step).await);
    }
}
