//! `novactl top` beside traffic.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use super::system::System;

#[test]
fn rates_are_told_by_gateway_route_and_backend() {
    let system = System::quickstart();
    let port = system.ports[0];
    let stop = AtomicBool::new(false);
    let told = thread::scope(|scope| {
        // Nobody is behind the routes, so each request is a failed one.
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                request(port);
                thread::sleep(Duration::from_millis(20));
            }
        });
        let told = system.ok(&["top", "--interval", "2", "-o", "json"]);
        let table = system.ok(&["top", "--interval", "1", "--limit", "1"]);
        stop.store(true, Ordering::Relaxed);
        assert!(table.contains("default/example-gateway"), "{table}");
        told
    });
    let top: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let rate = |part: &str, name: &str, of: &str| {
        let rows = top[part].as_array().expect("rows");
        let row = rows.iter().find(|row| row["name"] == name);
        let row = row.unwrap_or_else(|| panic!("no {name}: {told}"));
        row[of].as_f64().expect("a number")
    };
    for (part, name) in [
        ("gateways", "default/example-gateway"),
        ("routes", "HTTPRoute default/www"),
    ] {
        let (all, failed) = (
            rate(part, name, "perSecond"),
            rate(part, name, "serverErrorsPerSecond"),
        );
        assert!(all > 1.0 && (all - failed).abs() < 0.01, "{told}");
    }
    let backends = top["backends"].as_array().expect("rows");
    assert!(!backends.is_empty(), "{told}");
}

fn request(port: u16) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the gateway listens");
    let text = "GET / HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n";
    stream.write_all(text.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 50"), "{answer}");
}
