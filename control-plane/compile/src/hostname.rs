//! Sets of hostnames. An empty set stands for any host; `*.` in front for one or more labels.

/// The hosts of `route` that a listener serves, or nothing when there are none.
pub(crate) fn intersect(route: &[String], listener: &str) -> Option<Vec<String>> {
    if listener.is_empty() {
        return Some(route.to_vec());
    }
    if route.is_empty() {
        return Some(vec![listener.to_owned()]);
    }
    let mut common: Vec<String> = Vec::new();
    for hostname in route {
        let narrower = if covers(listener, hostname) {
            hostname
        } else if covers(hostname, listener) {
            listener
        } else {
            continue;
        };
        if !common.iter().any(|known| known == narrower) {
            common.push(narrower.to_owned());
        }
    }
    (!common.is_empty()).then_some(common)
}

/// Adds hosts to a set.
pub(crate) fn unite(set: &mut Vec<String>, more: Vec<String>) {
    if set.is_empty() || more.is_empty() {
        set.clear();
        return;
    }
    for hostname in more {
        if !set.contains(&hostname) {
            set.push(hostname);
        }
    }
}

/// Whether every host that `narrow` stands for is one of `wide`.
fn covers(wide: &str, narrow: &str) -> bool {
    if wide == narrow {
        return true;
    }
    let Some(suffix) = wide.strip_prefix('*') else {
        return false;
    };
    let narrow = narrow.strip_prefix('*').unwrap_or(narrow);
    narrow.len() > suffix.len() && narrow.ends_with(suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(route: &[&str], listener: &str, expected: Option<&[&str]>) {
        let route: Vec<String> = route.iter().map(|&host| host.to_owned()).collect();
        let expected = expected.map(|hosts| hosts.iter().map(|&host| host.to_owned()).collect());
        assert_eq!(
            intersect(&route, listener),
            expected,
            "{route:?} {listener}"
        );
    }

    #[test]
    fn the_narrower_name_is_served() {
        check(&[], "", Some(&[]));
        check(&[], "*.example.com", Some(&["*.example.com"]));
        check(&["a.example.com"], "", Some(&["a.example.com"]));
        check(
            &["a.example.com", "b.org"],
            "*.example.com",
            Some(&["a.example.com"]),
        );
        check(
            &["*.example.com"],
            "a.b.example.com",
            Some(&["a.b.example.com"]),
        );
        check(&["*.com"], "*.example.com", Some(&["*.example.com"]));
        check(
            &["*.example.com"],
            "*.example.com",
            Some(&["*.example.com"]),
        );
        check(&["example.com"], "*.example.com", None);
        check(&["badexample.com"], "*.example.com", None);
    }
}
