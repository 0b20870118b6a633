//! Label selectors of the Kubernetes API.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// Whether a selector chooses an object with these labels. An empty selector chooses everything. A requirement with an
/// unknown operator chooses nothing, so that a mistake never opens a door.
pub fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let wanted = selector.match_labels.iter().flatten();
    let requirements = selector.match_expressions.iter().flatten();
    wanted
        .into_iter()
        .all(|(key, value)| labels.get(key) == Some(value))
        && requirements.into_iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            let listed = value.is_some_and(|value| {
                requirement
                    .values
                    .iter()
                    .flatten()
                    .any(|candidate| candidate == value)
            });
            match requirement.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

    use super::matches;

    fn selector(operator: &str, values: &[&str]) -> LabelSelector {
        LabelSelector {
            match_expressions: Some(vec![LabelSelectorRequirement {
                key: "team".to_owned(),
                operator: operator.to_owned(),
                values: Some(values.iter().map(|value| (*value).to_owned()).collect()),
            }]),
            match_labels: None,
        }
    }

    #[test]
    fn requirements_follow_kubernetes() {
        let red = BTreeMap::from([("team".to_owned(), "red".to_owned())]);
        let none = BTreeMap::new();
        let check = |selector: &LabelSelector, on_red: bool, on_none: bool| {
            assert_eq!(matches(selector, &red), on_red, "{selector:?}");
            assert_eq!(matches(selector, &none), on_none, "{selector:?}");
        };
        check(&LabelSelector::default(), true, true);
        check(&selector("In", &["red", "blue"]), true, false);
        check(&selector("In", &["blue"]), false, false);
        check(&selector("NotIn", &["red"]), false, true);
        check(&selector("Exists", &[]), true, false);
        check(&selector("DoesNotExist", &[]), false, true);
        check(&selector("Near", &["red"]), false, false);
        let labels = LabelSelector {
            match_labels: Some(red.clone()),
            match_expressions: None,
        };
        check(&labels, true, false);
    }
}
