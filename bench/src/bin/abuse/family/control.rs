//! No abuse: what the machine does to the figures by itself, and what honest load does.

use std::{io, rc::Rc};

use futures_util::FutureExt as _;
use tokio::{
    io::AsyncWriteExt as _,
    time::{Duration, sleep},
};

use crate::{
    attack::{Abuse, Attacker, Ended, HeldTo, Receives},
    frames::{self, flag},
    link::{Link, ask_again, both, frames as read_frames},
    origin::SMALL,
};

/// Requests at once on a connection of HTTP/2: as many as the agent allows.
const STREAMS: u32 = 100;

pub const ABUSES: &[Abuse] = &[
    Abuse {
        name: "control-nothing",
        what: "Nothing: how the figures differ by themselves.",
        held_to: HeldTo::Nothing,
        connections: 1,
        run: |_| async { nothing().await }.boxed_local(),
    },
    Abuse {
        name: "control-http1",
        what: "Honest load: 64 connections of HTTP/1.1, each asking anew as soon as it has an answer.",
        held_to: HeldTo::Nothing,
        connections: 64,
        run: |attacker| closed_loop(attacker).boxed_local(),
    },
    Abuse {
        name: "control-http2",
        what: "Honest load: 8 connections of HTTP/2, each asking 100 times whenever all is answered.",
        held_to: HeldTo::Nothing,
        connections: 8,
        run: |attacker| streams(attacker).boxed_local(),
    },
];

async fn nothing() -> io::Result<Ended> {
    sleep(Duration::from_hours(1)).await;
    Ok(Ended::ByAttacker)
}

async fn closed_loop(attacker: Rc<Attacker>) -> io::Result<Ended> {
    let request = format!("GET / HTTP/1.1\r\nhost: {}\r\n\r\n", attacker.host);
    ask_again(&attacker, request.as_bytes()).await
}

async fn streams(attacker: Rc<Attacker>) -> io::Result<Ended> {
    let Link { read, mut write } = Link::http2(&attacker, Receives::Much, &[]).await?;
    let block = frames::get(&attacker.host, "/");
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let writing = async {
        let mut next = 1;
        loop {
            let mut out = Vec::new();
            // Room for these answers.
            let room = (STREAMS * SMALL).to_be_bytes();
            frames::frame(&mut out, frames::kind::WINDOW_UPDATE, 0, 0, &room);
            for _ in 0..STREAMS {
                frames::headers(&mut out, flag::END_STREAM, next, &block);
                next += 2;
            }
            write.write_all(&out).await?;
            attacker.sent(u64::from(STREAMS), out.len());
            for _ in 0..STREAMS {
                if told.recv().await.is_none() {
                    return Ok(());
                }
            }
        }
    };
    let reading = read_frames(read, Rc::clone(&attacker), |head, _| {
        let of_answer = matches!(head.kind, frames::kind::HEADERS | frames::kind::DATA);
        if of_answer && head.has(flag::END_STREAM) {
            // Nobody waits when the writing has ended.
            let _ = tell.send(());
        }
    });
    both(writing, reading).await
}
