//! Tries, timeouts, and connections that turn out dead.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use novaedge_proto::v1;
use tokio::time::sleep;

use crate::http2::h2c_route;
use crate::support::client::{Http1, get};
use crate::support::origin::{Origin, raw, read_head, refusing, status, text, write};
use crate::support::resources::*;
use crate::support::{Bed, run};

fn retrying(attempts: u32, codes: &[u32]) -> v1::Route {
    let mut rule = route();
    rule.retry = Some(v1::Retry {
        codes: codes.to_vec(),
        attempts,
        backoff_ms: 0,
    });
    rule
}

/// Fails so often, then answers.
async fn failing(times: usize) -> Rc<Origin> {
    let left = Cell::new(times);
    Origin::http1(move |_| {
        if left.get() == 0 {
            return text("ok");
        }
        left.set(left.get() - 1);
        status(503)
    })
    .await
}

#[test]
fn listed_codes_are_retried_and_the_last_answer_is_passed_on() {
    run(async {
        for (fails, attempts, codes, expect, tries) in [
            (2, 2, &[503][..], 200, 3),
            (2, 1, &[503], 503, 2),
            (1, 3, &[500], 503, 1),
            (1, 0, &[503], 503, 1),
        ] {
            let origin = failing(fails).await;
            let bed =
                Bed::new(|port| with_route(port, &[origin.port], retrying(attempts, codes))).await;
            let got = get(&bed, "/", "").await;
            assert_eq!(
                (got.status, origin.seen.borrow().len()),
                (expect, tries),
                "{fails} {attempts} {codes:?}"
            );
        }
    });
}

#[test]
fn a_small_body_is_replayed_and_a_large_one_is_sent_once() {
    run(async {
        for (size, expect, tries) in [(60 * 1024, 200, 2), (70 * 1024, 503, 1)] {
            let origin = failing(1).await;
            let bed = Bed::new(|port| with_route(port, &[origin.port], retrying(1, &[503]))).await;
            let body = "x".repeat(size);
            let request =
                format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n{body}");
            let got = Http1::connect(&bed).await.send(&request).await;
            assert_eq!(
                (got.status, origin.seen.borrow().len()),
                (expect, tries),
                "{size}"
            );
            assert_eq!(origin.last().body.len(), size);
            let given_up = bed.metrics.retries_without_body.get();
            assert_eq!(given_up, u64::from(tries == 1));
        }
    });
}

#[test]
fn retries_are_few_of_the_requests_of_a_backend_that_fails() {
    run(async {
        // Of 20 requests at a time, 10 percent and at least one.
        for (percent, min_concurrency, most) in [(10, 0, 2), (0, 1, 1), (0, 0, 0)] {
            let origin = Origin::http1_async(|_| {
                Box::pin(async {
                    sleep(Duration::from_millis(50)).await;
                    status(503)
                })
            })
            .await;
            let bed = Bed::new(|port| {
                let mut resources = with_route(port, &[origin.port], retrying(5, &[503]));
                resources[3] = backend_with("a", |backend| {
                    backend.retry_budget = Some(v1::RetryBudget {
                        percent,
                        min_concurrency,
                    });
                });
                resources
            })
            .await;
            let requests = (0..20).map(|_| {
                let bed = Rc::clone(&bed);
                tokio::task::spawn_local(async move { get(&bed, "/", "").await.status })
            });
            for request in requests.collect::<Vec<_>>() {
                assert_eq!(request.await.unwrap(), 503, "the answer of the backend");
            }
            let retries = bed.metrics.traffic().retries();
            // Those that may go on do so until they have no tries left.
            assert!(retries <= 5 * most, "{retries}");
            assert_eq!(retries > 0, most > 0);
            assert!(bed.metrics.retries_over_budget.get() >= 20 - most);
        }
    });
}

#[test]
fn connection_errors_are_retried_on_another_endpoint_only_where_the_rule_retries() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let dead = refusing().await;
        let closing = raw(|mut stream| async move {
            read_head(&mut stream).await;
        })
        .await;
        let bed =
            Bed::new(|port| with_route(port, &[dead, closing, origin.port], retrying(2, &[])))
                .await;
        for _ in 0..6 {
            assert_eq!(get(&bed, "/", "").await.status, 200);
        }
        bed.apply(vec![routed(route())], &[]);
        let mut statuses = Vec::new();
        for _ in 0..3 {
            statuses.push(get(&bed, "/", "").await.status);
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 502, 502]);
    });
}

