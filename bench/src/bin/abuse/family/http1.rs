//! HTTP/1.1 at the limits of its syntax.

use std::{fmt::Write as _, future::pending, io, rc::Rc};

use futures_util::FutureExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::{
    attack::{Abuse, Attacker, Ended, HeldTo, Receives},
    link::{Link, answers, ask_again, both, forever},
    origin::NONCE,
};

/// Requests that go out in one write.
const PIPELINED: u32 = 1_000;

/// Fields of a large head, beside those that every request has; the agent takes 100.
const FIELDS: usize = 98;

/// Bytes of a value in a large head: all together stay below the 60 KiB that the agent takes.
const VALUE: usize = 580;

/// Chunks that go out in one write.
const CHUNKS: u32 = 64;

pub const ABUSES: &[Abuse] = &[
    Abuse {
        name: "pipelined-unread",
        what: "100 connections of HTTP/1.1 that send 1,000 requests at once, again and again, and read no answer.",
        held_to: HeldTo::Aims,
        connections: 100,
        run: |attacker| pipelined(attacker, Receives::Little).boxed_local(),
    },
    Abuse {
        name: "pipelined",
        what: "8 connections of HTTP/1.1 that send 1,000 requests at once, again and again, and read the answers.",
        held_to: HeldTo::Aims,
        connections: 8,
        run: |attacker| pipelined(attacker, Receives::Much).boxed_local(),
    },
    Abuse {
        name: "large-heads",
        what: "16 connections of HTTP/1.1 whose requests have heads of 59 KiB in 100 fields.",
        held_to: HeldTo::Aims,
        connections: 16,
        run: |attacker| large_heads(attacker).boxed_local(),
    },
    Abuse {
        name: "chunk-extensions",
        what: "8 POSTs over HTTP/1.1 in chunks of one byte with extensions of 200 bytes.",
        held_to: HeldTo::Aims,
        connections: 8,
        run: |attacker| chunks(attacker, format!(";x={}", "y".repeat(197))).boxed_local(),
    },
    Abuse {
        name: "chunk-tiny",
        what: "The same without extensions.",
        held_to: HeldTo::Aims,
        connections: 8,
        run: |attacker| chunks(attacker, String::new()).boxed_local(),
    },
    Abuse {
        name: "websockets",
        what: "1,000 WebSockets that are opened and never used.",
        held_to: HeldTo::Aims,
        connections: 1_000,
        run: |attacker| websocket(attacker).boxed_local(),
    },
];

async fn pipelined(attacker: Rc<Attacker>, receives: Receives) -> io::Result<Ended> {
    let Link { read, mut write } = Link::cleartext(&attacker, receives).await?;
    let request = format!("GET / HTTP/1.1\r\nhost: {}\r\n\r\n", attacker.host);
    let batch = request.repeat(PIPELINED as usize);
    let writing = forever(&mut write, &attacker, batch.as_bytes(), PIPELINED.into());
    match receives {
        Receives::Much => both(writing, answers(read, Rc::clone(&attacker))).await,
        Receives::Little => {
            writing.await?;
            drop(read);
            Ok(Ended::ByAgent)
        }
    }
}

async fn large_heads(attacker: Rc<Attacker>) -> io::Result<Ended> {
    let mut request = format!("GET / HTTP/1.1\r\nhost: {}\r\n", attacker.host);
    for index in 0..FIELDS {
        let _ = write!(request, "x-field-{index:03}: {}\r\n", "x".repeat(VALUE));
    }
    request.push_str("\r\n");
    ask_again(&attacker, request.as_bytes()).await
}

async fn chunks(attacker: Rc<Attacker>, extension: String) -> io::Result<Ended> {
    let Link { read, mut write } = Link::cleartext(&attacker, Receives::Much).await?;
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {}\r\ntransfer-encoding: chunked\r\n\r\n",
        attacker.host
    );
    let batch = format!("1{extension}\r\nx\r\n").repeat(CHUNKS as usize);
    let writing = async {
        write.write_all(head.as_bytes()).await?;
        forever(&mut write, &attacker, batch.as_bytes(), CHUNKS.into()).await
    };
    both(writing, answers(read, Rc::clone(&attacker))).await
}

async fn websocket(attacker: Rc<Attacker>) -> io::Result<Ended> {
    let Link { read, mut write } = Link::cleartext(&attacker, Receives::Much).await?;
    let request = format!(
        "GET / HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: \
         websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: {NONCE}\r\n\r\n",
        attacker.host
    );
    let writing = async {
        write.write_all(request.as_bytes()).await?;
        attacker.sent(1, request.len());
        pending().await
    };
    both(writing, answers(read, Rc::clone(&attacker))).await
}
