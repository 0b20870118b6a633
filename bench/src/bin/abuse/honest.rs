//! The honest clients: an open loop, in a process of its own.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, bail};
use clap::Args;
use novaedge_bench::traffic::Client;

use crate::frames::{self, HEAD, Head, flag, kind};

/// Requests per second over all connections: a few percent of what the agent can do, yet enough for a 99th percentile
/// of a phase of five seconds.
pub const RATE: u32 = 500;

/// Connections of HTTP/1.1, kept.
pub const HTTP1: u32 = 20;

/// Connections of HTTP/2, one stream at a time each.
pub const HTTP2: u32 = 5;

/// Who waits longer has no answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends requests at a fixed rate, and prints what became of each.
#[derive(Debug, Args)]
pub struct Honest {
    #[arg(long)]
    to: SocketAddr,
    #[arg(long)]
    host: String,
    #[arg(long)]
    seconds: u32,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When it was due, since the epoch.
    pub due: Duration,
    /// From then to the end of the answer, or to the failure.
    pub took_ms: f64,
    /// Whether it was answered with 200.
    pub answered: bool,
}

impl Sample {
    fn line(&self) -> String {
        let answered = u8::from(self.answered);
        format!("{} {} {answered}", self.due.as_micros(), self.took_ms)
    }

    /// Reads what the process printed.
    pub fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        Some(Self {
            due: Duration::from_micros(words.next()?.parse().ok()?),
            took_ms: words.next()?.parse().ok()?,
            answered: words.next()? == "1",
        })
    }
}

impl Honest {
    /// Sends.
    pub fn run(&self) -> anyhow::Result<()> {
        let samples: Vec<Sample> = thread::scope(|scope| {
            let running: Vec<_> = (0..HTTP1 + HTTP2)
                .map(|index| scope.spawn(move || self.connection(index)))
                .collect();
            let ended = running.into_iter().filter_map(|thread| thread.join().ok());
            ended.flatten().collect()
        });
        let mut out = io::BufWriter::new(io::stdout().lock());
        for sample in samples {
            writeln!(out, "{}", sample.line())?;
        }
        Ok(())
    }

    fn connection(&self, index: u32) -> Vec<Sample> {
        let all = HTTP1 + HTTP2;
        let every = Duration::from_secs(1) * all / RATE;
        let (begin, epoch) = (Instant::now(), now());
        let end = begin + Duration::from_secs(u64::from(self.seconds));
        let mut due = begin + every * index / all;
        let mut samples = Vec::new();
        let mut kept = None;
        while due < end {
            // A late answer makes the next ones late, and their latency says so.
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let answered = self
                .once(index, &mut kept)
                .is_ok_and(|status| status == 200);
            if !answered {
                kept = None;
            }
            samples.push(Sample {
                due: epoch + due.saturating_duration_since(begin),
                took_ms: due.elapsed().as_secs_f64() * 1e3,
                answered,
            });
            due += every;
        }
        samples
    }

    fn once(&self, index: u32, kept: &mut Option<Kept>) -> anyhow::Result<u16> {
        let connection = match kept {
            Some(connection) => connection,
            None => kept.insert(if index < HTTP1 {
                Kept::Http1(Client::connect(self.to)?)
            } else {
                Kept::Http2(Http2::connect(self.to)?)
            }),
        };
        match connection {
            Kept::Http1(client) => Ok(client.get(&self.host, "/")?.status),
            Kept::Http2(client) => client.get(&self.host),
        }
    }
}

/// Time since the epoch: what two processes agree on.
pub fn now() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default()
}

enum Kept {
    Http1(Client),
    Http2(Http2),
}

/// A client of HTTP/2 with one stream at a time.
struct Http2 {
    stream: io::BufReader<TcpStream>,
    next: u32,
}

impl Http2 {
    fn connect(to: SocketAddr) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&frames::opening(&[]))?;
        Ok(Self {
            stream: io::BufReader::new(stream),
            next: 1,
        })
    }

    fn get(&mut self, host: &str) -> anyhow::Result<u16> {
        let id = self.next;
        self.next += 2;
        let mut out = Vec::new();
        frames::headers(&mut out, flag::END_STREAM, id, &frames::get(host, "/"));
        self.stream.get_mut().write_all(&out)?;
        let mut status = None;
        loop {
            let (head, payload) = self.frame()?;
            if head.kind == kind::GOAWAY || head.kind == kind::RST_STREAM {
                bail!("refused");
            }
            if head.kind == kind::HEADERS && head.stream == id && status.is_none() {
                // A status that was sent before may stand in the dynamic table: 200 never does.
                status = Some(frames::status(&payload).unwrap_or(0));
            }
            let ends =
                matches!(head.kind, kind::HEADERS | kind::DATA) && head.has(flag::END_STREAM);
            self.acknowledge(head, &payload)?;
            if ends && head.stream == id {
                return status.context("no status");
            }
        }
    }

    fn frame(&mut self) -> anyhow::Result<(Head, Vec<u8>)> {
        let mut head = [0; HEAD];
        self.stream.read_exact(&mut head)?;
        let head = Head::read(head);
        let mut payload = vec![0; head.length];
        self.stream.read_exact(&mut payload)?;
        Ok((head, payload))
    }

    fn acknowledge(&mut self, head: Head, payload: &[u8]) -> anyhow::Result<()> {
        let mut out = Vec::new();
        match head.kind {
            kind::SETTINGS if !head.has(flag::ACK) => {
                frames::frame(&mut out, kind::SETTINGS, flag::ACK, 0, &[]);
            }
            kind::PING if !head.has(flag::ACK) => {
                frames::frame(&mut out, kind::PING, flag::ACK, 0, payload);
            }
            // The stream's own window is large enough for one answer.
            kind::DATA if head.length > 0 => {
                let read = u32::try_from(head.length)?.to_be_bytes();
                frames::frame(&mut out, kind::WINDOW_UPDATE, 0, 0, &read);
            }
            _ => return Ok(()),
        }
        Ok(self.stream.get_mut().write_all(&out)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_read_as_it_was_written() {
        let sample = Sample {
            due: Duration::from_micros(1_234_567),
            took_ms: 0.25,
            answered: true,
        };
        assert_eq!(Sample::read(&sample.line()), Some(sample));
    }
}
