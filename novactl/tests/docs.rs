//! What the pages say of links and command lines holds.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{CommandFactory as _, Parser as _};
use novactl::Arguments;
use novaedge_api::gateway::served_versions;
use novaedge_translate::config::SUPPORTED_FEATURES;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The pages in the repository's root and in `docs`, with their paths below the root.
fn pages() -> Vec<(PathBuf, String)> {
    let mut pages = Vec::new();
    for folder in ["", "docs"] {
        for entry in fs::read_dir(root().join(folder)).expect("the repository is readable") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|e| e == "md") {
                let text = fs::read_to_string(&path).expect("text");
                let name = path.file_name().expect("a file has a name");
                pages.push((Path::new(folder).join(name), text));
            }
        }
    }
    assert!(pages.len() > 5, "pages are found");
    pages
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for (page, text) in pages() {
        let folder = root().join(&page);
        let folder = folder.parent().expect("a page is in a folder");
        for rest in text.split("](").skip(1) {
            let link = rest.split(')').next().unwrap_or_default();
            let target = link.split('#').next().unwrap_or_default();
            if link.contains("://") || target.is_empty() {
                continue;
            }
            if !folder.join(target).exists() {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn every_page_is_in_the_index() {
    let index = fs::read_to_string(root().join("docs/README.md")).expect("the index");
    for (page, _) in pages() {
        let Ok(name) = page.strip_prefix("docs") else {
            continue;
        };
        let name = name.display().to_string();
        assert!(
            name == "README.md" || index.contains(&format!("]({name})")),
            "docs/README.md leaves out {name}"
        );
    }
}

#[test]
fn every_command_line_of_novactl_in_the_pages_is_one() {
    let mut count = 0;
    for (page, text) in pages() {
        for line in command_lines(&text) {
            let words = words(line);
            let parsed = Arguments::try_parse_from(&words);
            assert!(parsed.is_ok(), "{}: {line}: {parsed:?}", page.display());
            count += 1;
        }
    }
    assert!(count > 10, "command lines are found");
}

/// The words of a command line; what stands in quotes is one.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part);
        } else {
            words.extend(part.split_whitespace());
        }
    }
    words
}

/// Lines of code blocks that call novactl, without redirections, and calls within sentences.
fn command_lines(page: &str) -> Vec<&str> {
    let spans = page.split('`').skip(1).step_by(2);
    let mut found: Vec<&str> = spans.filter(|span| span.starts_with("novactl ")).collect();
    let mut fenced = false;
    for line in page.lines() {
        fenced ^= line.starts_with("```");
        let line = line.strip_prefix("$ ").unwrap_or(line);
        if fenced && line.starts_with("novactl ") {
            found.push(line.split(['>', '|', '#']).next().unwrap_or(line));
        }
    }
    found
}

#[test]
fn every_command_and_flag_of_novactl_is_documented() {
    let page = fs::read_to_string(root().join("docs/novactl.md")).expect("the page");
    let mut missing = Vec::new();
    let mut commands = vec![Arguments::command()];
    while let Some(command) = commands.pop() {
        for argument in command.get_arguments() {
            if let Some(long) = argument.get_long() {
                let short = argument.get_short();
                let known = page.contains(&format!("--{long}"))
                    || short.is_some_and(|short| page.contains(&format!("`-{short}")));
                if !known {
                    missing.push(format!("{} --{long}", command.get_name()));
                }
            }
        }
        for inner in command.get_subcommands() {
            let names = inner.get_visible_aliases().chain([inner.get_name()]);
            for name in names {
                if !page.contains(name) {
                    missing.push(name.to_owned());
                }
            }
            commands.push(inner.clone());
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

/// The rest of the page behind a heading, up to the next one of its level.
fn chapter<'a>(page: &'a str, heading: &str) -> &'a str {
    let start = page.split(&format!("\n## {heading}\n")).nth(1);
    let rest = start.unwrap_or_else(|| panic!("there is no chapter {heading}"));
    rest.split("\n## ").next().unwrap_or(rest)
}

fn gateway_api() -> String {
    fs::read_to_string(root().join("docs/gateway-api.md")).expect("the page")
}

#[test]
fn the_features_are_those_that_statuses_claim() {
    let page = gateway_api();
    let listed: Vec<&str> = chapter(&page, "Features")
        .lines()
        .filter_map(|line| line.strip_prefix("- `")?.strip_suffix('`'))
        .collect();
    assert_eq!(listed, SUPPORTED_FEATURES);
}

#[test]
fn the_versions_are_those_that_are_read() {
    let page = gateway_api();
    let mut kinds = 0;
    for row in chapter(&page, "Kinds").lines().filter(|l| l.contains('`')) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let [names, versions] = cells[..] else {
            panic!("{row}");
        };
        for name in names.split(',') {
            let kind = name.split_whitespace().next().expect("a kind");
            let expect = served_versions(kind);
            let expect: Vec<String> = expect.iter().map(|v| format!("`{v}`")).collect();
            let versions = versions.split(", read as").next().unwrap_or_default();
            assert_eq!(versions.trim(), expect.join(", "), "{kind}");
            kinds += 1;
        }
    }
    assert_eq!(kinds, 11);
}

