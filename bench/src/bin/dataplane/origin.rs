//! The origin: nginx on core 1, with a small and a large answer, over HTTP/1.1, HTTP/2 and TLS.

use std::{fs, path::Path, process::Command};

use anyhow::Context as _;
use novaedge_bench::process::Process;

use crate::{Ports, jobs::LARGE};

/// nginx answering 1 KiB, and [`LARGE`] bytes at `/large`.
pub fn start(folder: &Path, ports: &Ports) -> anyhow::Result<Process> {
    fs::write(folder.join("large"), vec![b'x'; LARGE as usize])?;
    let body = "x".repeat(1024);
    let config = format!(
        "daemon off; user root; worker_processes 1; error_log {0}/origin.err; pid {0}/origin.pid;\n\
         events {{ worker_connections 16384; }}\n\
         http {{ access_log off; keepalive_requests 100000000; sendfile on; tcp_nopush on; server \
         {{ listen {1} backlog=4096; listen {2} http2 backlog=4096; listen {3} ssl backlog=4096; \
         ssl_certificate {0}/tls.crt; ssl_certificate_key {0}/tls.key; root {0}; location = /large {{ }} location / {{ return 200 \
         \"{body}\"; }} }} }}\n",
        folder.display(),
        ports.origin,
        ports.origin_h2c,
        ports.origin_tls
    );
    let path = folder.join("origin.conf");
    fs::write(&path, config)?;
    let arguments = ["-c", path.to_str().context("a UTF-8 path")?];
    let log = folder.join("origin.log");
    let mut origin = Process::start("origin", "1", "nginx", &arguments, &log)?;
    origin.wait_for(ports.origin)?;
    Ok(origin)
}

/// Makes `tls.crt`, `tls.key` (P-256) and `tls.pem` with both.
pub fn certificate(folder: &Path) -> anyhow::Result<()> {
    let identity = rcgen::generate_simple_self_signed(vec!["*.example.com".to_owned()])?;
    let (certificate, key) = (identity.cert.pem(), identity.signing_key.serialize_pem());
    fs::write(folder.join("tls.pem"), format!("{certificate}{key}"))?;
    fs::write(folder.join("tls.crt"), certificate)?;
    fs::write(folder.join("tls.key"), key)?;
    Ok(())
}

/// Names the tools that are missing.
pub fn require(tools: &[&str]) -> anyhow::Result<()> {
    let is_missing = |tool: &&&str| {
        let found = Command::new("sh")
            .args(["-c", &format!("command -v {tool}")])
            .output();
        !found.is_ok_and(|output| output.status.success())
    };
    let missing: Vec<&str> = tools.iter().filter(is_missing).copied().collect();
    anyhow::ensure!(
        missing.is_empty(),
        "missing: {}; bench/peers.sh installs them on Debian",
        missing.join(", ")
    );
    Ok(())
}
