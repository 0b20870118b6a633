//! What the programs say of themselves stands in `docs/commands.md`. `UPDATE_GOLDEN=1` rewrites it.

use std::{env, fmt::Write as _, fs, process::Command};

use novaedge_e2e::{pages::root, programs};

const PROGRAMS: [&str; 3] = ["novaedge", "novaedge-control-plane", "novaedge-agent"];
const BEGIN: &str = "\
# Command lines

What the programs say of their commands and flags, with defaults and environment variables.
`novactl` has [a page of its own](novactl.md).
This page is made of the programs' own words: `UPDATE_GOLDEN=1 cargo test -p novaedge-e2e --test helps`.
";

#[test]
fn the_page_of_command_lines_is_what_the_programs_say() {
    let mut page = BEGIN.to_owned();
    for program in PROGRAMS {
        tell(&mut page, &[program]);
    }
    let path = root().join("docs/commands.md");
    if env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::write(&path, &page).expect("the page is writable");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page,
        "docs/commands.md is not what the programs say; see with \
         UPDATE_GOLDEN=1 cargo test -p novaedge-e2e --test helps"
    );
}

/// Adds what a command says, and then its own commands.
fn tell(page: &mut String, words: &[&str]) {
    let [program, inner @ ..] = words else {
        return;
    };
    let output = Command::new(programs::folder().join(program))
        .args(inner)
        .arg("--help")
        // Values of variables would stand in it.
        .env_clear()
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{words:?}: {output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    let level = "#".repeat(words.len() + 1);
    let lines: String = text
        .lines()
        .flat_map(|line| [line.trim_end(), "\n"])
        .collect();
    let _ = write!(
        page,
        "\n{level} {}\n\n```text\n{lines}```\n",
        words.join(" ")
    );
    for command in commands(&text) {
        tell(page, &[words, &[command]].concat());
    }
}

/// The names of the list of commands.
fn commands(help: &str) -> Vec<&str> {
    let list = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    let rows = list.lines().take_while(|line| !line.is_empty());
    // What is indented further belongs to the row above.
    let rows = rows.filter_map(|line| line.strip_prefix("  ").filter(|row| !row.starts_with(' ')));
    let names = rows.filter_map(|row| row.split_whitespace().next());
    names.filter(|name| *name != "help").collect()
}
