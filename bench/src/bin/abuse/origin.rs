//! The origin: answers a little at every path, much at [`LARGE`], and opens WebSockets.

use std::{
    io,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use clap::Args;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy_buf, sink},
    net::{TcpListener, TcpSocket, TcpStream},
    time::{Instant, sleep_until},
};

/// Where the large answer is.
pub const LARGE: &str = "/large";

/// Bytes of the large answer: more than any buffer on the way holds.
const LARGE_BYTES: u32 = 1024 * 1024;

/// Bytes of the other answers.
pub const SMALL: u32 = 1024;

/// Bytes that are handed to the kernel at once: whoever shares the core waits meanwhile, whatever the priorities say.
const PART: u32 = 16 * 1024;

/// Bytes that the kernel holds for a connection.
const HELD: u32 = 4 * PART;

/// Between two parts of large answers, together 16 MiB/s: the kernel takes what is sent to where it goes on the sender's
/// core, before whatever else runs there.
const EVERY: Duration = Duration::from_millis(1);

/// Bytes of a head: more than the agent passes on.
const HEAD_BYTES: u64 = 256 * 1024;

/// The nonce that clients of WebSockets send here; the proof of it is that of RFC 6455 section 1.3.
pub const NONCE: &str = "dGhlIHNhbXBsZSBub25jZQ==";

const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: \
                          websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Serves until it is ended.
#[derive(Debug, Args)]
pub struct Origin {
    #[arg(long)]
    listen: SocketAddr,
}

/// The answers, made once.
struct Answers {
    small: Vec<u8>,
    large: Vec<u8>,
    pace: Pace,
}

/// When the next part of a large answer may go.
#[derive(Default)]
struct Pace(Mutex<Option<Instant>>);

impl Pace {
    /// Waits for one part's turn.
    async fn part(&self) {
        let at = {
            let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let at = next.map_or(now, |next| next.max(now));
            *next = Some(at + EVERY);
            at
        };
        sleep_until(at).await;
    }
}

/// What of a request decides its answer.
#[derive(Default)]
struct Asked {
    large: bool,
    upgrade: bool,
    length: u64,
    chunked: bool,
}

impl Origin {
    /// Serves.
    pub fn run(&self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let listener = listen(self.listen)?;
            let answers: &'static Answers = Box::leak(Box::new(Answers {
                small: answer(SMALL),
                large: answer(LARGE_BYTES),
                pace: Pace::default(),
            }));
            loop {
                // The open files of another moment are not the end.
                let Ok((stream, _)) = listener.accept().await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                drop(tokio::spawn(serve(stream, answers)));
            }
        })
    }
}

/// A listener whose connections hold little in the kernel.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(HELD)?;
    socket.bind(address)?;
    socket.listen(1024)
}

fn answer(bytes: u32) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n").into_bytes();
    answer.resize(answer.len() + bytes as usize, b'x');
    answer
}

async fn serve(stream: TcpStream, answers: &Answers) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(asked) = head(&mut stream).await? {
        if asked.upgrade {
            stream.write_all(SWITCHED).await?;
            copy_buf(&mut stream, &mut sink()).await?;
            return Ok(());
        }
        if asked.chunked {
            discard_chunks(&mut stream).await?;
        } else {
            discard(&mut stream, asked.length).await?;
        }
        let answer = if asked.large {
            &answers.large
        } else {
            &answers.small
        };
        for part in answer.chunks(PART as usize) {
            if asked.large {
                answers.pace.part().await;
            }
            stream.write_all(part).await?;
        }
    }
    Ok(())
}

/// None at the end of the connection.
async fn head(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Asked>> {
    let mut stream = stream.take(HEAD_BYTES);
    let mut asked = Asked::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        match text.split_once(": ") {
            _ if text.is_empty() => return Ok(Some(asked)),
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                asked.length = value.parse().unwrap_or(0);
            }
            Some((name, _)) if name.eq_ignore_ascii_case("transfer-encoding") => {
                asked.chunked = true;
            }
            Some((name, _)) if name.eq_ignore_ascii_case("upgrade") => asked.upgrade = true,
            Some(_) => {}
            None => asked.large = text.split(' ').nth(1) == Some(LARGE),
        }
    }
}

async fn discard(stream: &mut BufReader<TcpStream>, length: u64) -> io::Result<()> {
    let read = copy_buf(&mut stream.take(length), &mut sink()).await?;
    if read < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

/// The agent is who frames what comes here, so a line that is no size ends the connection.
async fn discard_chunks(stream: &mut BufReader<TcpStream>) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        stream.read_until(b'\n', &mut line).await?;
        let text = String::from_utf8_lossy(&line);
        let size = u64::from_str_radix(text.trim_end(), 16).map_err(io::Error::other)?;
        if size == 0 {
            break;
        }
        discard(stream, size + 2).await?;
    }
    // No trailers are sent here.
    discard(stream, 2).await
}
