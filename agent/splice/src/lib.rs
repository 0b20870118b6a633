//! Pipes of the kernel, through which bytes move from socket to socket without being copied (splice(2)).

use std::cell::{Cell, RefCell};
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use nix::fcntl::{FcntlArg, SpliceFFlags, fcntl, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// How often no pipe is asked for after the system refused one.
const PAUSE: u32 = 1_000;

/// A bounded number of pipes, shared by all connections of a thread: one is in use only while bytes are in it.
#[derive(Debug)]
pub struct Pipes {
    size: usize,
    limit: usize,
    open: Rc<Cell<usize>>,
    spare: RefCell<Vec<Pipe>>,
    pause: Cell<u32>,
}

/// A pipe, and how many bytes are in it.
#[derive(Debug)]
pub struct Pipe {
    reader: PipeReader,
    writer: PipeWriter,
    size: usize,
    held: usize,
    _open: Open,
}

/// Counts an open pipe.
#[derive(Debug)]
struct Open(Rc<Cell<usize>>);

impl Pipes {
    /// At most `limit` pipes, each with room for `size` bytes.
    pub fn new(size: usize, limit: usize) -> Self {
        Self {
            size,
            limit,
            open: Rc::default(),
            spare: RefCell::default(),
            pause: Cell::default(),
        }
    }

    /// An empty pipe; none if all are in use or the system grants no more, when bytes have to be copied.
    pub fn take(&self) -> Option<Pipe> {
        if let Some(pipe) = self.spare.borrow_mut().pop() {
            return Some(pipe);
        }
        if self.open.get() >= self.limit {
            return None;
        }
        if let Some(left) = self.pause.get().checked_sub(1) {
            self.pause.set(left);
            return None;
        }
        let pipe = Pipe::new(self.size, Open::new(&self.open)).ok();
        if pipe.is_none() {
            self.pause.set(PAUSE);
        }
        pipe
    }

    /// Pipes that are open, in use or not.
    pub fn open(&self) -> usize {
        self.open.get()
    }

    /// Takes an empty pipe back; one with bytes in it is closed.
    pub fn give(&self, pipe: Pipe) {
        if pipe.is_empty() {
            self.spare.borrow_mut().push(pipe);
        }
    }
}

impl Pipe {
    /// Fails when the user has as many pages in pipes as the system allows (pipe(7)), and where a sandbox forbids to splice.
    fn new(size: usize, open: Open) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let wanted = i32::try_from(size).map_err(|_| io::ErrorKind::InvalidInput)?;
        fcntl(&writer, FcntlArg::F_SETPIPE_SZ(wanted))?;
        // Moves nothing: it shows whether the call is allowed before any byte depends on it.
        transfer(&reader, &writer, 0)?;
        Ok(Self {
            reader,
            writer,
            size,
            held: 0,
            _open: open,
        })
    }

    /// Whether no byte is in it.
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Moves into this pipe, which must be empty, what has come on the socket, but no more than `most` bytes. Ready with
    /// their number, which is 0 at the socket's end.
    pub fn poll_fill(
        &mut self,
        task: &mut Context<'_>,
        from: &TcpStream,
        most: u64,
    ) -> Poll<io::Result<usize>> {
        let most = usize::try_from(most).map_or(self.size, |most| most.min(self.size));
        loop {
            ready!(from.poll_read_ready(task))?;
            let moved = from.try_io(Interest::READABLE, || transfer(from, &self.writer, most));
            match moved {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                moved => {
                    self.held = moved?;
                    return Poll::Ready(Ok(self.held));
                }
            }
        }
    }

    /// Moves from this pipe what the socket takes. Ready with the number of bytes.
    pub fn poll_drain(
        &mut self,
        task: &mut Context<'_>,
        to: &TcpStream,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(to.poll_write_ready(task))?;
            let moved = to.try_io(Interest::WRITABLE, || transfer(&self.reader, to, self.held));
            match moved {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                moved => {
                    let moved = moved?;
                    self.held = self.held.saturating_sub(moved);
                    return Poll::Ready(Ok(moved));
                }
            }
        }
    }
}

impl Open {
    fn new(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(Rc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

fn transfer(from: impl AsFd, to: impl AsFd, most: usize) -> io::Result<usize> {
    // The sockets do not block by themselves; the flag is for the pipe.
    let flags = SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK;
    Ok(splice(from, None, to, None, most, flags)?)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn no_more_pipes_are_open_than_allowed_and_one_that_breaks_makes_room() {
        let pipes = Pipes::new(64 * 1024, 2);
        let (first, second) = (pipes.take().unwrap(), pipes.take().unwrap());
        assert!(pipes.take().is_none());
        drop(first);
        let third = pipes.take().unwrap();
        assert!(pipes.take().is_none());
        pipes.give(second);
        pipes.give(third);
        assert_eq!((pipes.open(), pipes.spare.borrow().len()), (2, 2));
    }

    #[test]
    fn a_pipe_that_the_system_does_not_grant_is_none_and_not_asked_for_at_once_again() {
        let pipes = Pipes::new(usize::MAX, 2);
        assert!(pipes.take().is_none());
        assert_eq!(pipes.open(), 0);
        assert_eq!(pipes.pause.get(), PAUSE);
        assert!(pipes.take().is_none());
        assert_eq!(pipes.pause.get(), PAUSE - 1);
    }

    async fn sockets() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, server) = tokio::join!(client, listener.accept());
        (client.unwrap(), server.unwrap().0)
    }

    #[tokio::test]
    async fn bytes_and_the_end_go_through_a_pipe() {
        let (mut client, from) = sockets().await;
        let (to, mut server) = sockets().await;
        let mut pipe = Pipes::new(64 * 1024, 1).take().unwrap();
        client.write_all(b"some bytes").await.unwrap();
        let filled = std::future::poll_fn(|task| pipe.poll_fill(task, &from, u64::MAX));
        assert_eq!(filled.await.unwrap(), 10);
        assert!(!pipe.is_empty());
        let drained = std::future::poll_fn(|task| pipe.poll_drain(task, &to));
        assert_eq!(drained.await.unwrap(), 10);
        assert!(pipe.is_empty());
        let mut got = [0; 10];
        server.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"some bytes");
        drop(client);
        let filled = std::future::poll_fn(|task| pipe.poll_fill(task, &from, u64::MAX));
        assert_eq!(filled.await.unwrap(), 0);
    }
}
