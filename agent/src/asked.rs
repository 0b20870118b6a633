//! What people ask of the agent through the control plane.

use std::sync::Arc;

use novaedge_proto::v1;
use novaedge_proxy::Taps;
use novaedge_subscribe::{Answers, Traced};

use crate::metrics::{Sources, render};

/// Where the answers come from.
#[derive(Debug)]
pub(crate) struct Asked {
    metrics: Arc<Sources>,
    taps: Taps,
}

impl Asked {
    pub(crate) fn new(metrics: &Arc<Sources>, taps: &Taps) -> Self {
        Self {
            metrics: Arc::clone(metrics),
            taps: taps.clone(),
        }
    }
}

impl Answers for Asked {
    fn metrics(&self) -> String {
        render(&self.metrics)
    }

    fn trace(&self, question: &v1::TraceQuestion) -> Result<Traced, String> {
        let tapped = self.taps.open(question);
        let tapped = tapped.map_err(|error| error.to_string())?;
        Ok(Box::pin(tapped))
    }
}
