//! Guesses what a misspelt word was meant to be.

/// The word that is closest to `wrong`, if any is close enough to be meant.
pub(super) fn similar<'a>(
    wrong: &str,
    words: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    let limit = (wrong.chars().count() / 3).clamp(1, 3);
    words
        .into_iter()
        .map(|word| (word.to_lowercase(), word))
        .map(|(lower, word)| (distance(&wrong, &lower), is_begun(&wrong, &lower), word))
        .filter(|(distance, begun, _)| *distance <= limit || *begun)
        .map(|(distance, _, word)| (distance, word))
        .min()
        .map(|(_, word)| word)
}

/// Whether one is the beginning of the other, as in singular and plural.
fn is_begun(left: &str, right: &str) -> bool {
    left.len().min(right.len()) >= 3 && (left.starts_with(right) || right.starts_with(left))
}

/// Edit distance with transpositions of neighbours (optimal string alignment).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    let mut previous = None;
    for (row, from) in left.chars().enumerate() {
        let mut current = vec![row + 1];
        for (column, to) in right.iter().enumerate() {
            let mut best = (last[column] + usize::from(from != *to))
                .min(last[column + 1] + 1)
                .min(current[column] + 1);
            let swapped = column > 0 && previous == Some(*to) && right[column - 1] == from;
            if swapped && let Some(distance) = before_last.get(column - 1) {
                best = best.min(distance + 1);
            }
            current.push(best);
        }
        before_last = std::mem::replace(&mut last, current);
        previous = Some(from);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{distance, similar};

    #[test]
    fn distances() {
        for (left, right, expect) in [
            ("", "", 0),
            ("abc", "", 3),
            ("abc", "abd", 1),
            ("abc", "acb", 1),
            ("hosts", "hostnames", 4),
        ] {
            assert_eq!(distance(left, right), expect, "{left} {right}");
            assert_eq!(distance(right, left), expect, "{right} {left}");
        }
    }

    #[test]
    fn only_close_words_are_meant() {
        let fields = ["hostnames", "parentRefs", "rules"];
        let check = |wrong: &str, expect: Option<&str>| assert_eq!(similar(wrong, fields), expect);
        check("hostname", Some("hostnames"));
        check("hostanmes", Some("hostnames"));
        check("parentrefs", Some("parentRefs"));
        check("rule", Some("rules"));
        check("parent", Some("parentRefs"));
        check("filters", None);
        check("x", None);
    }
}
