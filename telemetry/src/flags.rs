//! Flags that the programs share.

use clap::Args;

use crate::export::{Export, TraceConfig, TraceError, start};
use crate::tracer::{Sampling, Tracer};

/// Where traces go.
#[derive(Clone, Debug, Args)]
pub struct TraceFlags {
    /// Collector of traces, over OTLP and gRPC, such as `http://otel-collector:4317`
    #[arg(long, env = "NOVAEDGE_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: Option<String>,
    /// Share of the requests that are traced, from 0 to 1, where `traceparent` does not decide
    #[arg(
        long,
        env = "NOVAEDGE_TRACE_SAMPLE_RATIO",
        value_name = "RATIO",
        default_value = "0.01",
        value_parser = ratio
    )]
    trace_sample_ratio: f64,
}

/// Who traces.
#[derive(Clone, Debug)]
pub struct Service {
    /// The program.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Which of them it is.
    pub instance: String,
}

impl TraceFlags {
    /// Begins to trace, if there is a collector.
    pub fn start(self, service: Service) -> Result<Option<(Tracer, Export)>, TraceError> {
        let config = self.otlp_endpoint.map(|endpoint| TraceConfig {
            endpoint,
            sampling: Sampling {
                ratio: self.trace_sample_ratio,
            },
            service: service.name,
            version: service.version,
            instance: service.instance,
        });
        config.map(start).transpose()
    }
}

/// A number from 0 to 1.
pub fn ratio(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    let number = number.filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "it must be a number from 0 to 1".into())
}
