//! Sets of hostnames. An empty set stands for any host; `*.` in front for one or more labels.

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

#[cfg(test)]
mod tests {
    use novaedge_translate::intersect_hostnames;

    fn check(route: &[&str], listener: &str, expected: Option<&[&str]>) {
        let route: Vec<String> = route.iter().map(|&host| host.to_owned()).collect();
        let expected = expected.map(|hosts| hosts.iter().map(|&host| host.to_owned()).collect());
        assert_eq!(
            intersect_hostnames(Some(listener), &route),
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
