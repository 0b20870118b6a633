//! Both halves in one process.
#![allow(clippy::unwrap_used)] // a harness may panic

use std::{net::SocketAddr, time::Duration};

use novaedge::{Config, Standalone, Telemetry};
use novaedge_control_plane::folder::Watch;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn an_empty_folder_is_served_and_the_counters_of_both_halves_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let system = Standalone::start(Config {
        folder: folder.path().to_owned(),
        watch: Watch::No,
        grpc: any,
        admin: any,
        state_dir: folder.path().join(".novaedge"),
        workers: Some(1),
        telemetry: Telemetry::default(),
    })
    .await
    .unwrap();
    let admin = system.admin().unwrap();
    let mut tries = 0;
    while !get(admin, "/readyz").await.starts_with("HTTP/1.1 200") {
        tokio::time::sleep(Duration::from_millis(20)).await;
        tries += 1;
        assert!(tries < 500, "not ready");
    }
    let metrics = get(admin, "/metrics").await;
    for line in [
        "novaedge_publish_steps_sent_total 1",
        "novaedge_publish_resources_refused_total 0",
        "novaedge_snapshot_sequence 1",
    ] {
        assert!(
            metrics.lines().any(|one| one == line),
            "{line} in {metrics}"
        );
    }
    assert!(
        folder
            .path()
            .join(".novaedge/status/diagnostics.yaml")
            .exists()
    );
    system.stop(Duration::from_millis(200)).await;
}

#[tokio::test]
async fn a_state_folder_belongs_to_one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let start = || {
        Standalone::start(Config {
            folder: folder.path().to_owned(),
            watch: Watch::No,
            grpc: any,
            admin: any,
            state_dir: folder.path().join(".novaedge"),
            workers: Some(1),
            telemetry: Telemetry::default(),
        })
    };
    let first = start().await.unwrap();
    let error = start().await.err().unwrap().to_string();
    assert!(error.contains("is the state of another process"), "{error}");
    first.stop(Duration::from_millis(200)).await;
    start()
        .await
        .unwrap()
        .stop(Duration::from_millis(200))
        .await;
}
