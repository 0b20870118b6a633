//! The level of the log, by the admin endpoint.

use std::time::Duration;

use novaedge_agent::Telemetry;
use novaedge_telemetry::LogLevel;

use crate::support::{agent_with, ask};

#[tokio::test]
async fn the_admin_endpoint_tells_and_changes_the_level_of_the_log() {
    let (_layer, level) = LogLevel::new("info").unwrap();
    let agent = agent_with(Telemetry {
        log_level: Some(level.clone()),
        ..Telemetry::default()
    });
    let port = agent.admin_address().unwrap().port();
    let asked = |method: &str, fields: &str, body: &str| {
        let length = body.len();
        let request = format!(
            "{method} /loglevel HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n{fields}\r\n{body}"
        );
        let answer = ask(port, request.as_bytes());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().to_owned();
        (status, body.trim_end().to_owned())
    };
    let is = |status: &str, text: &str| (status.to_owned(), text.to_owned());
    assert_eq!(asked("GET", "", ""), is("200", "info"));
    let filter = "info,novaedge_proxy=debug";
    assert_eq!(asked("PUT", "", filter), is("200", filter));
    assert_eq!(level.get(), filter);
    let (status, why) = asked("PUT", "", "info,novaedge_proxy=loud");
    assert_eq!(status, "400");
    assert!(why.contains("\"novaedge_proxy=loud\""), "{why}");
    let (status, _) = asked("PUT", "origin: http://evil.example\r\n", "off");
    assert_eq!(status, "403");
    let (status, _) = asked("PUT", "", &"a=info,".repeat(1_000));
    assert_eq!(status, "400");
    assert_eq!(asked("GET", "", ""), is("200", filter));
    agent.drain(Duration::from_secs(1)).await;
}