#[test]
fn a_request_that_may_have_been_done_is_sent_again_only_if_that_does_no_harm() {
    run(async {
        let seen = Rc::new(Cell::new(0));
        let closing = raw({
            let seen = Rc::clone(&seen);
            move |mut stream| {
                seen.set(seen.get() + 1);
                async move {
                    read_head(&mut stream).await;
                }
            }
        })
        .await;
        let bed = Bed::new(|port| with_route(port, &[closing], retrying(2, &[]))).await;
        for (method, tries) in [("GET", 3), ("PUT", 3), ("POST", 1), ("PATCH", 1)] {
            seen.set(0);
            let request = format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
            let got = Http1::connect(&bed).await.send(&request).await;
            assert_eq!((got.status, seen.get()), (502, tries), "{method}");
        }
        let (origin, dead) = (Origin::http1(|_| text("ok")).await, refusing().await);
        let both = Bed::new(|port| with_route(port, &[dead, origin.port], retrying(1, &[]))).await;
        for _ in 0..4 {
            let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
            let got = Http1::connect(&both).await.send(request).await;
            assert_eq!(
                got.status, 200,
                "nothing was sent to the endpoint that refuses"
            );
        }
    });
}

/// An HTTP/2 server that resets every stream, and how many there were.
async fn resetting(reason: h2::Reason) -> (u16, Rc<Cell<usize>>) {
    let streams = Rc::new(Cell::new(0));
    let count = Rc::clone(&streams);
    let port = raw(move |stream| {
        let count = Rc::clone(&count);
        async move {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                count.set(count.get() + 1);
                respond.send_reset(reason);
            }
        }
    })
    .await;
    (port, streams)
}

#[test]
fn a_stream_that_is_refused_is_always_sent_again() {
    run(async {
        for (reason, tries) in [
            (h2::Reason::REFUSED_STREAM, 3),
            (h2::Reason::INTERNAL_ERROR, 1),
        ] {
            let (backend, streams) = resetting(reason).await;
            let bed = Bed::new(|port| h2c_route(port, backend, retrying(2, &[]))).await;
            let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
            let got = Http1::connect(&bed).await.send(request).await;
            assert_eq!((got.status, streams.get()), (502, tries), "{reason}");
        }
    });
}

#[test]
fn timeouts_bound_a_try_and_the_whole() {
    run(async {
        let slow = Origin::http1_async(|_| {
            Box::pin(async {
                sleep(Duration::from_millis(400)).await;
                text("late")
            })
        })
        .await;
        let mut rule = route();
        rule.request_timeout_ms = Some(50);
        let bed = Bed::new(|port| with_route(port, &[slow.port], rule.clone())).await;
        let got = get(&bed, "/", "").await;
        assert_eq!(
            (got.status, got.body.as_str()),
            (504, "the request timed out\n")
        );

        rule.request_timeout_ms = Some(2000);
        rule.backend_request_timeout_ms = Some(50);
        bed.apply(vec![routed(rule.clone())], &[]);
        let got = get(&bed, "/", "").await;
        assert_eq!(
            (got.status, got.body.as_str()),
            (504, "the backend did not answer in time\n")
        );

        rule.retry = Some(v1::Retry {
            codes: vec![],
            attempts: 2,
            backoff_ms: 0,
        });
        slow.seen.borrow_mut().clear();
        bed.apply(vec![routed(rule.clone())], &[]);
        assert_eq!(get(&bed, "/", "").await.status, 504);
        assert_eq!(
            slow.seen.borrow().len(),
            3,
            "a try that timed out is retried"
        );

        rule.request_timeout_ms = Some(0);
        rule.backend_request_timeout_ms = Some(0);
        rule.retry = None;
        bed.apply(vec![routed(rule)], &[]);
        assert_eq!(get(&bed, "/", "").await.status, 200, "0 means no timeout");
    });
}

