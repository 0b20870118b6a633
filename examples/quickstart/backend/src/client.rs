//! A gRPC call for people without grpcurl.

use std::io::Write as _;

use anyhow::Context as _;
use tonic::transport::{Endpoint, Uri};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

/// Calls `grpc.health.v1.Health/Check` at `url`, asking for `authority`, and prints the answer.
pub async fn check(url: &str, authority: &str) -> anyhow::Result<()> {
    let origin: Uri = format!("http://{authority}")
        .parse()
        .context("the authority")?;
    let channel = Endpoint::from_shared(url.to_owned())
        .context("the URL")?
        .origin(origin)
        .connect()
        .await
        .with_context(|| format!("connecting to {url}"))?;
    let request = HealthCheckRequest {
        service: String::new(),
    };
    let answer = HealthClient::new(channel)
        .check(request)
        .await
        .context("calling Check")?;
    let status = answer.into_inner().status();
    writeln!(
        std::io::stdout(),
        "grpc.health.v1.Health/Check: {}",
        status.as_str_name()
    )?;
    Ok(())
}
