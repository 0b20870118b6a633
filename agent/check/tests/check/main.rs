//! Checks of real endpoints on loopback, and what the groups of a worker make of them.
#![allow(clippy::unwrap_used)] // a harness may panic

mod support;

use std::time::Duration;

use http::StatusCode;
use novaedge_proto::v1;
use novaedge_proto::v1::health_check::Probe;

use support::{Bed, Origin, Secure, refusing, run, silent};

fn http(path: &str, host: &str, expected_statuses: &[u32]) -> Probe {
    Probe::Http(v1::HttpProbe {
        path: path.into(),
        host: host.into(),
        expected_statuses: expected_statuses.to_vec(),
    })
}

fn plain() -> Probe {
    http("/", "", &[])
}

#[test]
fn an_endpoint_that_answers_badly_is_left_out_until_it_answers_well() {
    run(async {
        let [good, bad] = [Origin::http1().await, Origin::http1().await];
        let mut bed = Bed::new(plain(), &[good.port, bad.port]);
        bed.settle(&[good.port, bad.port]).await;
        bad.answer(StatusCode::INTERNAL_SERVER_ERROR);
        bed.settle(&[good.port]).await;
        assert_eq!((bed.counters.checked(), bed.counters.unhealthy()), (2, 1));
        bad.answer(StatusCode::NO_CONTENT);
        bed.settle(&[good.port, bad.port]).await;
        assert_eq!((bed.counters.checked(), bed.counters.unhealthy()), (2, 0));
        assert!(bed.counters.passed() > 0 && bed.counters.failed() > 0);
    });
}

#[test]
fn the_request_is_as_it_was_wanted() {
    run(async {
        let origin = Origin::http1().await;
        let _bed = Bed::new(http("/ready?full", "", &[]), &[origin.port]);
        let seen = origin.next().await;
        assert_eq!(
            (seen.method.as_str(), seen.target.as_str()),
            ("GET", "/ready?full")
        );
        assert_eq!(seen.host, format!("127.0.0.1:{}", origin.port));
        let _bed = Bed::new(http("/", "a.example:8080", &[]), &[origin.port]);
        assert_eq!(
            origin.until(|seen| seen.target == "/").await.host,
            "a.example:8080"
        );
        let http2 = Origin::http2().await;
        let mut bed = Bed::with(plain(), &[http2.port], |backend| {
            backend.protocol = v1::BackendProtocol::Http2.into();
        });
        assert_eq!(http2.next().await.host, format!("127.0.0.1:{}", http2.port));
        bed.settle(&[http2.port]).await;
    });
}

#[test]
fn only_expected_answers_are_good() {
    run(async {
        let [teapot, ok] = [Origin::http1().await, Origin::http1().await];
        teapot.answer(StatusCode::IM_A_TEAPOT);
        let mut bed = Bed::new(http("/", "", &[204, 418]), &[teapot.port, ok.port]);
        bed.settle(&[teapot.port]).await;
    });
}

#[test]
fn another_port_is_asked_where_that_is_wanted() {
    run(async {
        let [served, asked] = [Origin::http1().await, Origin::http1().await];
        let mut bed = Bed::checked(plain(), &[served.port], |check| {
            check.port = asked.port.into();
        });
        asked.next().await;
        assert_eq!(served.count(), 0);
        bed.settle(&[served.port]).await;
    });
}

#[test]
fn who_does_not_accept_or_answer_in_time_is_not_well() {
    run(async {
        let good = Origin::http1().await;
        let (refusing, silent) = (refusing().await, silent().await);
        let mut bed = Bed::new(plain(), &[good.port, refusing, silent]);
        bed.settle(&[good.port]).await;
        // A connection is all that TCP can ask for.
        let mut bed = Bed::new(Probe::Tcp(v1::TcpProbe {}), &[refusing, silent]);
        bed.settle(&[silent]).await;
    });
}

#[test]
fn grpc_servers_are_asked_for_their_health() {
    run(async {
        let [serving, stopped, unknown] = [1, 2, 3].map(|status| async move {
            let origin = Origin::http2().await;
            origin.answer_grpc(status);
            origin
        });
        let all = [serving.await, stopped.await, unknown.await];
        let mut ports: Vec<u16> = all.iter().map(|origin| origin.port).collect();
        let no_grpc = Origin::http2().await;
        ports.push(no_grpc.port);
        let probe = Probe::Grpc(v1::GrpcProbe {
            service: "a.B".into(),
        });
        let mut bed = Bed::new(probe, &ports);
        bed.settle(&ports[..1]).await;
        let seen = all[0].next().await;
        assert_eq!(seen.method, "POST");
        assert_eq!(seen.target, "/grpc.health.v1.Health/Check");
        assert_eq!(seen.body, b"\0\0\0\0\x05\x0a\x03a.B");
    });
}

#[test]
fn tls_is_verified_as_for_requests() {
    run(async {
        let secure = Secure::new();
        let [good, bad] = [
            secure.origin("a.example").await,
            secure.origin("b.example").await,
        ];
        for probe in [plain(), Probe::Tcp(v1::TcpProbe {})] {
            let mut bed = Bed::secure(probe, &[good.port, bad.port], &secure, "a.example");
            bed.settle(&[good.port]).await;
        }
        assert_eq!(good.next().await.host, "a.example");
    });
}

#[test]
fn new_endpoints_are_asked_and_those_that_left_are_not() {
    run(async {
        let [first, second] = [Origin::http1().await, Origin::http1().await];
        second.answer(StatusCode::INTERNAL_SERVER_ERROR);
        let mut bed = Bed::new(plain(), &[first.port]);
        first.next().await;
        bed.endpoints(&[first.port, second.port]);
        bed.settle(&[first.port]).await;
        // What is known stays known over other changes.
        bed.check(|check| check.unhealthy_threshold = 1_000_000);
        bed.settle(&[first.port]).await;
        bed.endpoints(&[second.port]);
        tokio::time::sleep(Duration::from_millis(100)).await;
        let asked = first.count();
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(first.count(), asked);
        assert_eq!(bed.counters.checked(), 1);
        bed.no_check();
        bed.settle(&[second.port]).await;
        assert_eq!(bed.counters.checked(), 0);
    });
}

#[test]
fn a_backend_that_wants_the_proxy_protocol_hears_of_nobody() {
    run(async {
        let (port, heard) = support::listening().await;
        let _bed = Bed::with(Probe::Tcp(v1::TcpProbe {}), &[port], |backend| {
            backend.send_proxy_protocol = v1::SendProxyProtocol::V1.into();
        });
        assert_eq!(heard.await.unwrap(), "PROXY UNKNOWN\r\n");
    });
}
