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
