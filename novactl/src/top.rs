//! Live rates per Gateway, route and backend: what agents counted between two looks.

mod exposition;

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Serialize;

pub use exposition::{Labels, Sample, samples};

use crate::table::{Cell, Paint, Table, Tone, painted};

const REQUESTS: &str = "http_server_request_duration_seconds";
const ERRORS: &str = "novaedge_http_request_errors_total";
const ACTIVE: &str = "http_server_active_requests";
const TRIES: &str = "http_client_request_duration_seconds";
const FAILURES: &str = "novaedge_http_upstream_errors_total";

/// Counts by name.
type ByName = BTreeMap<String, Counts>;

/// What an agent has counted until a moment, or since one; or several agents together.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    gateways: ByName,
    routes: ByName,
    backends: ByName,
}

#[derive(Clone, Debug, Default)]
struct Counts {
    requests: f64,
    client_errors: f64,
    server_errors: f64,
    /// Now, not since the start.
    active: f64,
    /// By upper bound, as it is written.
    buckets: BTreeMap<Bound, f64>,
}

/// The upper bound of a bucket, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bound(f64);

impl Eq for Bound {}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bound {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// What happened between two looks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Top {
    /// By Gateway, `namespace/name`.
    pub gateways: Vec<Row>,
    /// By route, `Kind namespace/name`; requests that no route took are under `<none>`.
    pub routes: Vec<Row>,
    /// By backend, `namespace/name:port` as the agents call it: tries, of which a request may take several.
    pub backends: Vec<Row>,
}

/// Rates of one of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// What it is of.
    pub name: String,
    /// Requests, or tries, each second.
    pub per_second: f64,
    /// Of these, answered with 4xx.
    pub client_errors_per_second: f64,
    /// Of these, answered with 5xx, or failed.
    pub server_errors_per_second: f64,
    /// Seconds within which half of them ended; none without any.
    pub p50_seconds: Option<f64>,
    /// The same for 99 of 100.
    pub p99_seconds: Option<f64>,
    /// Under way now.
    pub active: f64,
}

// === impl Counted ===

impl Counted {
    /// Adds what an agent tells, or a part of it.
    pub fn add(&mut self, text: &str) {
        for sample in samples(text) {
            let label = |name: &str| sample.labels.get(name).map_or("", String::as_str);
            let gateway = || object(label("gateway_namespace"), label("gateway"));
            let backend = || object(label("backend_namespace"), label("backend"));
            let route = || match label("route_kind") {
                "" => "<none>".to_owned(),
                kind => format!(
                    "{kind} {}",
                    object(label("route_namespace"), label("route"))
                ),
            };
            match sample.name.as_str() {
                name if name.starts_with(REQUESTS) => {
                    let suffix = &name[REQUESTS.len()..];
                    for (counts, name) in
                        [(&mut self.gateways, gateway()), (&mut self.routes, route())]
                    {
                        counts.entry(name).or_default().observe(suffix, &sample);
                    }
                }
                ERRORS => {
                    for (counts, name) in
                        [(&mut self.gateways, gateway()), (&mut self.routes, route())]
                    {
                        let counts = counts.entry(name).or_default();
                        counts.fail(label("class"), sample.value);
                    }
                }
                ACTIVE => self.gateways.entry(gateway()).or_default().active += sample.value,
                name if name.starts_with(TRIES) => {
                    let suffix = &name[TRIES.len()..];
                    self.backends
                        .entry(backend())
                        .or_default()
                        .observe(suffix, &sample);
                }
                FAILURES => self
                    .backends
                    .entry(backend())
                    .or_default()
                    .fail("5xx", sample.value),
                _ => {}
            }
        }
    }

