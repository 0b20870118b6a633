//! The house style's hard limits hold in every file.

use novaedge_tidy::{
    MAX_FILE_LINES, MAX_FUNCTION_LINES, Source, functions, rust_sources, text_sources,
};

fn check(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn files_are_short() {
    let findings: Vec<String> = rust_sources()
        .iter()
        .map(|source| (source, source.text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_FILE_LINES)
        .map(|(source, lines)| {
            format!(
                "{}: {lines} lines, at most {MAX_FILE_LINES}: split it",
                source.path.display()
            )
        })
        .collect();
    check(&findings);
}

#[test]
fn functions_are_short() {
    let mut findings = Vec::new();
    for source in rust_sources() {
        for function in functions(&source.text) {
            if function.length > MAX_FUNCTION_LINES {
                findings.push(format!(
                    "{}:{}: {} lines, at most {MAX_FUNCTION_LINES}: split it",
                    source.path.display(),
                    function.line,
                    function.length
                ));
            }
        }
    }
    check(&findings);
}

#[test]
fn modules_are_named_by_their_file() {
    let findings: Vec<String> = rust_sources()
        .iter()
        .filter(|source| source.path.file_name().is_some_and(|name| name == "mod.rs"))
        .filter(|source| !source.path.to_string_lossy().contains("tests/"))
        .map(|source| format!("{}: name it after the module", source.path.display()))
        .collect();
    check(&findings);
}

#[test]
fn unsafe_code_is_nowhere() {
    // Spelled in two parts, so that this file does not find itself.
    let block = concat!("unsafe", " {");
    check(&lines_with(
        &rust_sources(),
        |line| line.contains(block),
        "no unsafe code",
    ));
}

#[test]
fn text_has_no_trailing_blanks_and_ends_with_a_newline() {
    let mut findings = Vec::new();
    for source in text_sources() {
        if !source.text.is_empty() && !source.text.ends_with('\n') {
            findings.push(format!("{}: no newline at the end", source.path.display()));
        }
        if source
            .path
            .extension()
            .is_some_and(|e| e == "rs" || e == "md" || e == "proto")
        {
            findings.extend(lines_with(
                std::slice::from_ref(&source),
                |line| line.ends_with(' ') || line.ends_with('\t'),
                "blanks at the end of the line",
            ));
        }
    }
    check(&findings);
}

#[test]
fn markdown_has_one_sentence_per_line() {
    let mut findings = Vec::new();
    for source in text_sources()
        .iter()
        .filter(|s| s.path.extension().is_some_and(|e| e == "md"))
    {
        let mut fenced = false;
        for (number, line) in source.text.lines().enumerate() {
            fenced ^= line.trim_start().starts_with("```");
            if !fenced && !line.starts_with('|') && has_two_sentences(line) {
                findings.push(format!(
                    "{}:{}: one sentence per line",
                    source.path.display(),
                    number + 1
                ));
            }
        }
    }
    check(&findings);
}

#[test]
fn members_take_dependencies_from_the_workspace_table() {
    let mut findings = Vec::new();
    for source in text_sources()
        .iter()
        .filter(|s| s.path.ends_with("Cargo.toml"))
    {
        let is_root = source.path.components().count() == 1;
        let is_fuzz = source.path.starts_with("fuzz");
        if is_root || is_fuzz {
            continue;
        }
        findings.extend(lines_with(
            std::slice::from_ref(source),
            |line| line.contains("version = \"") || line.contains("= \"^"),
            "write it in the root's [workspace.dependencies]",
        ));
    }
    check(&findings);
}

fn lines_with(sources: &[Source], found: impl Fn(&str) -> bool, say: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        for (number, _) in source
            .text
            .lines()
            .enumerate()
            .filter(|(_, line)| found(line))
        {
            findings.push(format!("{}:{}: {say}", source.path.display(), number + 1));
        }
    }
    findings
}

/// A full stop, a blank and a capital end one sentence and begin another.
fn has_two_sentences(line: &str) -> bool {
    // The number of a list item is no sentence.
    let line = line
        .trim_start()
        .trim_start_matches(|c: char| c.is_ascii_digit());
    let line = line.strip_prefix(". ").unwrap_or(line);
    let chars: Vec<char> = line.chars().collect();
    chars.windows(4).any(|w| {
        w[0].is_alphanumeric()
            && matches!(w[1], '.' | '!' | '?')
            && w[2] == ' '
            && w[3].is_uppercase()
    })
}
