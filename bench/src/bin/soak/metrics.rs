//! What the agent counts itself.

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::net::TcpStream;

use crate::wire::Wire;

/// Counters and gauges as they are at a moment.
#[derive(Clone, Debug)]
pub struct Metrics(String);

impl Metrics {
    /// Asks an admin endpoint.
    pub async fn read(admin: SocketAddr) -> anyhow::Result<Self> {
        let mut wire = Wire::new(TcpStream::connect(admin).await?);
        let request = format!("GET /metrics HTTP/1.1\r\nhost: {admin}\r\n\r\n");
        wire.send(request.as_bytes()).await?;
        let head = wire.head().await?.context("no metrics")?;
        let body = wire.body(&head).await?;
        Ok(Self(String::from_utf8(body)?))
    }

    /// The sum of all series of this name whose labels contain `label`.
    pub fn sum(&self, name: &str, label: &str) -> f64 {
        let lines = self.0.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (held, labels) = series.split_once('{').unwrap_or((series, ""));
            (held == name && labels.contains(label)).then_some(value)
        });
        lines.filter_map(|value| value.parse::<f64>().ok()).sum()
    }

    /// The same for what counts.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn count(&self, name: &str, label: &str) -> u64 {
        self.sum(name, label) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_name_and_label() {
        let text = "# TYPE a counter\na_total{kind=\"x\"} 2\na_total{kind=\"y\"} 3\nab_total 9\n";
        let metrics = Metrics(text.to_owned());
        assert_eq!(metrics.count("a_total", ""), 5);
        assert_eq!(metrics.count("a_total", "\"y\""), 3);
        assert_eq!(metrics.count("ab_total", ""), 9);
    }
}