    /// What one agent has counted since an earlier look at it.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let grown = |now: &ByName, before: &ByName| -> ByName {
            let none = Counts::default();
            let each = now.iter().map(|(name, counts)| {
                let before = before.get(name).unwrap_or(&none);
                (name.clone(), counts.since(before))
            });
            each.collect()
        };
        Self {
            gateways: grown(&self.gateways, &before.gateways),
            routes: grown(&self.routes, &before.routes),
            backends: grown(&self.backends, &before.backends),
        }
    }

    /// Adds what another agent has counted.
    pub fn merge(&mut self, other: &Self) {
        for (own, other) in [
            (&mut self.gateways, &other.gateways),
            (&mut self.routes, &other.routes),
            (&mut self.backends, &other.backends),
        ] {
            for (name, counts) in other {
                own.entry(name.clone()).or_default().merge(counts);
            }
        }
    }

    /// The rates, when all this was counted within so many seconds.
    pub fn rates(&self, seconds: f64) -> Top {
        let rows = |counted: &ByName| {
            let rows = counted
                .iter()
                .map(|(name, counts)| counts.row(name, seconds));
            let mut rows: Vec<Row> = rows.collect();
            rows.sort_by(|a, b| {
                let by_rate = b.per_second.total_cmp(&a.per_second);
                by_rate.then_with(|| a.name.cmp(&b.name))
            });
            rows
        };
        Top {
            gateways: rows(&self.gateways),
            routes: rows(&self.routes),
            backends: rows(&self.backends),
        }
    }
}

impl Counts {
    fn observe(&mut self, suffix: &str, sample: &Sample) {
        match suffix {
            "_count" => self.requests += sample.value,
            "_bucket" => {
                let bound = sample.labels.get("le").map(|text| text.parse());
                if let Some(Ok(bound)) = bound {
                    *self.buckets.entry(Bound(bound)).or_default() += sample.value;
                }
            }
            _ => {}
        }
    }

    fn fail(&mut self, class: &str, count: f64) {
        match class {
            "4xx" => self.client_errors += count,
            _ => self.server_errors += count,
        }
    }

    fn since(&self, before: &Self) -> Self {
        // A counter that has become less is one of an agent that began anew: what it counts since counts.
        let grown = |now: f64, before: f64| if now < before { now } else { now - before };
        let buckets = self.buckets.iter().map(|(bound, count)| {
            let before = before.buckets.get(bound).copied().unwrap_or_default();
            (*bound, grown(*count, before))
        });
        Self {
            requests: grown(self.requests, before.requests),
            client_errors: grown(self.client_errors, before.client_errors),
            server_errors: grown(self.server_errors, before.server_errors),
            active: self.active,
            buckets: buckets.collect(),
        }
    }

    fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.client_errors += other.client_errors;
        self.server_errors += other.server_errors;
        self.active += other.active;
        for (bound, count) in &other.buckets {
            *self.buckets.entry(*bound).or_default() += count;
        }
    }

    fn row(&self, name: &str, seconds: f64) -> Row {
        let buckets = self.buckets.iter().map(|(bound, count)| (bound.0, *count));
        let buckets: Vec<(f64, f64)> = buckets.collect();
        Row {
            name: name.to_owned(),
            per_second: self.requests / seconds,
            client_errors_per_second: self.client_errors / seconds,
            server_errors_per_second: self.server_errors / seconds,
            p50_seconds: quantile(&buckets, 0.5),
            p99_seconds: quantile(&buckets, 0.99),
            active: self.active,
        }
    }
}

/// Within how long this share ended, by buckets of upper bound and count of all up to it, as Prometheus' `histogram_quantile`
/// does it: evenly spread within a bucket, and at most the last bound that is finite.
fn quantile(buckets: &[(f64, f64)], share: f64) -> Option<f64> {
    let all = buckets
        .last()
        .map(|(_, count)| *count)
        .filter(|count| *count > 0.0)?;
    let wanted = all * share;
    let (mut lower, mut below) = (0.0, 0.0);
    for (bound, count) in buckets {
        if *count >= wanted {
            if bound.is_infinite() {
                return Some(lower);
            }
            let inside = (wanted - below) / (count - below);
            return Some(lower + (bound - lower) * inside);
        }
        (lower, below) = (*bound, *count);
    }
    None
}

fn object(namespace: &str, name: &str) -> String {
    match (namespace, name) {
        ("", "") => "<none>".to_owned(),
        ("", name) => name.to_owned(),
        (namespace, name) => format!("{namespace}/{name}"),
    }
}

// === impl Top ===

impl Top {
    /// Three tables of at most `limit` rows each, with what they leave out.
    pub fn text(&self, limit: usize, paint: Paint) -> String {
        let parts = [
            ("GATEWAY", &self.gateways),
            ("ROUTE", &self.routes),
            ("BACKEND", &self.backends),
        ];
        let tables = parts.map(|(heading, rows)| table(heading, rows, limit, paint));
        tables.join("\n")
    }
}

