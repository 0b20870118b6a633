//! `novactl trace` beside traffic.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use super::system::System;

/// Sends requests with a secret all the while.
pub fn beside_traffic<T>(port: u16, run: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                request(port);
                thread::sleep(Duration::from_millis(20));
            }
        });
        // The traffic ends however this ends.
        let _stop = Stop(&stop);
        run()
    })
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn request(port: u16) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the gateway listens");
    let text = "GET /cart?token=s3cret HTTP/1.1\r\nHost: www.example.com\r\n\
                Authorization: Basic YTpi\r\nConnection: close\r\n\r\n";
    stream.write_all(text.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 50"), "{answer}");
}

#[test]
fn requests_are_told_step_by_step() {
    let system = System::quickstart();
    // Nobody is behind the routes, so each request is a failed one.
    beside_traffic(system.ports[0], || {
        let line = ["trace", "http://www.example.com/c*", "--status", "5xx"];
        let table = system.ok(&line);
        for part in [
            "RECEIVED",
            "MATCHED",
            "route=HTTPRoute/default/www",
            "REFUSED",
            "authorization: REDACTED",
            "url.query=token=REDACTED",
            "http.response.status_code=50",
            "termination=",
        ] {
            assert!(table.contains(part), "{part}: {table}");
        }
        assert!(
            !table.contains("s3cret") && !table.contains("YTpi"),
            "{table}"
        );
        let more = [&line[..], &["--count", "2", "-o", "json"]].concat();
        let told = system.ok(&more);
        let all = serde_json::Deserializer::from_str(&told).into_iter::<serde_json::Value>();
        let all: Vec<_> = all.map(|one| one.expect("JSON")).collect();
        assert_eq!(all.len(), 2, "{told}");
        assert_eq!(all[0]["agent"], "standalone");
        assert_eq!(all[0]["steps"][0]["step"], "received");
    });
}

#[test]
fn what_does_not_come_is_told_and_what_cannot_be_asked() {
    let system = System::quickstart();
    let remark = |line: &[&str], code: i32| {
        let answer = system.run(line);
        assert_eq!(answer.code, code, "{line:?}: {answer:?}");
        assert_eq!(answer.out, "", "{line:?}");
        answer.err
    };
    let none = remark(&["trace", "nobody.example", "--timeout", "1"], 1);
    assert!(none.contains("0 of 1 requests came in time"), "{none}");
    let gateway = remark(&["trace", "--gateway", "edge"], 1);
    let why = "standalone: gateway \"edge\": write it as namespace/name";
    assert!(gateway.contains(why), "{gateway}");
    let agent = remark(&["trace", "--agent", "other"], 1);
    assert!(agent.contains("No agents other are connected"), "{agent}");
    let header = remark(&["trace", "-H", "x"], 2);
    assert!(header.contains("write it as 'Name: value'"), "{header}");
}
