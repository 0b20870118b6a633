//! Requests that two readers could take for different ones.

use crate::support::client::Http1;
use crate::support::origin::{Origin, text};
use crate::support::resources::*;
use crate::support::{Bed, run};

#[test]
fn a_request_reaches_the_backend_as_one_or_not_at_all() {
    run(async {
        let inner = "GET /inner HTTP/1.1\r\nHost: a\r\n\r\n";
        for fields in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            "Transfer-Encoding: identity, chunked\r\nContent-Length: 5",
            "Transfer-Encoding: chunked, identity",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding : chunked",
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: +5",
            "Content-Length: 5, 5",
            "Connection: content-length\r\nContent-Length: 5",
            "X: 1\r\n Content-Length: 5",
        ] {
            let origin = Origin::http1(|_| text("ok")).await;
            let bed = Bed::new(|port| simple(port, &[origin.port])).await;
            let mut client = Http1::connect(&bed).await;
            client
                .write(&format!(
                    "POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n0\r\n\r\n{inner}"
                ))
                .await;
            let got = client.read().await;
            // Either the whole is refused, or the second request is read exactly where the first one ends.
            if got.status == 200 {
                for seen in origin.seen.borrow_mut().drain(..) {
                    let body = seen.body.as_ref();
                    assert!(
                        body.is_empty() || body == b"0\r\n\r\n",
                        "{fields}: {body:?}"
                    );
                    assert!(
                        seen.header("content-length").is_none()
                            || seen.header("transfer-encoding").is_none(),
                        "{fields}: {:?}",
                        seen.head.headers
                    );
                }
            } else {
                assert!([400, 501].contains(&got.status), "{fields}: {}", got.status);
                assert!(origin.seen.borrow().is_empty(), "{fields}");
            }
        }
    });
}

#[test]
fn a_transfer_coding_that_would_get_lost_is_refused() {
    run(async {
        for coding in ["gzip, chunked", "gzip\r\nTransfer-Encoding: chunked"] {
            let origin = Origin::http1(|_| text("ok")).await;
            let bed = Bed::new(|port| simple(port, &[origin.port])).await;
            let mut client = Http1::connect(&bed).await;
            client
                .write(&format!(
                    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n"
                ))
                .await;
            assert_eq!(client.read().await.status, 501, "{coding}");
            assert!(origin.seen.borrow().is_empty(), "{coding}");
        }
    });
}

#[test]
fn line_ends_and_nuls_in_a_head_are_refused() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        for request in [
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
            "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
            "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            let mut client = Http1::connect(&bed).await;
            let got = client.send(request).await;
            assert_eq!(got.status, 400, "{request:?}");
        }
        assert!(origin.seen.borrow().is_empty());
    });
}
