use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;

const IDLE: Duration = Duration::from_mins(1);

struct Bench {
    buffers: Buffers,
    received: Counter,
    sent: Counter,
}

impl Bench {
    fn new() -> Self {
        Self {
            buffers: Buffers::new(1024, 4),
            received: Counter::default(),
            sent: Counter::default(),
        }
    }

    async fn run(
        &self,
        mut client: DuplexStream,
        mut backend: DuplexStream,
    ) -> Result<(), RelayError> {
        let context = RelayContext {
            buffers: &self.buffers,
            idle_timeout: IDLE,
            received: &self.received,
            sent: &self.sent,
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
    let bench = Bench::new();
    let context = RelayContext {
        buffers: &bench.buffers,
        idle_timeout: IDLE,
        received: &bench.received,
        sent: &bench.sent,
    };
    let (_peer, mut stream) = duplex(10);
    let error = relay(&mut stream, &mut Broken, context).await.unwrap_err();
    assert!(matches!(error, RelayError::Backend(_)));
    let error = relay(&mut Broken, &mut stream, context).await.unwrap_err();
    assert!(matches!(error, RelayError::Client(_)));
}
