//! On which listeners rules are served, and which send requests to HTTPS.

use novaedge_api::native::{
    ProxyFilter, ProxyMatch, ProxyMatchType, ProxyPathMatch, ProxyRedirect, ProxyRouteRule,
    ProxyRuleListeners, ProxyValueMatch,
};

use super::Rules;
use crate::ingress::canary::Share;
use crate::ingress::entry::Entry;
use crate::ingress::path::Rewrite;
use crate::ingress::settings::Redirect;
use crate::route::fault::Fault;

/// Paths below are asked for by certificate authorities over HTTP (RFC 8555 section 8.3), so they are never redirected.
const CHALLENGES: &str = "/.well-known/acme-challenge";

impl Rules<'_, '_> {
    /// Adds the rules for an entry, on the listeners that serve it.
    pub(super) fn serve(
        &mut self,
        entry: &Entry<'_>,
        rewrite: Option<&Rewrite>,
        shares: Vec<Share>,
    ) {
        let rules = shares.into_iter().map(|share| {
            let rule = ProxyRouteRule {
                hostnames: hostnames(entry),
                backend_refs: share.backends,
                ..ProxyRouteRule::default()
            };
            let rule = self.with_settings(rule, entry, rewrite);
            (rule, share.headers)
        });
        let rules = rules.collect();
        self.on_listeners(entry, &entry.place.path.native(rewrite), rules);
    }

    /// Adds the rules for an entry that cannot be served as written: its requests are answered with 500, and never reach
    /// a broader rule instead.
    pub(super) fn refuse(&mut self, entry: &Entry<'_>, rewrite: Option<&Rewrite>, fault: &Fault) {
        let rule = ProxyRouteRule {
            hostnames: hostnames(entry),
            invalid: Some(fault.invalid()),
            ..ProxyRouteRule::default()
        };
        let path = entry.place.path.native(rewrite);
        self.on_listeners(entry, &path, vec![(rule, Vec::new())]);
    }

    /// Adds rules with the headers that they match, over HTTPS and HTTP as far as the latter is not sent to the former.
    fn on_listeners(
        &mut self,
        entry: &Entry<'_>,
        path: &ProxyPathMatch,
        rules: Vec<(ProxyRouteRule, Vec<ProxyValueMatch>)>,
    ) {
        use ProxyRuleListeners::{HTTP, HTTPS};
        let redirect = self.redirect(entry);
        for (rule, headers) in rules {
            let listeners = (redirect != Redirect::Never).then_some(HTTPS);
            let direct = matching(rule.clone(), listeners, path, headers.clone());
            self.push(direct, &entry.field);
            if redirect == Redirect::Always {
                let headers = headers.into_iter().chain([came_over_https()]);
                let behind_proxy = matching(rule, Some(HTTP), path, headers.collect());
                self.push(behind_proxy, &entry.field);
            }
        }
        if redirect == Redirect::Never {
            return;
        }
        let port = self.entrance.https_port;
        let to = ProxyRedirect {
            scheme: Some("https".to_owned()),
            port: (port != 443).then_some(port),
            status_code: 308,
            ..ProxyRedirect::default()
        };
        let rule = ProxyRouteRule {
            hostnames: hostnames(entry),
            filters: vec![ProxyFilter::RequestRedirect(to)],
            ..ProxyRouteRule::default()
        };
        let rule = matching(rule, Some(HTTP), path, Vec::new());
        self.push(rule, &entry.field);
    }

    /// Whether requests over HTTP are sent to HTTPS: never, always, or because the host has TLS.
    fn redirect(&self, entry: &Entry<'_>) -> Redirect {
        let place = &entry.place;
        if place.path.value.starts_with(CHALLENGES) {
            return Redirect::Never;
        }
        if self.settings.redirect != Redirect::WithTls {
            return self.settings.redirect;
        }
        let wider = place
            .host
            .split_once('.')
            .map(|(_, rest)| format!("*.{rest}"));
        let hosts = [Some(place.host.clone()), wider, Some(String::new())];
        let mut hosts = hosts.into_iter().flatten();
        let class = &self.claims.class;
        if hosts.any(|host| !self.view.tls_claims(class, &host).is_empty()) {
            Redirect::WithTls
        } else {
            Redirect::Never
        }
    }
}

fn hostnames(entry: &Entry<'_>) -> Vec<String> {
    let host = Some(entry.place.host.clone());
    host.filter(|host| !host.is_empty()).into_iter().collect()
}

/// A rule for a path and headers.
fn matching(
    rule: ProxyRouteRule,
    listeners: Option<ProxyRuleListeners>,
    path: &ProxyPathMatch,
    headers: Vec<ProxyValueMatch>,
) -> ProxyRouteRule {
    let matched = ProxyMatch {
        path: Some(path.clone()),
        headers,
        ..ProxyMatch::default()
    };
    ProxyRouteRule {
        listeners,
        matches: vec![matched],
        ..rule
    }
}

/// That a proxy before us took a request over HTTPS.
fn came_over_https() -> ProxyValueMatch {
    ProxyValueMatch {
        type_: ProxyMatchType::Exact,
        name: "X-Forwarded-Proto".to_owned(),
        value: "https".to_owned(),
    }
}
