//! Clients of HTTP/2 that want to keep the gateway busy, with frames made by hand.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use http::Request;
use http_body_util::Full;
use tokio::time::sleep;

use crate::support::client::{get, http2, send2};
use crate::support::origin::{Origin, slow, text};
use crate::support::resources::*;
use crate::support::{Bed, run};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fn frame(kind: u8, length: u8) -> Vec<u8> {
    let mut frame = vec![0, 0, length, kind, 0, 0, 0, 0, 0];
    frame.resize(9 + usize::from(length), 0);
    frame
}

/// Sends a frame again and again, and reads whatever comes. Returns how many bytes it could send before the end.
fn flood(address: SocketAddr, frame: &[u8]) -> usize {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(PREFACE).unwrap();
    let mut reader = stream.try_clone().unwrap();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        while matches!(reader.read(&mut buffer), Ok(1..)) {}
    });
    let many = frame.repeat(1_000);
    let mut sent = 0;
    while sent < 64 * 1024 * 1024 && stream.write_all(&many).is_ok() {
        sent += many.len();
    }
    sent
}

#[test]
fn a_flood_of_control_frames_ends_its_connection_and_others_are_served_meanwhile() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        for (kind, length) in [(6, 8), (4, 0)] {
            let address = bed.address;
            let flooding =
                tokio::task::spawn_blocking(move || flood(address, &frame(kind, length)));
            while !flooding.is_finished() {
                assert_eq!(get(&bed, "/", "").await.status, 200);
                sleep(Duration::from_millis(1)).await;
            }
            let sent = flooding.await.unwrap();
            assert!((1..32).contains(&(sent / 1024 / 1024)), "{kind}: {sent}");
        }
    });
}

#[test]
fn the_heads_under_way_on_a_connection_are_bounded_together() {
    run(async {
        let origin = slow(Duration::from_millis(300)).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        let stream = tokio::net::TcpStream::connect(bed.address).await.unwrap();
        let sender = http2(stream).await;
        // 50 KiB each: 20 of them fit into one MiB.
        let requests = (0..30).map(|_| {
            let mut sender = sender.clone();
            let request = Request::get("http://a/").header("x-long", "x".repeat(50 * 1024));
            let request = request.body(Full::default()).unwrap();
            tokio::task::spawn_local(async move { send2(&mut sender, request).await.status })
        });
        let mut statuses = Vec::new();
        for request in requests.collect::<Vec<_>>() {
            statuses.push(request.await.unwrap());
        }
        let count = |status: u16| statuses.iter().filter(|one| **one == status).count();
        assert_eq!((count(200), count(431)), (20, 10));
        let mut sender = sender.clone();
        let request = Request::get("http://a/").header("x-long", "x".repeat(50 * 1024));
        let again = send2(&mut sender, request.body(Full::default()).unwrap()).await;
        assert_eq!(again.status, 200);
    });
}

#[test]
fn requests_that_are_reset_at_once_reach_no_backend() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        let address = bed.address;
        let resetting = tokio::task::spawn_blocking(move || {
            let mut sent = PREFACE.to_vec();
            for stream in [1, 3, 5, 7] {
                // GET http://a/ and its end (RFC 7541, appendix A), then RST_STREAM with CANCEL.
                sent.extend([0, 0, 6, 1, 5, 0, 0, 0, stream]);
                sent.extend([0x82, 0x86, 0x84, 0x41, 1, b'a']);
                sent.extend([0, 0, 4, 3, 0, 0, 0, 0, stream, 0, 0, 0, 8]);
            }
            sent.extend(frame(6, 8));
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(&sent).unwrap();
            // The answer to the ping, which comes behind them.
            let mut answer = Vec::new();
            let mut buffer = [0; 1024];
            while !answer.windows(5).any(|header| header == [0, 0, 8, 6, 1]) {
                let read = stream.read(&mut buffer).unwrap();
                assert!(read > 0, "{answer:?}");
                answer.extend_from_slice(&buffer[..read]);
            }
            stream
        });
        let _stream = resetting.await.unwrap();
        assert_eq!(get(&bed, "/", "").await.status, 200);
        assert_eq!(origin.connections.get(), 1);
        assert_eq!(origin.seen.borrow().len(), 1);
    });
}
