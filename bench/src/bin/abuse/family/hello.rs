//! TLS handshakes that never come to their end.

use std::{io, rc::Rc, sync::Arc};

use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, pki_types::ServerName};

use crate::attack::{Abuse, Attacker, Ended, HeldTo, Receives};

pub const ABUSES: &[Abuse] = &[
    Abuse {
        name: "hello-half",
        what: "1,000 connections that send half a ClientHello.",
        held_to: HeldTo::Aims,
        connections: 1_000,
        run: |attacker| held(attacker, Part::Half).boxed_local(),
    },
    Abuse {
        name: "hello-alone",
        what: "1,000 connections that send a ClientHello and nothing more.",
        held_to: HeldTo::Aims,
        connections: 1_000,
        run: |attacker| held(attacker, Part::Whole).boxed_local(),
    },
    Abuse {
        name: "hello-flood",
        what: "64 connections that send a ClientHello, read the beginning of the answer, and come anew.",
        held_to: HeldTo::Aims,
        connections: 64,
        run: |attacker| flood(attacker).boxed_local(),
    },
];

#[derive(Clone, Copy)]
enum Part {
    Half,
    Whole,
}

/// Sends a part of a ClientHello, and waits for the end.
async fn held(attacker: Rc<Attacker>, part: Part) -> io::Result<Ended> {
    let hello = hello(&attacker.host)?;
    let part = match part {
        Part::Half => hello.get(..hello.len() / 2).unwrap_or_default(),
        Part::Whole => &hello,
    };
    let mut stream = attacker.connect(attacker.https, Receives::Much).await?;
    stream.write_all(part).await?;
    attacker.sent(1, part.len());
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(Ended::ByAgent)
}

async fn flood(attacker: Rc<Attacker>) -> io::Result<Ended> {
    let hello = hello(&attacker.host)?;
    let mut stream = attacker.connect(attacker.https, Receives::Much).await?;
    stream.write_all(&hello).await?;
    attacker.sent(1, hello.len());
    // What the agent says first is signed: by now it has paid.
    let mut buffer = [0; 4096];
    match stream.read(&mut buffer).await? {
        0 => Ok(Ended::ByAgent),
        _ => Ok(Ended::ByAttacker),
    }
}

/// What a usual client says first.
fn hello(host: &str) -> io::Result<Vec<u8>> {
    let config = ClientConfig::builder()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let mut hello = Vec::new();
    connection.write_tls(&mut hello)?;
    Ok(hello)
}
