//! How connections end in a drain.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::support::client::{Http1, get2, http2, send2};
use crate::support::origin::{Origin, slow, text};
use crate::support::resources::*;
use crate::support::{Bed, run};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_drain_finishes_what_is_in_flight_and_ends_the_rest() {
    run(async {
        let origin = slow(Duration::from_millis(100)).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        let mut idle = Http1::connect(&bed).await;
        assert_eq!(idle.send(GET).await.status, 200);
        let mut unused = Http1::connect(&bed).await;
        let mut busy = Http1::connect(&bed).await;
        busy.write(GET).await;
        let mut multiplexed = http2(TcpStream::connect(bed.address).await.unwrap()).await;
        let request = multiplexed.send_request(get2("http://a/"));
        sleep(Duration::from_millis(30)).await;
        bed.drain.begin(Instant::now() + Duration::from_secs(5));
        assert!(idle.is_closed().await && unused.is_closed().await);
        let got = busy.read().await;
        assert_eq!((got.status, got.header("connection")), (200, Some("close")));
        assert!(busy.is_closed().await);
        assert_eq!(request.await.unwrap().status(), 200);
        while bed.worker.open_connections() > 0 || !multiplexed.is_closed() {
            sleep(Duration::from_millis(2)).await;
        }
        assert!(
            bed.worker
                .shut_down(Instant::now() + Duration::from_secs(2))
                .await
        );
    });
}

#[test]
fn a_drain_ends_at_its_deadline() {
    run(async {
        let origin = slow(Duration::from_secs(20)).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        let mut client = Http1::connect(&bed).await;
        client.write(GET).await;
        sleep(Duration::from_millis(30)).await;
        bed.drain.begin(Instant::now() + Duration::from_millis(50));
        assert!(client.is_closed().await);
    });
}

#[test]
fn a_retiring_worker_serves_and_asks_clients_to_leave() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        let mut idle = Http1::connect(&bed).await;
        assert_eq!(idle.send(GET).await.header("connection"), None);
        let mut multiplexed = http2(TcpStream::connect(bed.address).await.unwrap()).await;
        assert_eq!(send2(&mut multiplexed, get2("http://a/")).await.status, 200);
        bed.drain.retire();
        while !multiplexed.is_closed() {
            sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(bed.worker.open_connections(), 1, "idle HTTP/1.1 stays");
        let got = idle.send(GET).await;
        assert_eq!((got.status, got.header("connection")), (200, Some("close")));
        assert!(idle.is_closed().await);

        let mut new = Http1::connect(&bed).await;
        let got = new.send(GET).await;
        assert_eq!((got.status, got.header("connection")), (200, Some("close")));
        let mut new = http2(TcpStream::connect(bed.address).await.unwrap()).await;
        sleep(Duration::from_millis(20)).await;
        assert_eq!(send2(&mut new, get2("http://a/")).await.status, 200);
        while !new.is_closed() {
            sleep(Duration::from_millis(2)).await;
        }
    });
}

#[test]
fn a_drain_answers_what_idle_and_new_connections_still_ask() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        let mut kept = Http1::connect(&bed).await;
        assert_eq!(kept.send(GET).await.status, 200);
        let mut silent = Http1::connect(&bed).await;
        silent.write("GET /").await;
        let mut late = http2(TcpStream::connect(bed.address).await.unwrap()).await;
        bed.drain.begin(Instant::now() + Duration::from_secs(8));
        let request = late.send_request(get2("http://a/"));
        sleep(Duration::from_millis(50)).await;
        let got = kept.send(GET).await;
        assert_eq!((got.status, got.header("connection")), (200, Some("close")));
        let got = silent.send(" HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!((got.status, got.header("connection")), (200, Some("close")));
        assert_eq!(request.await.unwrap().status(), 200);
        assert!(kept.is_closed().await && silent.is_closed().await);
    });
}
