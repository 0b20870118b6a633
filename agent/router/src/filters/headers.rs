//! RequestHeaderModifier and ResponseHeaderModifier.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Changes to a header map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderOps {
    /// Replace all values of a header.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Add a line, behind those that there are.
    pub add: Vec<(HeaderName, HeaderValue)>,
    /// Remove all values of a header.
    pub remove: Vec<HeaderName>,
}

impl HeaderOps {
    /// Applies the changes. The API allows one action per name, so their order has no meaning.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    }

    #[test]
    fn set_replaces_all_lines_add_appends_one_and_remove_takes_all() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("a", "1"),
            ("a", "2"),
            ("b", "1"),
            ("c", "1"),
            ("c", "2"),
            ("d", "1"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let ops = HeaderOps {
            set: vec![pair("a", "new"), pair("e", "set")],
            add: vec![pair("b", "2,3"), pair("f", "added")],
            remove: vec![
                HeaderName::from_static("c"),
                HeaderName::from_static("absent"),
            ],
        };

        ops.apply(&mut headers);

        let mut lines: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            ["a: new", "b: 1", "b: 2,3", "d: 1", "e: set", "f: added"]
        );
    }
}
