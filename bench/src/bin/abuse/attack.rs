//! The attacker: many connections of one abuse, in a process of its own, until the time is over.

use std::{
    cell::RefCell,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
    time::Duration,
};

use clap::Args;
use futures_util::future::{LocalBoxFuture, join_all};
use tokio::{
    net::{TcpSocket, TcpStream},
    task::LocalSet,
    time::{Instant, sleep, timeout_at},
};

use crate::{family, tally::Tally};

/// Where the attacker comes from: the honest clients come from 127.0.0.1, so neither takes ports from the other.
const FROM: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// Between the end of a connection and the next: a client that is thrown out comes back at once, but does not use up the
/// ports of the machine.
const PAUSE: Duration = Duration::from_millis(2);

/// All connections are opened within this time.
const RAMP: Duration = Duration::from_secs(1);

/// Bytes that one abuse sends at most.
const MOST: u64 = 24 * 1024 * 1024 * 1024;

/// Abuses the agent, and tells of it as JSON.
#[derive(Debug, Args)]
pub struct Attack {
    /// Which abuse.
    #[arg(long)]
    abuse: String,
    /// The cleartext listener.
    #[arg(long)]
    http: SocketAddr,
    /// The HTTPS listener.
    #[arg(long)]
    https: SocketAddr,
    /// The host that is asked for.
    #[arg(long)]
    host: String,
    #[arg(long)]
    seconds: u32,
}

/// One kind of abuse.
pub struct Abuse {
    /// Its name.
    pub name: &'static str,
    /// What it does, as the page tells it.
    pub what: &'static str,
    /// What it is held to.
    pub held_to: HeldTo,
    /// Connections at once.
    pub connections: u32,
    /// One connection, from its start to its end.
    pub run: Run,
}

/// What a load is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldTo {
    /// All aims.
    Aims,
    /// Nothing: it shows what the machine and an honest load do to the same figures.
    Nothing,
}

/// One connection of an abuse. An error of the connection counts as its end by the agent.
pub type Run = fn(Rc<Attacker>) -> LocalBoxFuture<'static, io::Result<Ended>>;

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    ByAgent,
    ByAttacker,
}

/// What the connections of an abuse share.
pub struct Attacker {
    /// The cleartext listener.
    pub http: SocketAddr,
    /// The HTTPS listener.
    pub https: SocketAddr,
    /// The host that is asked for.
    pub host: String,
    tally: RefCell<Tally>,
}

/// How much a client's kernel takes for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receives {
    /// What kernels take by themselves.
    Much,
    /// As little as they can be told to: what is not read stays with the agent.
    Little,
}

impl Attack {
    /// Abuses.
    pub fn run(&self) -> anyhow::Result<()> {
        let abuse = family::all().find(|abuse| abuse.name == self.abuse);
        let abuse = abuse.ok_or_else(|| anyhow::anyhow!("no abuse is called {}", self.abuse))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let attacker = Rc::new(Attacker {
            http: self.http,
            https: self.https,
            host: self.host.clone(),
            tally: RefCell::default(),
        });
        let until = Instant::now() + Duration::from_secs(u64::from(self.seconds));
        LocalSet::new().block_on(&runtime, async {
            let connections = (0..abuse.connections).map(|index| {
                let begin = Instant::now() + RAMP * index / abuse.connections;
                let attacker = Rc::clone(&attacker);
                tokio::task::spawn_local(again(abuse.run, attacker, begin, until))
            });
            join_all(connections.collect::<Vec<_>>()).await
        });
        tell(&attacker.tally.borrow())
    }
}

/// One connection after the other.
async fn again(run: Run, attacker: Rc<Attacker>, begin: Instant, until: Instant) {
    tokio::time::sleep_until(begin).await;
    while attacker.tally.borrow().bytes < MOST {
        let opened = attacker.tally.borrow().opened;
        match timeout_at(until, run(Rc::clone(&attacker))).await {
            Err(_) => return,
            Ok(Ok(Ended::ByAttacker)) => {}
            Ok(Ok(Ended::ByAgent)) => attacker.note(|tally| tally.ended += 1),
            // Others may have opened theirs meanwhile, so an end may be counted where none could be opened: `refused`
            // tells of that.
            Ok(Err(_)) => attacker.note(|tally| {
                tally.ended += u64::from(tally.opened > opened);
            }),
        }
        sleep(PAUSE).await;
        if Instant::now() >= until {
            return;
        }
    }
}

impl Attacker {
    /// Notes what was seen.
    pub fn note(&self, note: impl FnOnce(&mut Tally)) {
        note(&mut self.tally.borrow_mut());
    }

    /// Notes what was sent: in the unit of the abuse, and in bytes.
    pub fn sent(&self, units: u64, bytes: usize) {
        self.note(|tally| {
            tally.sent += units;
            tally.bytes += bytes as u64;
        });
    }

    /// A connection to `to`.
    pub async fn connect(&self, to: SocketAddr, receives: Receives) -> io::Result<TcpStream> {
        let connecting = async {
            let socket = TcpSocket::new_v4()?;
            if receives == Receives::Little {
                socket.set_recv_buffer_size(4096)?;
            }
            socket.bind(SocketAddr::new(FROM, 0))?;
            let stream = socket.connect(to).await?;
            stream.set_nodelay(true)?;
            // No port is kept for a connection that was.
            stream.set_zero_linger()?;
            Ok(stream)
        };
        let connected = connecting.await;
        self.note(|tally| match &connected {
            Ok(_) => tally.opened += 1,
            Err(_) => tally.refused += 1,
        });
        connected
    }
}

#[allow(clippy::print_stdout)] // for whoever started this
fn tell(tally: &Tally) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(tally)?);
    Ok(())
}
