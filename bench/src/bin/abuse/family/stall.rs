//! Clients that ask for much and read nothing.

use std::{future::pending, io, rc::Rc};

use futures_util::FutureExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::{
    attack::{Abuse, Attacker, Ended, HeldTo, Receives},
    frames::{self, INITIAL_WINDOW, flag},
    link::{Link, both, frames as read_frames},
    origin::LARGE,
};

/// Streams of a connection: as many as the agent allows.
const STREAMS: u32 = 100;

pub const ABUSES: &[Abuse] = &[
    Abuse {
        name: "stalled-no-window",
        what: "20 connections of HTTP/2 ask for 1 MiB on 100 streams each, whose window is 0.",
        held_to: HeldTo::Aims,
        connections: 20,
        run: |attacker| no_window(attacker).boxed_local(),
    },
    Abuse {
        name: "stalled-unread",
        what: "The same with usual windows; nothing is read.",
        held_to: HeldTo::Aims,
        connections: 20,
        run: |attacker| http2_unread(attacker, &[]).boxed_local(),
    },
    Abuse {
        name: "stalled-wide",
        what: "The same with the widest windows.",
        held_to: HeldTo::Aims,
        connections: 20,
        run: |attacker| http2_unread(attacker, &[(INITIAL_WINDOW, 0x7fff_ffff)]).boxed_local(),
    },
    Abuse {
        name: "stalled-http1",
        what: "1,000 connections of HTTP/1.1 ask for 1 MiB each; nothing is read.",
        held_to: HeldTo::Aims,
        connections: 1_000,
        run: |attacker| http1_unread(attacker).boxed_local(),
    },
];

fn requests(host: &str) -> Vec<u8> {
    let block = frames::get(host, LARGE);
    let mut out = Vec::new();
    for index in 0..STREAMS {
        frames::headers(&mut out, flag::END_STREAM, index * 2 + 1, &block);
    }
    out
}

/// Reads what comes: no window is what holds the answers.
async fn no_window(attacker: Rc<Attacker>) -> io::Result<Ended> {
    let settings = [(INITIAL_WINDOW, 0)];
    let Link { read, mut write } = Link::http2(&attacker, Receives::Much, &settings).await?;
    let out = requests(&attacker.host);
    let writing = async {
        write.write_all(&out).await?;
        attacker.sent(u64::from(STREAMS), out.len());
        Ok(())
    };
    both(writing, read_frames(read, Rc::clone(&attacker), |_, _| {})).await
}

async fn http2_unread(
    attacker: Rc<Attacker>,
    settings: &'static [(u16, u32)],
) -> io::Result<Ended> {
    // The window of the connection is not what ends first.
    let mut link = Link::http2(&attacker, Receives::Little, settings).await?;
    let mut out = Vec::new();
    frames::frame(
        &mut out,
        frames::kind::WINDOW_UPDATE,
        0,
        0,
        &[0x7f, 0, 0, 0],
    );
    out.extend(requests(&attacker.host));
    link.write.write_all(&out).await?;
    attacker.sent(u64::from(STREAMS), out.len());
    pending().await
}

async fn http1_unread(attacker: Rc<Attacker>) -> io::Result<Ended> {
    let mut link = Link::cleartext(&attacker, Receives::Little).await?;
    let request = format!("GET {LARGE} HTTP/1.1\r\nhost: {}\r\n\r\n", attacker.host);
    link.write.write_all(request.as_bytes()).await?;
    attacker.sent(1, request.len());
    pending().await
}