fn table(heading: &'static str, rows: &[Row], limit: usize, paint: Paint) -> String {
    let mut headings = vec![heading, "PER-SECOND", "4XX/S", "5XX/S", "P50", "P99"];
    let has_active = heading == "GATEWAY";
    if has_active {
        headings.push("ACTIVE");
    }
    if heading == "BACKEND" {
        // Only failures are told apart there.
        headings.remove(2);
    }
    let mut table = Table::new(headings);
    for row in rows.iter().take(limit) {
        let mut cells = vec![Cell::plain(&row.name), Cell::plain(number(row.per_second))];
        if heading != "BACKEND" {
            cells.push(errors(row.client_errors_per_second, Tone::Doubtful));
        }
        cells.push(errors(row.server_errors_per_second, Tone::Bad));
        cells.push(Cell::plain(time(row.p50_seconds)));
        cells.push(Cell::plain(time(row.p99_seconds)));
        if has_active {
            cells.push(Cell::plain(number(row.active)));
        }
        table.push(cells);
    }
    let mut text = table.render(0, paint);
    if rows.is_empty() {
        text = painted(
            &format!("{heading}: nothing has been counted yet\n"),
            Tone::Neutral,
            paint,
        );
    }
    if rows.len() > limit {
        let _ = writeln!(text, "and {} more", rows.len() - limit);
    }
    text
}

fn errors(rate: f64, tone: Tone) -> Cell {
    let tone = if rate > 0.0 { tone } else { Tone::Neutral };
    Cell::toned(number(rate), tone)
}

fn number(value: f64) -> String {
    if value == 0.0 || value >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

fn time(seconds: Option<f64>) -> String {
    match seconds {
        None => "–".to_owned(),
        Some(seconds) if seconds < 1.0 => format!("{:.1}ms", seconds * 1_000.0),
        Some(seconds) => format!("{seconds:.2}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(count: u32, errors: u32) -> String {
        let route = "gateway_namespace=\"a\",gateway=\"g\",listener=\"l\",route_kind=\"HTTPRoute\",\
                     route_namespace=\"b\",route=\"r\"";
        let half = count / 2;
        format!(
            "{REQUESTS}_bucket{{{route},le=\"0.1\"}} {half}\n{REQUESTS}_bucket{{{route},le=\"0.2\"}} {count}\n\
             {REQUESTS}_bucket{{{route},le=\"+Inf\"}} {count}\n{REQUESTS}_count{{{route}}} {count}\n\
             {REQUESTS}_sum{{{route}}} 1.5\n{ERRORS}{{{route},class=\"5xx\"}} {errors}\n\
             {ACTIVE}{{gateway_namespace=\"a\",gateway=\"g\",listener=\"l\"}} 3\n\
             {TRIES}_count{{backend_namespace=\"b\",backend=\"s\"}} {count}\n"
        )
    }

    fn counted(text: &str) -> Counted {
        let mut counted = Counted::default();
        counted.add(text);
        counted
    }

    #[test]
    fn rates_are_of_all_agents_between_two_looks() {
        let mut all = Counted::default();
        for (before, after) in [
            ((100, 0), (200, 4)),
            ((100, 0), (120, 0)),
            // This one began anew.
            ((900, 2), (20, 0)),
        ] {
            let before = counted(&text(before.0, before.1));
            all.merge(&counted(&text(after.0, after.1)).since(&before));
        }
        let top = all.rates(2.0);
        let row = &top.routes[0];
        let rates = (row.per_second, row.server_errors_per_second);
        assert_eq!((row.name.as_str(), rates), ("HTTPRoute b/r", (70.0, 2.0)));
        assert_eq!(row.p50_seconds, Some(0.1));
        assert!((row.p99_seconds.expect("some") - 0.198).abs() < 1e-9);
        assert_eq!(
            (top.gateways[0].active, &*top.gateways[0].name),
            (9.0, "a/g")
        );
        assert_eq!(
            (top.backends[0].per_second, &*top.backends[0].name),
            (70.0, "b/s")
        );
    }

    #[test]
    fn tables_name_what_they_leave_out() {
        let top = counted(&text(10, 1)).rates(1.0);
        let told = top.text(10, Paint::Plain);
        assert!(
            told.contains("HTTPRoute b/r   10.0         0       1.0     100.0ms"),
            "{told}"
        );
        assert!(top.text(0, Paint::Plain).contains("and 1 more"));
        let none = Counted::default().rates(1.0);
        assert!(
            none.text(10, Paint::Plain)
                .contains("nothing has been counted")
        );
    }
}
