//! The text of metrics, as "OpenMetrics 1.0" has it.

use std::fmt::{Display, Write as _};

use crate::description::{Description, Kind};
use crate::durations::{Bounds, Sums};

/// Microseconds in a second.
const MICROS: f64 = 1_000_000.0;

/// Metrics as text.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// All samples of one metric. A metric without samples is not written.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    what: &'a Description,
    begun: bool,
    /// The labels of the sample under way, used again and again.
    labels: String,
}

impl Exposition {
    /// Begins a metric. Each may be begun once.
    pub fn family<'a>(&'a mut self, what: &'a Description) -> Family<'a> {
        Family {
            text: &mut self.text,
            what,
            begun: false,
            labels: String::new(),
        }
    }

    /// A metric without labels.
    pub fn single(&mut self, what: &Description, value: impl Display) {
        self.family(what).sample(&[], value);
    }

    /// The text of all.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.text.push_str("# EOF\n");
        self.text
    }
}

impl Family<'_> {
    /// One sample, with the values of the labels in the order of their names.
    pub fn sample(&mut self, values: &[&str], value: impl Display) {
        self.begin(values);
        let suffix = match self.what.kind {
            Kind::Counter => "_total",
            Kind::Gauge | Kind::Histogram => "",
        };
        self.write(suffix, "", value);
    }

    /// The samples of a histogram.
    pub fn durations<B: Bounds>(&mut self, values: &[&str], sums: &Sums<B>) {
        self.begin(values);
        let mut below = 0;
        let bounds = B::LE.into_iter().chain(["+Inf"]);
        for (bucket, bound) in sums.buckets.iter().zip(bounds) {
            below += bucket;
            self.write("_bucket", bound, below);
        }
        self.write("_sum", "", seconds(sums.sum));
        self.write("_count", "", below);
    }

    fn begin(&mut self, values: &[&str]) {
        if !self.begun {
            self.begun = true;
            let Description { name, kind, .. } = self.what;
            let help = self.what.help();
            // Writing to a String can't fail, here and below.
            let _ = writeln!(self.text, "# HELP {name} {help}");
            let _ = writeln!(self.text, "# TYPE {name} {}", kind.as_str());
            if let Some(unit) = self.what.unit() {
                let _ = writeln!(self.text, "# UNIT {name} {unit}");
            }
        }
        self.labels.clear();
        debug_assert_eq!(self.what.labels.len(), values.len(), "{}", self.what.name);
        for (name, value) in self.what.labels.iter().zip(values) {
            if !self.labels.is_empty() {
                self.labels.push(',');
            }
            self.labels.push_str(name);
            self.labels.push_str("=\"");
            escape(value, &mut self.labels);
            self.labels.push('"');
        }
    }

    /// `bound` is that of a bucket, if it is one.
    fn write(&mut self, suffix: &str, bound: &str, value: impl Display) {
        let text = &mut *self.text;
        text.push_str(self.what.name);
        text.push_str(suffix);
        if !(self.labels.is_empty() && bound.is_empty()) {
            text.push('{');
            text.push_str(&self.labels);
            if !bound.is_empty() {
                let comma = if self.labels.is_empty() { "" } else { "," };
                text.push_str(comma);
                text.push_str("le=\"");
                text.push_str(bound);
                text.push('"');
            }
            text.push('}');
        }
        let _ = writeln!(text, " {value}");
    }
}

/// Seconds of so many microseconds.
#[allow(clippy::cast_precision_loss)] // 2^53 microseconds are 285 years
#[must_use]
pub fn seconds(micros: u64) -> f64 {
    micros as f64 / MICROS
}

fn escape(value: &str, text: &mut String) {
    if !value.contains(['\\', '"', '\n']) {
        text.push_str(value);
        return;
    }
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::durations::{Durations, Http};

    static OPEN: Description = Description::gauge("open", &[], "Open now");
    static SENT: Description = Description::counter("sent_bytes", &["side"], "Bytes sent");
    static NONE: Description = Description::counter("none", &["side"], "Nothing");
    static TOOK: Description = Description::histogram("took_seconds", &["a", "b"], "How long");

    #[test]
    fn samples_have_the_form_that_prometheus_reads() {
        let mut all = Exposition::default();
        all.single(&OPEN, 3);
        let mut sent = all.family(&SENT);
        sent.sample(&["client"], 1);
        sent.sample(&["a\\b\"c\nd"], 2);
        let _ = all.family(&NONE);
        let durations = Durations::<Http>::default();
        durations.observe(Duration::from_millis(6));
        durations.observe(Duration::from_mins(1));
        all.family(&TOOK).durations(&["x", ""], &durations.sums());
        let text = all.finish();
        let expected = "# HELP open Open now\n# TYPE open gauge\nopen 3\n\
            # HELP sent_bytes Bytes sent\n# TYPE sent_bytes counter\n# UNIT sent_bytes bytes\n\
            sent_bytes_total{side=\"client\"} 1\n\
            sent_bytes_total{side=\"a\\\\b\\\"c\\nd\"} 2\n\
            # HELP took_seconds How long\n# TYPE took_seconds histogram\n\
            # UNIT took_seconds seconds\n\
            took_seconds_bucket{a=\"x\",b=\"\",le=\"0.005\"} 0\n\
            took_seconds_bucket{a=\"x\",b=\"\",le=\"0.01\"} 1\n";
        assert!(text.starts_with(expected), "{text}");
        let end = "took_seconds_bucket{a=\"x\",b=\"\",le=\"+Inf\"} 2\n\
            took_seconds_sum{a=\"x\",b=\"\"} 60.006\n\
            took_seconds_count{a=\"x\",b=\"\"} 2\n# EOF\n";
        assert!(text.ends_with(end), "{text}");
    }
}