#[test]
fn reasons_and_conditions_that_the_pages_name_are_in_the_code() {
    let mut code = String::new();
    let mut folders = vec![root().join("control-plane")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the repository is readable") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                code += &fs::read_to_string(path).expect("text");
            }
        }
    }
    let is_word = |span: &&str| {
        let span = span.split('=').next().unwrap_or(span);
        span.starts_with(|c: char| c.is_ascii_uppercase())
            && span.chars().any(|c| c.is_ascii_lowercase())
            && span.chars().all(|c| c.is_ascii_alphabetic())
    };
    for name in ["gateway-api.md", "troubleshooting.md"] {
        let page = fs::read_to_string(root().join("docs").join(name)).expect("the page");
        let spans: Vec<&str> = page.split('`').skip(1).step_by(2).filter(is_word).collect();
        assert!(spans.len() > 10, "{name}");
        for span in spans {
            let word = span.split('=').next().unwrap_or(span);
            assert!(
                code.contains(word),
                "{name} names {word}, which is nowhere in the code"
            );
        }
    }
}

#[test]
fn the_limits_are_the_defaults_of_the_data_path() {
    let http = novaedge_proxy::Config::default();
    let l4 = novaedge_l4::Limits::default();
    let (client, backend) = (&http.downstream, &http.upstream);
    assert_eq!(
        l4.idle_timeout, http.tunnel_idle,
        "they are told in one row"
    );
    let sessions = l4.udp_sessions;
    let rows = [
        format!(
            "request head | {} KiB, {} fields over HTTP/1.1",
            client.max_head_bytes / 1024,
            client.max_headers
        ),
        format!(
            "time for a request head | {} s",
            client.header_read_timeout.as_secs()
        ),
        format!(
            "time without a byte of a request body that is waited for, but for gRPC | {} s",
            client.body_read_timeout.as_secs()
        ),
        format!(
            "connection with requests under way, and no byte in either direction | {} h",
            client.stall_timeout.as_secs() / 3_600
        ),
        format!(
            "idle connection of a client | {} s",
            client.keep_alive_idle.as_secs()
        ),
        format!(
            "streams of an HTTP/2 connection of a client | {}",
            client.http2_streams
        ),
        format!(
            "idle connection to a backend | {} s",
            backend.idle_timeout.as_secs()
        ),
        format!(
            "idle WebSocket or TCP connection | {} h",
            l4.idle_timeout.as_secs() / 3_600
        ),
        format!("idle UDP session | {} s", l4.udp_idle_timeout.as_secs()),
        format!(
            "UDP sessions of a listening socket | {},{:03}",
            sessions / 1_000,
            sessions % 1_000
        ),
        format!(
            "mirrored requests in flight, for each worker | {}",
            http.mirror.concurrency
        ),
    ];
    let page = gateway_api();
    for row in rows {
        assert!(page.contains(&format!("| {row}")), "no row {row}");
    }
    let replay = format!(
        "not larger than {} KiB is retried",
        http.replay_buffer / 1024
    );
    assert!(page.contains(&replay), "{replay}");
}

#[test]
fn the_limits_for_reviewers_are_the_defaults_of_the_data_path() {
    let http = novaedge_proxy::Config::default();
    let l4 = novaedge_l4::Limits::default();
    let (client, backend, mirror) = (&http.downstream, &http.upstream, &http.mirror);
    assert_eq!(l4.handshake_timeout, client.handshake_timeout);
    assert_eq!(backend.max_idle, 1_024);
    assert_eq!(backend.max_waiting, 1_024);
    let rows = [
        format!("ClientHello | {} s", l4.client_hello_timeout.as_secs()),
        format!("TLS handshake | {} s;", client.handshake_timeout.as_secs()),
        format!(
            "flow-control window of a stream, of a connection (HTTP/2, HTTP/3) | {} KiB, {} MiB |",
            client.http2_stream_window >> 10,
            client.http2_connection_window >> 20
        ),
        format!(
            "head of a backend's answer | {} KiB, {} fields over HTTP/1.1 |",
            backend.max_head_bytes >> 10,
            backend.max_headers
        ),
        format!(
            "body that is kept for a retry | {} KiB |",
            http.replay_buffer >> 10
        ),
        "idle connections kept for an endpoint, requests that wait for one, for each worker | 1,024, 1,024 |".to_owned(),
        format!(
            "bytes that a mirror may be behind, time of a mirrored request | {} KiB, {} s |",
            mirror.lag >> 10,
            mirror.timeout.as_secs()
        ),
        format!(
            "time to connect at layer 4, over all endpoints | {} s |",
            l4.connect_deadline.as_secs()
        ),
    ];
    let page = fs::read_to_string(root().join("docs/security.md")).expect("the page");
    for row in rows {
        assert!(page.contains(&format!("| {row}")), "no row {row}");
    }
}

/// The repository's root is a package of its own, so programs of others are found by their package alone.
#[test]
fn programs_are_built_by_their_packages() {
    let mut count = 0;
    for (page, text) in pages() {
        for line in text.split(['`', '\n']) {
            if line.starts_with("cargo build ") {
                let words: Vec<&str> = line.split_whitespace().collect();
                let named = words.contains(&"-p") || words.contains(&"--workspace");
                assert!(named, "{}: {line}", page.display());
                count += 1;
            }
        }
    }
    assert!(count >= 3, "only {count} builds");
}
