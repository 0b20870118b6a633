//! The field `traceparent` (W3C Trace Context, section 3.2).

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// Bytes of the field in version 00.
const LENGTH: usize = 55;

/// Bytes of `tracestate` that are passed to a collector (section 3.3.1.5 asks for at least 512).
const STATE: usize = 4096;

/// The span of somebody else that a request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    trace: TraceId,
    span: SpanId,
    sampled: bool,
}

impl Parent {
    /// Reads the field; `None`: it is not valid, and counts as absent (section 4.3).
    #[must_use]
    pub fn parse(field: &[u8]) -> Option<Self> {
        // Later versions may have more behind another dash.
        let (known, rest) = field.split_at_checked(LENGTH)?;
        let [version, trace, span, flags] = parts(known)?;
        let version = hex::<2>(version)?;
        let is_valid = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.first().is_none_or(|byte| *byte == b'-'),
        };
        let trace = TraceId::from(hex::<32>(trace)?);
        let span = SpanId::from(u64::try_from(hex::<16>(span)?).ok()?);
        let flags = hex::<2>(flags)?;
        let is_valid = is_valid && trace != TraceId::INVALID && span != SpanId::INVALID;
        is_valid.then_some(Self {
            trace,
            span,
            sampled: flags & 1 == 1,
        })
    }

    /// Whether its owner records it.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// The trace, in hexadecimal.
    #[must_use]
    pub fn trace_id(&self) -> String {
        self.trace.to_string()
    }

    pub(crate) fn context(&self, state: &str) -> SpanContext {
        let state = Some(state).filter(|state| state.len() <= STATE);
        let state = state.and_then(|state| state.parse::<TraceState>().ok());
        SpanContext::new(
            self.trace,
            self.span,
            TraceFlags::SAMPLED,
            true,
            state.unwrap_or_default(),
        )
    }
}

/// The field for a span that is recorded.
pub(crate) fn traceparent(span: &SpanContext) -> String {
    format!("00-{}-{}-01", span.trace_id(), span.span_id())
}

fn parts(field: &[u8]) -> Option<[&[u8]; 4]> {
    let mut parts = field.split(|byte| *byte == b'-');
    let all = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(all)
}

/// Exactly so many digits, in lower case.
fn hex<const DIGITS: usize>(text: &[u8]) -> Option<u128> {
    let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != DIGITS || !text.iter().all(is_hex) {
        return None;
    }
    u128::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn valid_fields_are_read() {
        for (field, sampled) in [
            (format!("00-{TRACE}-00f067aa0ba902b7-01"), true),
            (format!("00-{TRACE}-00f067aa0ba902b7-00"), false),
            (format!("00-{TRACE}-00f067aa0ba902b7-03"), true),
            (format!("01-{TRACE}-00f067aa0ba902b7-01"), true),
            (format!("cc-{TRACE}-00f067aa0ba902b7-01-what-comes"), true),
        ] {
            let parent = Parent::parse(field.as_bytes()).expect(&field);
            assert_eq!(parent.trace_id(), TRACE);
            assert_eq!(parent.is_sampled(), sampled, "{field}");
            let passed = traceparent(&parent.context("a=1"));
            assert_eq!(passed, format!("00-{TRACE}-00f067aa0ba902b7-01"));
        }
    }

    #[test]
    fn fields_that_are_not_valid_are_none() {
        for field in [
            String::new(),
            format!("00-{TRACE}-00f067aa0ba902b7-01-"),
            format!("00-{TRACE}-00f067aa0ba902b7-01.what"),
            format!("01-{TRACE}-00f067aa0ba902b7-01.what"),
            format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            format!("0-{TRACE}-00f067aa0ba902b7-01"),
            format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{TRACE}-00f067aa0ba902b7-0"),
            format!("00-{TRACE}-00f067aa0ba902b7-0g"),
            format!("00_{TRACE}-00f067aa0ba902b7-01"),
            format!("00-{TRACE}x-0f067aa0ba902b7-01"),
            format!("+0-{TRACE}-00f067aa0ba902b7-01"),
        ] {
            assert_eq!(Parent::parse(field.as_bytes()), None, "{field}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_no_panic(field in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Parent::parse(&field);
        }

        #[test]
        fn what_is_written_is_read(trace in 1_u128.., span in 1_u64..) {
            let span = SpanContext::new(trace.into(), span.into(), TraceFlags::SAMPLED, false, TraceState::NONE);
            let parent = Parent::parse(traceparent(&span).as_bytes()).unwrap();
            prop_assert_eq!(parent.trace_id(), format!("{trace:032x}"));
        }
    }
}
