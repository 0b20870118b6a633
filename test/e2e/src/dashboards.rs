//! Dashboards, alerts and runbooks as they are in the repository.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// A dashboard of Grafana.
pub struct Dashboard {
    /// Name of its file.
    pub name: String,
    /// The whole file.
    pub json: Value,
    /// Its panels.
    pub panels: Vec<Value>,
}

/// An alert of Prometheus.
pub struct Alert {
    /// Its name.
    pub name: String,
    /// When it fires.
    pub expression: String,
    /// For people.
    pub summary: String,
    /// Path of its runbook in the repository.
    pub runbook: String,
}

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All dashboards.
pub fn dashboards() -> Vec<Dashboard> {
    let folder = root().join("deploy/grafana");
    let mut dashboards = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("text");
        let place = path.display();
        let json: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{place}: {error}"));
        let panels = json["panels"].as_array().cloned().unwrap_or_default();
        assert!(!panels.is_empty(), "{place}: panels");
        let name = path.file_name().expect("a file has a name");
        dashboards.push(Dashboard {
            name: name.to_string_lossy().into_owned(),
            json,
            panels,
        });
    }
    dashboards.sort_by(|a, b| a.name.cmp(&b.name));
    dashboards
}

impl Dashboard {
    /// Each query, with the place where it stands. Variables stand for everything.
    pub fn queries(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for (panel, queries) in self.queries_by_panel() {
            let title = panel["title"].as_str().unwrap_or_default();
            let place = format!("{}: {title}", self.name);
            all.extend(queries.into_iter().map(|query| (place.clone(), query)));
        }
        all
    }

    /// The same by panel.
    pub fn queries_by_panel(&self) -> Vec<(&Value, Vec<String>)> {
        let variables = self.json["templating"]["list"].as_array();
        let variables = variables.into_iter().flatten();
        let variables: Vec<&str> = variables.filter_map(|v| v["name"].as_str()).collect();
        let query = |target: &Value| {
            let query = target["expr"].as_str().expect("a target has a query");
            let mut query = query.to_owned();
            for variable in &variables {
                query = query.replace(&format!("${variable}"), ".*");
            }
            let rest = query.replace("$__rate_interval", "");
            assert!(!rest.contains('$'), "{}: {query}", self.name);
            query
        };
        let panels = self.panels.iter();
        panels
            .map(|panel| {
                let targets = panel["targets"].as_array().into_iter().flatten();
                (panel, targets.map(query).collect())
            })
            .collect()
    }
}

/// All alerts.
pub fn alerts() -> Vec<Alert> {
    let file: Value = serde_saphyr::from_str(&rules()).expect("YAML");
    let groups = file["groups"].as_array().expect("groups");
    let rules = groups.iter().filter_map(|group| group["rules"].as_array());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let alerts: Vec<Alert> = rules
        .flatten()
        .map(|rule| Alert {
            name: text(&rule["alert"]),
            expression: text(&rule["expr"]),
            summary: text(&rule["annotations"]["summary"]),
            runbook: text(&rule["annotations"]["runbook_url"]),
        })
        .collect();
    assert!(alerts.len() > 10, "alerts are found");
    alerts
}

impl Alert {
    /// The expression without its threshold.
    pub fn left_side(&self) -> &str {
        let sides = [" > ", " < "].map(|compares| self.expression.rsplit_once(compares));
        let mut sides = sides.into_iter().flatten();
        let (left, threshold) = sides
            .next()
            .unwrap_or_else(|| panic!("{}: a threshold at the end", self.name));
        assert!(
            threshold.parse::<f64>().is_ok(),
            "{}: {threshold}",
            self.name
        );
        left
    }
}

/// The file of alerts.
pub fn rules() -> String {
    fs::read_to_string(root().join("deploy/prometheus/alerts.yaml")).expect("text")
}

/// A page of the runbooks.
pub fn runbook(page: &str) -> String {
    let path = root().join("docs/runbooks").join(page);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// The metrics that a query names. Those of others are not looked at, such as Prometheus' own.
pub fn metric_names(query: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    // What stands between quotes is the value of a label.
    let outside = query.split('"').step_by(2);
    let words = outside.flat_map(|part| part.split(|c| !is_word(c)));
    let ours = |word: &&str| {
        let begins = ["novaedge_", "http_server_", "http_client_"];
        begins.iter().any(|begin| word.starts_with(begin))
    };
    words.filter(ours).map(ToOwned::to_owned).collect()
}
