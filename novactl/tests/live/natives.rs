//! The examples in `docs/native-kinds.md` serve traffic as they stand there.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
};

use novaedge_ports::free_port;

use super::system::{System, root};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";

#[test]
fn the_examples_of_the_native_kinds_are_served() {
    let backend = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let backend_port = backend.local_addr().expect("an address").port();
    thread::spawn(move || answer_one(&backend));
    let port = free_port();
    let page = fs::read_to_string(root().join("docs/native-kinds.md")).expect("the page");
    let examples = page.split("```yaml\n").skip(1);
    let examples = examples.map(|rest| rest.split("```").next().expect("a block ends"));
    let files: Vec<(String, String)> = examples
        .enumerate()
        .map(|(index, text)| {
            let text = text.replace("port: 8080", &format!("port: {port}"));
            let text = text.replace("port: 3000", &format!("port: {backend_port}"));
            (format!("{index}.yaml"), text)
        })
        .collect();
    assert_eq!(files.len(), 3, "an example for each kind");
    let system = System::on(&files);
    assert!(
        system
            .ok(&["snapshot", "get"])
            .contains("route/ProxyRoute/default/shop/0")
    );
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a listener");
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n")
        .expect("it is open");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nhi"), "{answer}");
}

/// Answers the first request; its head comes in one piece.
fn answer_one(backend: &TcpListener) {
    let (mut stream, _) = backend.accept().expect("a connection");
    let mut head = [0; 4096];
    let length = stream.read(&mut head).expect("a request");
    assert!(head[..length].starts_with(b"GET / HTTP/1.1\r\n"));
    stream.write_all(ANSWER).expect("it is open");
}
