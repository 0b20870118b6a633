//! The command lines in `docs/novactl.md` give the answers that stand below them.

use std::{collections::BTreeSet, fs, net::IpAddr, net::SocketAddr, process::Command};

use super::{
    system::{QUICKSTART_PORTS, System, novaedge, root},
    traced::beside_traffic,
};

#[test]
fn documented_commands_answer_as_documented() {
    let system = System::quickstart();
    let page = fs::read_to_string(root().join("docs/novactl.md")).expect("the page");
    let mut count = 0;
    for block in page.split("```console\n").skip(1) {
        let block = block.split("```").next().expect("a block ends");
        let (line, expect) = block.split_once('\n').unwrap_or((block, ""));
        let line = line
            .strip_prefix("$ novactl ")
            .expect("a command of novactl");
        let mut asked = line.to_owned();
        for (old, new) in QUICKSTART_PORTS.iter().zip(system.ports) {
            asked = asked.replace(&format!(":{old}/"), &format!(":{new}/"));
        }
        let words: Vec<&str> = asked.split_whitespace().collect();
        let found = beside_traffic(system.ports[0], || system.ok(&words));
        if !expect.is_empty() {
            let mut found = found;
            for (old, new) in QUICKSTART_PORTS.iter().zip(system.ports) {
                found = found.replace(&new.to_string(), &old.to_string());
            }
            assert_eq!(normal(&found), normal(expect), "{line}:\n{found}");
        }
        count += 1;
    }
    assert!(count >= 5, "only {count} documented commands");
}

/// Text without what differs from run to run: times, digests, addresses, widths of columns.
fn normal(text: &str) -> Vec<Vec<String>> {
    text.lines()
        .map(|line| {
            let mut words: Vec<String> = line.split_whitespace().map(word).collect();
            for index in 1..words.len() {
                if words[index] == "(DIGEST)" {
                    "SEQUENCE".clone_into(&mut words[index - 1]);
                }
            }
            words
        })
        .collect()
}

fn word(word: &str) -> String {
    let hex = |text: &str| text.len() == 12 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let inner = word
        .strip_prefix('(')
        .and_then(|word| word.strip_suffix(')'));
    if inner.is_some_and(hex) {
        return "(DIGEST)".to_owned();
    }
    let time = word.trim_end_matches(['s', 'm', 'h', 'd']);
    if hex(word) {
        "VERSION".to_owned()
    } else if time.len() < word.len() && time.bytes().all(|b| b.is_ascii_digit() || b == b'm') {
        "TIME".to_owned()
    } else if word.parse::<SocketAddr>().is_ok() {
        "SOCKET".to_owned()
    } else if word.split(',').all(|part| part.parse::<IpAddr>().is_ok()) {
        "ADDRESS".to_owned()
    } else {
        word.to_owned()
    }
}

#[test]
fn the_flags_of_novaedge_run_are_documented_as_they_are() {
    let help = Command::new(novaedge()).args(["run", "--help"]).output();
    let help = String::from_utf8(help.expect("novaedge starts").stdout).expect("text");
    let mut known = flags(&help);
    known.remove("--help");
    let page = fs::read_to_string(root().join("docs/standalone.md")).expect("the page");
    let table = page
        .split("\n## Flags\n")
        .nth(1)
        .expect("a chapter of flags");
    let rows = table.split("\n## ").next().expect("a chapter ends");
    let rows: String = rows.lines().filter(|l| l.starts_with("| `--")).collect();
    assert_eq!(flags(&rows), known);
}

fn flags(text: &str) -> BTreeSet<String> {
    let starts = text.match_indices("--").map(|(at, _)| &text[at..]);
    let flags = starts.map(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c == '-'));
        rest[..end.unwrap_or(rest.len())].to_owned()
    });
    flags.filter(|flag| flag.len() > 2).collect()
}
