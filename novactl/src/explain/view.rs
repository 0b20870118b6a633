//! What becomes of a request, as text.

use std::{fmt::Write as _, net::IpAddr};

use super::{Answer, Candidates, Own, Rule, Share, Told};
use crate::table::{Cell, Paint, Table, Tone};

/// Columns before what is told.
const LABEL: usize = 10;

impl Told {
    /// A line or more for each step on the request's way.
    pub fn text(&self, paint: Paint) -> String {
        let mut text = format!("{} {}\n", self.request.method, self.request.url);
        let mut line = |label: &str, told: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{label:LABEL$}{told}");
        };
        if let Some(host) = &self.request.host {
            line("Host", host);
        }
        if let Some(sni) = &self.request.sni {
            line("SNI", sni);
        }
        if let Some(client) = &self.request.client {
            line("Client", &client.to_string());
        }
        if let Some(listener) = &self.listener {
            let hostname = listener.hostname.as_ref();
            let hostname = hostname.map_or_else(String::new, |name| format!(", hostname {name}"));
            let (name, gateway, port) = (&listener.name, &listener.gateway, listener.port);
            line(
                "Listener",
                &format!("{name} of Gateway {gateway}, port {port}{hostname}"),
            );
        }
        if let Some(rule) = &self.rule {
            line("Rule", &rule.line());
            for filter in &rule.filters {
                line("Filter", filter);
            }
        }
        match &self.answer {
            Answer::Nobody { why } => line("Answer", &format!("none: {why}")),
            Answer::Gateway(own) => line("Answer", &own.line()),
            Answer::Backends { shares } => {
                line("Answer", "from a backend");
                let client = self.request.client;
                text.push_str(&table(shares, client).render(LABEL, paint));
            }
        }
        if let Some(candidates) = &self.candidates {
            text.push_str(&candidates.text(paint));
        }
        text
    }
}

impl Candidates {
    fn text(&self, paint: Paint) -> String {
        if self.rules.is_empty() {
            return format!("{:LABEL$}no route is attached to the listener\n", "");
        }
        let mut table = Table::new(vec!["RULE", "DIFFERS BY", "HOSTNAMES", "TAKES"]);
        for candidate in &self.rules {
            let hostnames = match candidate.hostnames.as_slice() {
                [] => "*".to_owned(),
                hostnames => hostnames.join(", "),
            };
            table.push(vec![
                Cell::plain(&candidate.rule),
                Cell::toned(candidate.misses.join(", "), Tone::Bad),
                Cell::plain(hostnames),
                Cell::plain(candidate.matches.join("; or ")),
            ]);
        }
        let more = match self.more {
            0 => String::new(),
            more => format!("{:LABEL$}and {more} more\n", ""),
        };
        table.render(LABEL, paint) + &more
    }
}

impl Rule {
    fn line(&self) -> String {
        let name = self.rule_name.as_ref();
        let name = name.map_or_else(String::new, |name| format!(" ({name})"));
        let path = self.path.as_ref();
        let path = path.map_or_else(String::new, |path| format!(", by {path}"));
        format!(
            "{} of {} {}/{}{name}{path}",
            self.index, self.kind, self.namespace, self.name
        )
    }
}

impl Own {
    fn line(&self) -> String {
        let reason = self
            .reason
            .map_or_else(String::new, |reason| format!(" {reason}"));
        let location = self.location.as_ref();
        let location = location.map_or_else(String::new, |to| format!(" to {to}"));
        format!("{}{reason}: {}{location}", self.status, self.why)
    }
}

fn table(shares: &[Share], client: Option<IpAddr>) -> Table {
    let total: u64 = shares.iter().map(|share| u64::from(share.weight)).sum();
    let mut headings = vec!["SHARE", "BACKEND", "ENDPOINTS", "FILTERS"];
    if client.is_some() {
        headings.insert(3, "FOR CLIENT");
    }
    let mut table = Table::new(headings);
    for share in shares {
        let percent = u64::from(share.weight) * 100 / total.max(1);
        let (endpoints, tone) = match (&share.instead, &share.closed) {
            (Some(own), _) if own.status >= 400 => (own.line(), Tone::Bad),
            (Some(own), _) => (own.line(), Tone::Good),
            (None, Some(why)) => (format!("the connection is closed: {why}"), Tone::Bad),
            (None, None) => (share.endpoints.join(", "), Tone::Good),
        };
        let mut row = vec![
            Cell::plain(format!("{percent} %")),
            Cell::plain(share.backend.as_deref().unwrap_or("<none>")),
            Cell::toned(endpoints, tone),
            Cell::plain(share.filters.join("; ")),
        ];
        if client.is_some() {
            let known = share.for_client.as_deref();
            let any = if share.endpoints.is_empty() {
                ""
            } else {
                "any of them"
            };
            row.insert(3, Cell::plain(known.unwrap_or(any)));
        }
        table.push(row);
    }
    table
}
