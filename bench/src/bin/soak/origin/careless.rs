//! An origin that closes connections without announcing it, where a careful one would say `connection: close`.

use std::{
    collections::HashMap,
    io,
    net::Shutdown,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{io::AsyncReadExt as _, net::TcpStream, time::timeout};

use super::{Origin, http1};
use crate::{random::Random, wire::Wire};

/// A connection is closed after at most so many answers.
const ANSWERS: u64 = 60;
/// Milliseconds that a connection may be idle, after its first answer.
const IDLE: (u64, u64) = (1, 20);
/// A connection that has just been made is given the time to be used: an origin that closed it unused would be broken.
const FIRST: Duration = Duration::from_secs(10);
/// How long it looks whether a request comes after it closed.
const LINGER: Duration = Duration::from_millis(20);

/// What the origin saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Connections that were opened.
    pub opened: AtomicU64,
    /// Connections that it closed after answers.
    pub closed_after_answers: AtomicU64,
    /// Connections that it closed for they were idle.
    pub closed_idle: AtomicU64,
    /// Connections with bytes of a request that it had not read a moment before it closed them.
    pub unread: AtomicU64,
    /// Connections that it closed for writing, on which a request came afterwards: the end was at the agent before.
    pub late: AtomicU64,
    /// Requests that it acted upon.
    pub acted: AtomicU64,
    /// How often it acted upon a POST, by id.
    posts: Mutex<HashMap<String, u64>>,
}

impl Seen {
    /// How often it acted upon a POST.
    pub fn posts_of(&self, id: &str) -> u64 {
        let posts = self.posts.lock().unwrap_or_else(PoisonError::into_inner);
        posts.get(id).copied().unwrap_or(0)
    }

    /// POSTs that it acted upon more than once.
    pub fn posts_repeated(&self) -> u64 {
        let posts = self.posts.lock().unwrap_or_else(PoisonError::into_inner);
        posts.values().filter(|times| **times > 1).count() as u64
    }

    fn act(&self, method: &str, id: &str) {
        self.acted.fetch_add(1, Relaxed);
        if method == "POST" {
            let mut posts = self.posts.lock().unwrap_or_else(PoisonError::into_inner);
            *posts.entry(id.to_owned()).or_default() += 1;
        }
    }
}

/// Starts it.
pub async fn start(seen: Arc<Seen>) -> anyhow::Result<Origin> {
    let mut number = 0;
    Origin::start(move |stream| {
        number += 1;
        let (seen, random) = (Arc::clone(&seen), Random::new(number));
        async move {
            // Clients see what went wrong.
            let _ = serve(stream, &seen, random).await;
        }
    })
    .await
}

async fn serve(stream: TcpStream, seen: &Seen, mut random: Random) -> io::Result<()> {
    seen.opened.fetch_add(1, Relaxed);
    let mut wire = Wire::new(stream);
    let answers = random.between(1, ANSWERS);
    for nth in 0..answers {
        let patience = if nth == 0 {
            FIRST
        } else {
            random.milliseconds(IDLE.0, IDLE.1)
        };
        let Ok(head) = timeout(patience, wire.head()).await else {
            seen.closed_idle.fetch_add(1, Relaxed);
            return close(wire, seen, &mut random).await;
        };
        let Some(head) = head? else {
            return Ok(());
        };
        wire.body(&head).await?;
        seen.act(head.method(), head.field(http1::ID).unwrap_or_default());
        wire.send(&http1::answer(&head)).await?;
    }
    seen.closed_after_answers.fetch_add(1, Relaxed);
    close(wire, seen, &mut random).await
}

/// Closes as programs do: half of the time at once, so that the system resets what comes later, half of the time for
/// writing first, as nginx does, which shows whether something comes later.
async fn close(wire: Wire<TcpStream>, seen: &Seen, random: &mut Random) -> io::Result<()> {
    let read_ahead = wire.held() > 0;
    // The system is asked itself: the runtime may not yet know what has come.
    let stream = wire.stream.into_std()?;
    if read_ahead || stream.peek(&mut [0]).is_ok_and(|count| count > 0) {
        seen.unread.fetch_add(1, Relaxed);
        return Ok(());
    }
    if random.between(0, 1) == 0 {
        return Ok(());
    }
    stream.shutdown(Shutdown::Write)?;
    let mut stream = TcpStream::from_std(stream)?;
    let late = timeout(LINGER, stream.read(&mut [0; 4_096])).await;
    if late.is_ok_and(|read| read.is_ok_and(|count| count > 0)) {
        seen.late.fetch_add(1, Relaxed);
    }
    Ok(())
}
