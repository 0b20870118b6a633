//! Spans, for those exchanges that are recorded.

use std::sync::Arc;

use opentelemetry::trace::{Status, TraceContextExt as _};
use opentelemetry::{Context, Key, Value};
use tracing::{Dispatch, Level, Span, dispatcher};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::context::{Parent, traceparent};
use crate::export::Counters;

/// Of which target the spans are: the dispatcher of the traces takes no others.
pub(crate) const TARGET: &str = "novaedge_trace";

/// Makes spans. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Tracer {
    dispatch: Dispatch,
    sampling: Sampling,
    counters: Arc<Counters>,
}

/// What is recorded of that which has no parent: the parent decides otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// From 0 (nothing) to 1 (all).
    pub ratio: f64,
}

/// A span that is recorded until it is dropped.
#[derive(Debug)]
pub struct TraceSpan(Span);

/// The part of its owner in what a span is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It was asked.
    Server,
    /// It asks.
    Client,
    /// It does something of its own.
    Internal,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Internal => "internal",
        }
    }
}

impl Tracer {
    pub(crate) fn new(dispatch: Dispatch, sampling: Sampling, counters: Arc<Counters>) -> Self {
        Self {
            dispatch,
            sampling,
            counters,
        }
    }

    /// What became of the spans.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Whether to record what has this parent, or none; `random` decides then.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // a ratio needs no more digits
    pub fn samples(&self, parent: Option<&Parent>, random: u64) -> bool {
        match parent {
            Some(parent) => parent.is_sampled(),
            None => ((random >> 11) as f64 / (1_u64 << 53) as f64) < self.sampling.ratio,
        }
    }

    /// A span that begins here, as a part of somebody else's, which has come with this `tracestate`; or a trace of its own.
    #[must_use]
    pub fn begin(&self, name: &str, kind: Kind, parent: Option<(&Parent, &str)>) -> TraceSpan {
        let span = self.span(name, kind);
        if let Some((parent, state)) = parent {
            let context = Context::new().with_remote_span_context(parent.context(state));
            belong(&span, context);
        }
        TraceSpan(span)
    }

    /// A part of a span.
    #[must_use]
    pub fn child(&self, of: &TraceSpan, name: &str, kind: Kind) -> TraceSpan {
        let span = self.span(name, kind);
        // Not by `parent` of the macro: the registry would end the parent through the dispatcher of the process.
        belong(&span, of.0.context());
        TraceSpan(span)
    }

    fn span(&self, name: &str, kind: Kind) -> Span {
        let kind = kind.as_str();
        dispatcher::with_default(
            &self.dispatch,
            || tracing::span!(target: TARGET, parent: None, Level::INFO, "span", otel.name = name, otel.kind = kind),
        )
    }
}

fn belong(span: &Span, to: Context) {
    // It fails for a span that has begun already, which these have not.
    let _ = span.set_parent(to);
}

impl TraceSpan {
    /// Tells something of it.
    pub fn set(&self, key: impl Into<Key>, value: impl Into<Value>) {
        self.0.set_attribute(key, value);
    }

    /// It failed.
    pub fn fail(&self, what: &str) {
        self.0.set_status(Status::error(what.to_owned()));
    }

    /// `traceparent` for those that it asks.
    #[must_use]
    pub fn traceparent(&self) -> String {
        traceparent(self.0.context().span().span_context())
    }

    /// Its trace, in hexadecimal.
    #[must_use]
    pub fn trace_id(&self) -> String {
        let context = self.0.context();
        context.span().span_context().trace_id().to_string()
    }
}
