//! An attacker's connection: what it sends, and what it makes of what comes.

use std::{future::Future, io, pin::pin, rc::Rc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::tcp::{OwnedReadHalf, OwnedWriteHalf},
    time::timeout,
};

use crate::{
    attack::{Attacker, Ended, Receives},
    frames::{self, HEAD, Head, kind},
};

/// How long a connection that cannot be written to is still read: the agent may have said why.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The two directions of a connection.
pub struct Link {
    /// From the agent.
    pub read: OwnedReadHalf,
    /// To the agent.
    pub write: OwnedWriteHalf,
}

impl Link {
    /// Connects to the cleartext listener.
    pub async fn cleartext(attacker: &Attacker, receives: Receives) -> io::Result<Self> {
        let stream = attacker.connect(attacker.http, receives).await?;
        let (read, write) = stream.into_split();
        Ok(Self { read, write })
    }

    /// Connects, and begins HTTP/2 with these settings.
    pub async fn http2(
        attacker: &Attacker,
        receives: Receives,
        settings: &[(u16, u32)],
    ) -> io::Result<Self> {
        let mut link = Self::cleartext(attacker, receives).await?;
        link.write.write_all(&frames::opening(settings)).await?;
        Ok(link)
    }
}

/// Writes and reads until the connection ends; what was written may be over before.
pub async fn both(
    write: impl Future<Output = io::Result<()>>,
    read: impl Future<Output = io::Result<()>>,
) -> io::Result<Ended> {
    let mut read = pin!(read);
    let written = tokio::select! {
        biased;
        ended = &mut read => {
            ended?;
            return Ok(Ended::ByAgent);
        }
        written = write => written,
    };
    match written {
        Ok(()) => read.await?,
        // Without last words it is the end all the same.
        Err(_) => drop(timeout(LAST_WORDS, read).await),
    }
    Ok(Ended::ByAgent)
}

/// Writes the same bytes, which are `units` of the abuse, for as long as the agent takes them.
pub async fn forever(
    write: &mut OwnedWriteHalf,
    attacker: &Attacker,
    bytes: &[u8],
    units: u64,
) -> io::Result<()> {
    loop {
        write.write_all(bytes).await?;
        attacker.sent(units, bytes.len());
    }
}

/// Reads frames to the end, notes what they say, and shows them.
pub async fn frames(
    read: OwnedReadHalf,
    attacker: Rc<Attacker>,
    mut see: impl FnMut(Head, &[u8]),
) -> io::Result<()> {
    let mut read = BufReader::new(read);
    let mut payload = Vec::new();
    loop {
        let mut head = [0; HEAD];
        read.read_exact(&mut head).await?;
        let head = Head::read(head);
        payload.resize(head.length, 0);
        read.read_exact(&mut payload).await?;
        note(&attacker, head, &payload);
        see(head, &payload);
    }
}

fn note(attacker: &Attacker, head: Head, payload: &[u8]) {
    let code = |at: usize| {
        let bytes = payload.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    };
    attacker.note(|tally| match head.kind {
        kind::HEADERS => tally.status(frames::status(payload).unwrap_or(0)),
        kind::GOAWAY => {
            let code = code(4).unwrap_or(u32::MAX);
            *tally.goaways.entry(code).or_default() += 1;
        }
        kind::RST_STREAM => {
            let code = code(0).unwrap_or(u32::MAX);
            *tally.resets.entry(code).or_default() += 1;
        }
        _ => {}
    });
}

/// Reads answers of HTTP/1.1 to the end, and notes their statuses.
pub async fn answers(mut read: OwnedReadHalf, attacker: Rc<Attacker>) -> io::Result<()> {
    const START: &[u8] = b"HTTP/1.1 ";
    let mut buffer = vec![0; 64 * 1024];
    let mut held = 0;
    loop {
        let room = buffer.get_mut(held..).unwrap_or_default();
        let count = read.read(room).await?;
        if count == 0 {
            return Ok(());
        }
        let filled = held + count;
        let bytes = buffer.get(..filled).unwrap_or_default();
        // No body here holds what begins an answer.
        let whole = START.len() + 3;
        for window in bytes.windows(whole) {
            let digits = window.strip_prefix(START).map(std::str::from_utf8);
            if let Some(status) = digits.and_then(|digits| digits.ok()?.parse().ok()) {
                attacker.note(|tally| tally.status(status));
            }
        }
        held = filled.min(whole - 1);
        buffer.copy_within(filled - held..filled, 0);
    }
}

/// Sends a request of HTTP/1.1 again as soon as it is answered.
pub async fn ask_again(attacker: &Attacker, request: &[u8]) -> io::Result<Ended> {
    let mut link = Link::cleartext(attacker, Receives::Much).await?;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        link.write.write_all(request).await?;
        attacker.sent(1, request.len());
        let mut answer = Vec::new();
        while !is_whole(&answer) {
            let count = link.read.read(&mut buffer).await?;
            if count == 0 {
                return Ok(Ended::ByAgent);
            }
            answer.extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
        let status = answer.get(9..12).map(String::from_utf8_lossy);
        let status = status.and_then(|status| status.parse().ok()).unwrap_or(0);
        attacker.note(|tally| tally.status(status));
    }
}

/// Whether all of an answer is there that says its length.
fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    let text = String::from_utf8_lossy(answer.get(..head).unwrap_or_default());
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let length = name
            .eq_ignore_ascii_case("content-length")
            .then_some(value)?;
        length.parse::<usize>().ok()
    });
    answer.len() >= head + 4 + length.unwrap_or(0)
}
