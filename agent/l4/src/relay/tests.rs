use novaedge_meter::Counter;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::net::TcpListener;

use super::*;

impl Stream for DuplexStream {}

/// The two ends of a connection.
async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, server) = tokio::join!(client, listener.accept());
    (client.unwrap(), server.unwrap().0)
}

const IDLE: Duration = Duration::from_mins(1);

struct Bench {
    buffers: Buffers,
    pipes: Pipes,
    received: Moved,
    sent: Moved,
}

#[derive(Default)]
struct Moved {
    all: Counter,
    here: Counter,
}

impl Moved {
    fn tally(&self) -> Tally<'_> {
        Tally {
            all: &self.all,
            here: &self.here,
            told: None,
        }
    }

    fn get(&self) -> u64 {
        assert_eq!(self.all.get(), self.here.get());
        self.all.get()
    }
}

impl Bench {
    fn new() -> Self {
        Self {
            buffers: Buffers::new(1024, 4),
            pipes: Pipes::new(256 * 1024, 4),
            received: Moved::default(),
            sent: Moved::default(),
        }
    }

    async fn run(
        &self,
        mut client: impl Stream,
        mut backend: impl Stream,
    ) -> Result<(), RelayError> {
        let context = RelayContext {
            buffers: &self.buffers,
            pipes: &self.pipes,
            idle_timeout: IDLE,
            received: self.received.tally(),
            sent: self.sent.tally(),
        };
        relay(&mut client, &mut backend, context).await
    }
}