#[test]
fn the_timeout_covers_the_response_to_its_end() {
    run(async {
        let port = raw(|mut stream| async move {
            read_head(&mut stream).await;
            write(
                &mut stream,
                "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
            )
            .await;
            sleep(Duration::from_secs(20)).await;
        })
        .await;
        let mut rule = route();
        rule.request_timeout_ms = Some(100);
        let bed = Bed::new(|port_of_bed| with_route(port_of_bed, &[port], rule)).await;
        let mut client = Http1::connect(&bed).await;
        client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.read_head().await.status, 200);
        assert_eq!(client.take(4).await, b"half");
        assert!(
            client.is_closed().await,
            "the response is cut, and shows it"
        );
    });
}

#[test]
fn connecting_is_bounded_in_time() {
    run(async {
        // An address that answers nothing (RFC 5737) may also be refused at once where there is no way to it.
        let bed = Bed::new(|port| {
            vec![
                gateway(),
                listener(port),
                routed(route()),
                backend_with("a", |backend| backend.connect_timeout_ms = 50),
                endpoints_at("a", &[("192.0.2.1", 81)]),
            ]
        })
        .await;
        let got = get(&bed, "/", "").await;
        assert!(got.status == 504 || got.status == 502, "{}", got.status);
    });
}

/// An origin that closes each connection after its first answer, some time later, without saying so.
async fn fickle() -> (u16, Rc<Cell<usize>>) {
    let served = Rc::new(Cell::new(0));
    let count = Rc::clone(&served);
    let port = raw(move |mut stream| {
        let served = Rc::clone(&count);
        async move {
            read_head(&mut stream).await;
            served.set(served.get() + 1);
            write(
                &mut stream,
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            )
            .await;
            // It reads the next request and closes instead of answering.
            read_head(&mut stream).await;
        }
    })
    .await;
    (port, served)
}

#[test]
fn a_kept_connection_that_turns_out_closed_is_replaced_where_that_is_safe() {
    run(async {
        let (port, served) = fickle().await;
        let bed = Bed::new(|port_of_bed| simple(port_of_bed, &[port])).await;
        let mut client = Http1::connect(&bed).await;
        for _ in 0..4 {
            assert_eq!(
                client
                    .send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    .await
                    .status,
                200
            );
        }
        assert_eq!(served.get(), 4);
        sleep(Duration::from_millis(400)).await;
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
        for (status, why) in [
            (200, "nobody knows how long the backend keeps connections"),
            (
                502,
                "a connection was kept for longer, and it may have been acted on",
            ),
        ] {
            assert_eq!(client.send(post).await.status, status, "{why}");
        }
    });
}

#[test]
fn a_body_that_is_kept_is_sent_again_on_another_connection() {
    run(async {
        for (length, expect) in [(1_000, 200), (70_000, 502)] {
            let (port, served) = fickle().await;
            let bed = Bed::new(|port_of_bed| simple(port_of_bed, &[port])).await;
            let mut client = Http1::connect(&bed).await;
            let put = |length: usize| {
                let body = "x".repeat(length);
                format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}")
            };
            assert_eq!(client.send(&put(1)).await.status, 200);
            assert_eq!(client.send(&put(length)).await.status, expect, "{length}");
            assert_eq!(served.get(), 1 + usize::from(expect == 200));
        }
    });
}

#[test]
fn what_must_not_be_sent_twice_goes_on_no_connection_that_has_long_been_idle() {
    run(async {
        let (port, served) = fickle().await;
        let bed = Bed::new(|port_of_bed| simple(port_of_bed, &[port])).await;
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
        let mut client = Http1::connect(&bed).await;
        for _ in 0..3 {
            assert_eq!(client.send(post).await.status, 200);
            sleep(Duration::from_millis(1_100)).await;
        }
        assert_eq!(served.get(), 3);
    });
}

#[test]
fn names_of_endpoints_are_resolved() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let bed = Bed::new(|port| {
            vec![
                gateway(),
                listener(port),
                routed(route()),
                backend("a"),
                endpoints_at("a", &[("one.test", origin.port)]),
            ]
        })
        .await;
        assert_eq!(get(&bed, "/", "").await.status, 200);
    });
}
