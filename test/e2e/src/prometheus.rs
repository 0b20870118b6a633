//! A real Prometheus that scrapes what a test serves.

use std::{
    fmt::Write as _,
    fs::{self, File},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use novaedge_ports::free_port;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    clients::{eventually, get},
    system::System,
};

/// A running Prometheus. It is killed when it is dropped.
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    _home: TempDir,
}

/// What one series of a query came to.
#[derive(Clone, Debug)]
pub struct Curve {
    /// The values of its labels.
    pub name: String,
    /// Moments, in seconds since 1970, and values.
    pub points: Vec<(f64, f64)>,
}

impl Curve {
    /// Its largest value.
    pub fn most(&self) -> f64 {
        let values = self.points.iter().map(|(_, value)| *value);
        values.fold(f64::NEG_INFINITY, f64::max)
    }

    fn new(result: &Value) -> Self {
        let labels = result["metric"].as_object();
        let labels = labels.into_iter().flatten();
        let labels =
            labels.filter(|(name, _)| !["__name__", "job", "instance"].contains(&name.as_str()));
        let labels: Vec<&str> = labels.filter_map(|(_, value)| value.as_str()).collect();
        let points = result["values"].as_array();
        let points = points.into_iter().flatten();
        let points = points.filter_map(|point| {
            let value: f64 = point[1].as_str()?.parse().ok()?;
            Some((point[0].as_f64()?, value)).filter(|(_, value)| value.is_finite())
        });
        Self {
            name: labels.join(" "),
            points: points.collect(),
        }
    }
}

impl Prometheus {
    /// Starts one that scrapes these jobs each second, with these rules.
    ///
    /// # Panics
    ///
    /// When the program is not there: it is in the Debian package `prometheus`, which `test/test-tools.sh` installs.
    pub async fn start(jobs: &[(&str, SocketAddr)], rules: &str) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| home.path().join(name);
        let mut config = String::from(
            "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n\
             rule_files: [rules.yaml]\nscrape_configs:\n",
        );
        for (job, target) in jobs {
            let line =
                format!("- {{job_name: {job}, static_configs: [{{targets: [\"{target}\"]}}]}}");
            writeln!(config, "{line}").expect("writing to a String never fails");
        }
        fs::write(path("prometheus.yaml"), config).expect("the folder is writable");
        fs::write(path("rules.yaml"), rules).expect("the folder is writable");
        let address = System::local(free_port());
        let log = File::create(path("log")).expect("a log file");
        let child = Command::new("prometheus")
            .arg(format!(
                "--config.file={}",
                path("prometheus.yaml").display()
            ))
            .arg(format!("--storage.tsdb.path={}", path("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("prometheus: {error}; ./test/test-tools.sh installs it")
            });
        let prometheus = Self {
            child,
            address,
            _home: home,
        };
        eventually("Prometheus", async || {
            std::net::TcpStream::connect(address).ok()?;
            let ready = get(address, "prometheus", "/-/ready").await;
            (ready.status == 200).then_some(())
        })
        .await;
        prometheus
    }

    /// The answer to a query now, or what is wrong with it.
    pub async fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let path = format!("/api/v1/query?query={}", percent_encoded(query));
        let answer = get(self.address, "prometheus", &path).await;
        let body: Value =
            serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
        match body["data"]["result"].as_array() {
            Some(result) if body["status"] == "success" => Ok(result.clone()),
            _ => Err(body["error"].as_str().unwrap_or("no answer").to_owned()),
        }
    }

    /// What a query came to between two moments, in seconds since 1970, each `step` seconds.
    pub async fn range(
        &self,
        query: &str,
        (from, to): (f64, f64),
        step: f64,
    ) -> Result<Vec<Curve>, String> {
        let query = percent_encoded(query);
        let path = format!("/api/v1/query_range?query={query}&start={from}&end={to}&step={step}");
        let answer = get(self.address, "prometheus", &path).await;
        let body: Value =
            serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
        let curves = body["data"]["result"].as_array();
        let curves = curves.ok_or_else(|| body["error"].to_string())?;
        Ok(curves.iter().map(Curve::new).collect())
    }

    /// The one number that a query comes to.
    pub async fn number(&self, query: &str) -> Option<f64> {
        let result = self.query(query).await.ok()?;
        result.first()?["value"][1].as_str()?.parse().ok()
    }

    /// The rules that it has read, by name.
    pub async fn rules(&self) -> Vec<String> {
        let answer = get(self.address, "prometheus", "/api/v1/rules").await;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let groups = body["data"]["groups"].as_array().cloned();
        let groups = groups.unwrap_or_default();
        let rules = groups.iter().filter_map(|group| group["rules"].as_array());
        let names = rules.flatten().filter_map(|rule| rule["name"].as_str());
        names.map(ToOwned::to_owned).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}