#[tokio::test]
async fn bytes_and_half_closes_go_both_ways() {
    let bench = Bench::new();
    let (mut client, client_side) = duplex(100);
    let (mut backend, backend_side) = duplex(100);
    let request = vec![7; 10_000];
    let peers = async {
        let (mut got, mut answer) = (Vec::new(), Vec::new());
        let (mut client_read, mut client_write) = tokio::io::split(&mut client);
        tokio::join!(
            async {
                client_write.write_all(&request).await.unwrap();
                client_write.shutdown().await.unwrap();
            },
            async {
                // The answer starts only when the whole request, with its end, is there.
                backend.read_to_end(&mut got).await.unwrap();
                backend.write_all(b"answer").await.unwrap();
                backend.shutdown().await.unwrap();
            },
            async {
                client_read.read_to_end(&mut answer).await.unwrap();
            },
        );
        (got, answer)
    };
    let (result, (got, answer)) = tokio::join!(bench.run(client_side, backend_side), peers);
    result.unwrap();
    assert_eq!(got, request);
    assert_eq!(answer, b"answer");
    assert_eq!((bench.received.get(), bench.sent.get()), (10_000, 6));
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_ends_and_a_busy_one_does_not() {
    let bench = Bench::new();
    let (mut client, client_side) = duplex(100);
    let (_backend, backend_side) = duplex(100_000);
    let started = Instant::now();
    let talk = async {
        for _ in 0..10 {
            tokio::time::sleep(IDLE / 2).await;
            client.write_all(b"x").await.unwrap();
        }
        std::future::pending::<()>().await;
    };
    let result = tokio::select! {
        result = bench.run(client_side, backend_side) => result,
        () = talk => unreachable!(),
    };
    assert!(matches!(result, Err(RelayError::Idle)));
    assert_eq!(
        started.elapsed().as_secs(),
        (IDLE / 2 * 10 + IDLE).as_secs()
    );
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_read_stops_its_writer() {
    let bench = Bench::new();
    let (mut client, client_side) = duplex(64);
    let (_backend, backend_side) = duplex(64);
    let mut sent = 0;
    let flood = async {
        loop {
            sent += client.write(&[1; 64]).await.unwrap();
        }
    };
    tokio::select! {
        result = bench.run(client_side, backend_side) => assert!(matches!(result, Err(RelayError::Idle))),
        () = flood => unreachable!(),
    }
    // Two pipes and one buffer are all that can hold bytes.
    assert!(sent <= 64 + 1024 + 64 + 64, "{sent}");
}

#[tokio::test]
async fn buffers_are_given_back_while_nothing_is_sent() {
    let bench = Bench::new();
    let (mut client, client_side) = duplex(100);
    let (mut backend, backend_side) = duplex(100);
    let peers = async {
        client.write_all(b"ping").await.unwrap();
        let mut got = [0; 4];
        backend.read_exact(&mut got).await.unwrap();
        tokio::task::yield_now().await;
        // Taken once for each direction at most, and both are back in stock.
        let spare: Vec<_> = (0..2).map(|_| bench.buffers.take()).collect();
        assert!(spare.iter().any(|buffer| buffer.starts_with(b"ping")));
    };
    tokio::select! {
        result = bench.run(client_side, backend_side) => panic!("{result:?}"),
        () = peers => {}
    }
}

#[tokio::test]
async fn a_broken_side_is_named() {
    struct Broken;
    impl AsyncRead for Broken {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }
    }
    impl AsyncWrite for Broken {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(0))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
    impl Stream for Broken {}
    let bench = Bench::new();
    let context = RelayContext {
        buffers: &bench.buffers,
        pipes: &bench.pipes,
        idle_timeout: IDLE,
        received: bench.received.tally(),
        sent: bench.sent.tally(),
    };
    let (_peer, mut stream) = duplex(10);
    let error = relay(&mut stream, &mut Broken, context).await.unwrap_err();
    assert!(matches!(error, RelayError::Backend(_)));
    let error = relay(&mut Broken, &mut stream, context).await.unwrap_err();
    assert!(matches!(error, RelayError::Client(_)));
}

/// Bytes that differ from place to place.
fn pattern(count: usize) -> Vec<u8> {
    (0..count)
        .map(|place| u8::try_from(place % 251).unwrap_or_default())
        .collect()
}

#[tokio::test]
async fn much_goes_through_pipes_unchanged_both_ways() {
    let bench = Bench::new();
    let (mut client, client_side) = sockets().await;
    let (mut backend, backend_side) = sockets().await;
    let (request, response) = (pattern(9_000_000), pattern(5_000_000));
    let peers = async {
        let (mut client_read, mut client_write) = client.split();
        let (mut backend_read, mut backend_write) = backend.split();
        let (mut asked, mut answered) = (Vec::new(), Vec::new());
        tokio::join!(
            async {
                client_write.write_all(&request).await.unwrap();
                client_write.shutdown().await.unwrap();
            },
            async { client_read.read_to_end(&mut answered).await.unwrap() },
            async {
                // Nothing is read for a while, so that pipes are full and wait.
                tokio::time::sleep(Duration::from_millis(50)).await;
                backend_read.read_to_end(&mut asked).await.unwrap();
            },
            async {
                // Few bytes first, few last: copied, through a pipe, and copied again.
                backend_write.write_all(b"begin").await.unwrap();
                tokio::time::sleep(Duration::from_millis(10)).await;
                backend_write.write_all(&response).await.unwrap();
                tokio::time::sleep(Duration::from_millis(10)).await;
                backend_write.write_all(b"end").await.unwrap();
                backend_write.shutdown().await.unwrap();
            },
        );
        (asked, answered)
    };
    let (result, (asked, answered)) = tokio::join!(bench.run(client_side, backend_side), peers);
    result.unwrap();
    assert!(asked == request);
    assert!(answered == [&b"begin"[..], &response, b"end"].concat());
    let counted = (bench.received.get(), bench.sent.get());
    assert_eq!(counted, (9_000_000, 5_000_008));
    assert!(bench.pipes.open() > 0, "no pipe was used");
}

#[tokio::test]
async fn without_pipes_much_is_copied() {
    let bench = Bench {
        pipes: Pipes::new(256 * 1024, 0),
        ..Bench::new()
    };
    let (mut client, client_side) = sockets().await;
    let (mut backend, backend_side) = sockets().await;
    let request = pattern(3_000_000);
    let peers = async {
        let mut asked = Vec::new();
        tokio::join!(
            async {
                client.write_all(&request).await.unwrap();
                client.shutdown().await.unwrap();
            },
            async {
                backend.read_to_end(&mut asked).await.unwrap();
                backend.shutdown().await.unwrap();
            },
        );
        asked
    };
    let (result, asked) = tokio::join!(bench.run(client_side, backend_side), peers);
    result.unwrap();
    assert!(asked == request);
}

#[tokio::test]
async fn a_pipe_of_a_connection_that_breaks_is_not_used_again() {
    let bench = Bench::new();
    let (mut client, client_side) = sockets().await;
    let (backend, backend_side) = sockets().await;
    let much = vec![7; 30_000_000];
    let flood = async {
        let _ = client.write_all(&much).await;
    };
    let gone = async {
        while bench.pipes.open() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(backend);
    };
    tokio::select! {
        (result, ()) = async { tokio::join!(bench.run(client_side, backend_side), gone) } => {
            assert!(matches!(result, Err(RelayError::Backend(_))), "{result:?}");
        }
        () = flood => unreachable!(),
    }
    assert_eq!(bench.pipes.open(), 0);
}
