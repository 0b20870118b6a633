//! What a metric is.

/// A metric, before it has a value. `docs/metrics.md` is made of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Description {
    /// The name, of counters without the `_total` that the format adds.
    pub name: &'static str,
    /// What its numbers do.
    pub kind: Kind,
    /// Names of its labels, in the order of their values.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

/// What the numbers of a metric do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// They only grow.
    Counter,
    /// They go up and down.
    Gauge,
    /// They are durations, in buckets.
    Histogram,
}

impl Kind {
    /// The type as the format has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Description {
    /// A counter.
    #[must_use]
    pub const fn counter(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self {
            name,
            kind: Kind::Counter,
            labels,
            help,
        }
    }

    /// A gauge.
    #[must_use]
    pub const fn gauge(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self {
            name,
            kind: Kind::Gauge,
            labels,
            help,
        }
    }

    /// A histogram of durations in seconds.
    #[must_use]
    pub const fn histogram(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self {
            name,
            kind: Kind::Histogram,
            labels,
            help,
        }
    }

    /// The unit, as its name tells.
    #[must_use]
    pub fn unit(&self) -> Option<&'static str> {
        ["seconds", "bytes"].into_iter().find(|unit| {
            let rest = self.name.strip_suffix(unit);
            rest.is_some_and(|rest| rest.ends_with('_'))
        })
    }

    /// The name as queries have it.
    #[must_use]
    pub fn series(&self) -> String {
        match self.kind {
            Kind::Counter => format!("{}_total", self.name),
            Kind::Gauge | Kind::Histogram => self.name.to_owned(),
        }
    }

    /// What it tells, in the form of all.
    #[must_use]
    pub fn help(&self) -> &'static str {
        self.help.trim().trim_end_matches('.')
    }

    /// A row of the table of metrics, in Markdown.
    #[must_use]
    pub fn row(&self) -> String {
        let labels: Vec<String> = self
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        format!(
            "| `{}` | {} | {} | {} | {} |",
            self.series(),
            self.kind.as_str(),
            self.unit().unwrap_or_default(),
            labels.join(", "),
            self.help()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_everything() {
        let sent = Description::counter("novaedge_sent_bytes", &["side"], "Bytes sent");
        assert_eq!(
            sent.row(),
            "| `novaedge_sent_bytes_total` | counter | bytes | `side` | Bytes sent |"
        );
        let open = Description::gauge("novaedge_open", &[], "Open now");
        assert_eq!(open.row(), "| `novaedge_open` | gauge |  |  | Open now |");
    }
}
