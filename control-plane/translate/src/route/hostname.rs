//! Hostnames of routes and listeners, and where they meet.

/// The hosts that a route serves on a listener, or `None` when it serves none there.
///
/// An empty list stands for every host, on both sides. A wildcard matches one or more labels and
/// never the bare domain. The result keeps the order of the route and names each host once.
pub fn intersect(listener: Option<&str>, route: &[String]) -> Option<Vec<String>> {
    let listener = listener
        .filter(|host| !host.is_empty())
        .map(str::to_ascii_lowercase);
    let Some(listener) = listener else {
        return Some(distinct(route.iter().map(|host| host.to_ascii_lowercase())));
    };
    if route.is_empty() {
        return Some(vec![listener]);
    }
    let met = route
        .iter()
        .filter_map(|host| meet(&listener, &host.to_ascii_lowercase()));
    let met = distinct(met);
    (!met.is_empty()).then_some(met)
}

/// What two hostnames, exact or wildcards, have in common: the more specific one, if any.
fn meet(a: &str, b: &str) -> Option<String> {
    if a == b {
        return Some(a.to_owned());
    }
    match (a.strip_prefix('*'), b.strip_prefix('*')) {
        (None, None) => None,
        (Some(suffix), None) => covers(suffix, b).then(|| b.to_owned()),
        (None, Some(suffix)) => covers(suffix, a).then(|| a.to_owned()),
        (Some(long), Some(short)) if long.len() > short.len() => {
            long.ends_with(short).then(|| a.to_owned())
        }
        (Some(short), Some(long)) => long.ends_with(short).then(|| b.to_owned()),
    }
}

/// Whether the suffix of a wildcard, dot included, ends a host with something in front of it.
fn covers(suffix: &str, host: &str) -> bool {
    host.len() > suffix.len() && host.ends_with(suffix)
}

fn distinct(hosts: impl Iterator<Item = String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for host in hosts {
        if !found.contains(&host) {
            found.push(host);
        }
    }
    found
}

/// What is wrong with a hostname of a route, if anything: RFC 1123 labels, optionally after `*.`,
/// and no address.
pub fn fault(host: &str) -> Option<&'static str> {
    let name = host.strip_prefix("*.").unwrap_or(host);
    if host.len() > 253 {
        return Some("it is longer than 253 characters");
    }
    if name.parse::<std::net::IpAddr>().is_ok() {
        return Some("it is an address, and only names can be matched");
    }
    if name.contains('*') {
        return Some("`*` may only stand as the whole first label");
    }
    let label = |label: &str| {
        let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = label.as_bytes();
        bytes.len() <= 63
            && edge(bytes.first())
            && edge(bytes.last())
            && bytes
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };
    if !name.split('.').all(label) {
        return Some("its labels must be letters, digits and inner dashes, separated by dots");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{fault, intersect};

    #[test]
    fn hosts_meet_as_the_specification_says() {
        let check = |listener: &str, route: &[&str], expect: Option<&[&str]>| {
            let listener = (!listener.is_empty()).then_some(listener);
            let route: Vec<String> = route.iter().map(|host| (*host).to_owned()).collect();
            let met = intersect(listener, &route);
            let expect = expect.map(|hosts| hosts.iter().map(|h| (*h).to_owned()).collect());
            assert_eq!(met, expect, "{listener:?} and {route:?}");
        };
        check("", &[], Some(&[]));
        check("", &["a.com", "*.b.com"], Some(&["a.com", "*.b.com"]));
        check("a.com", &[], Some(&["a.com"]));
        check("*.a.com", &[], Some(&["*.a.com"]));
        check(
            "very.specific.com",
            &["very.specific.com"],
            Some(&["very.specific.com"]),
        );
        check(
            "very.specific.com",
            &["*.specific.com"],
            Some(&["very.specific.com"]),
        );
        check(
            "very.specific.com",
            &["non.matching.com", "*.non.com"],
            None,
        );
        check(
            "*.wildcard.io",
            &["foo.wildcard.io"],
            Some(&["foo.wildcard.io"]),
        );
        check(
            "*.wildcard.io",
            &["foo.bar.wildcard.io"],
            Some(&["foo.bar.wildcard.io"]),
        );
        check("*.wildcard.io", &["wildcard.io"], None);
        check(
            "*.wildcard.io",
            &["*.foo.wildcard.io"],
            Some(&["*.foo.wildcard.io"]),
        );
        check(
            "*.foo.wildcard.io",
            &["*.wildcard.io"],
            Some(&["*.foo.wildcard.io"]),
        );
        check("*.anotherwildcard.io", &["*.wildcard.io"], None);
        check(
            "*.com",
            &["a.example.com", "b.example.net"],
            Some(&["a.example.com"]),
        );
        check(
            "A.Example.com",
            &["*.EXAMPLE.com", "a.example.com"],
            Some(&["a.example.com"]),
        );
    }

    #[test]
    fn bad_hostnames_are_told_from_good_ones() {
        for good in [
            "a",
            "a.com",
            "*.a.com",
            "1.a-b.com",
            "A.com",
            "xn--bcher-kva.example",
        ] {
            assert_eq!(fault(good), None, "{good}");
        }
        for bad in [
            "",
            "*",
            "a..b",
            "1.2.3.4",
            "*.1.2.3.4",
            "::1",
            "a.*.com",
            "-a.com",
            "a_b.com",
        ] {
            assert!(fault(bad).is_some(), "{bad}");
        }
    }
}
