//! Metrics as agents tell them: the OpenMetrics text format, as far as agents use it.

use std::collections::BTreeMap;

/// The labels of a series.
pub type Labels = BTreeMap<String, String>;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// With its suffix, such as `_total` or `_bucket`.
    pub name: String,
    /// Empty for a series without labels.
    pub labels: Labels,
    /// The value.
    pub value: f64,
}

/// The samples of a text; lines that are none are left out.
pub fn samples(text: &str) -> impl Iterator<Item = Sample> {
    text.lines().filter_map(sample)
}

fn sample(line: &str) -> Option<Sample> {
    if line.starts_with('#') {
        return None;
    }
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Labels::new(), rest),
    };
    // A timestamp or an exemplar may follow.
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample {
        name: name.to_owned(),
        labels,
        value,
    })
}

/// Labels up to the closing brace, and what stands behind it.
fn labels(text: &str) -> Option<(Labels, &str)> {
    let (mut labels, mut rest) = (Labels::new(), text);
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((labels, behind));
        }
        let (name, behind) = rest.split_once("=\"")?;
        let (value, behind) = quoted(behind)?;
        labels.insert(name.to_owned(), value);
        rest = behind;
    }
}

/// A value up to its closing quote, and what stands behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_gives_its_samples() {
        let text = "# HELP a Help.\n# TYPE a counter\na_total 3\n\
                    b_bucket{le=\"0.5\",x=\"a\\\"b\\\\c\\nd, }\"} 7 # {t=\"1\"} 0.2\nbroken{\nbroken\n# EOF\n";
        let found: Vec<Sample> = samples(text).collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(("a_total", 3.0), (&*found[0].name, found[0].value));
        assert_eq!(("b_bucket", 7.0), (&*found[1].name, found[1].value));
        assert_eq!(found[1].labels["x"], "a\"b\\c\nd, }");
        assert_eq!(found[1].labels["le"], "0.5");
    }
}
