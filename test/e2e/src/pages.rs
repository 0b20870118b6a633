//! Pages of the documentation, run as a reader would: block by block, in one shell.
//!
//! A block of `sh` is run. What is shown below it, in a block of `text`, is what it must print; the info string may add
//! `exits with N`. `…` stands for anything within a line, and on a line of its own for any lines.
//! A comment `<!-- not run: REASON -->` right above a block says why nobody runs it.

mod shell;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

pub use shell::{Finished, Shell};

/// What stands between the chapters of the quickstart.
pub const ON_A_CLUSTER: &str = "\n## On a cluster\n";
/// The comment above a block that is not run.
const NOT_RUN: &str = "<!-- not run: ";

/// Commands of a page that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Where it begins in the page, from 1.
    pub line: usize,
    /// What the reader types.
    pub commands: String,
    /// What is shown below it.
    pub shown: Option<Shown>,
    /// Why it is not run.
    pub not_run: Option<String>,
}

/// What a block is said to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// What it prints.
    pub text: String,
    /// The exit code of its last command.
    pub exit: i32,
}

impl Block {
    /// Whether it asks a cluster: those of a page that tells of both are run by different tests.
    pub fn needs_a_cluster(&self) -> bool {
        let mut lines = self.commands.lines();
        lines.any(|line| line.trim_start().starts_with("kubectl "))
    }
}

/// The blocks of a page, in their order.
pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = (1..).zip(page.lines());
    // The last line with something in it, and whether a block of commands has just ended.
    let (mut above, mut follows) = ("", false);
    while let Some((line, text)) = lines.next() {
        let Some(info) = text.trim_start().strip_prefix("```") else {
            if !text.trim().is_empty() {
                (above, follows) = (text, false);
            }
            continue;
        };
        let indent = text.len() - text.trim_start().len();
        let inside = lines
            .by_ref()
            .map(|(_, text)| text.get(indent..).unwrap_or_default())
            .take_while(|text| *text != "```");
        let body: String = inside.flat_map(|text| [text, "\n"]).collect();
        match (info, blocks.last_mut()) {
            ("sh", _) => {
                let reason = above.trim().strip_prefix(NOT_RUN);
                blocks.push(Block {
                    line,
                    commands: body,
                    shown: None,
                    not_run: reason.map(|reason| reason.trim_end_matches(" -->").to_owned()),
                });
            }
            (info, Some(block)) if follows && info.starts_with("text") => {
                let exit = info.strip_prefix("text exits with ");
                block.shown = Some(Shown {
                    text: body,
                    exit: exit.map_or(0, |code| code.parse().expect("an exit code")),
                });
            }
            _ => {}
        }
        (above, follows) = ("", info == "sh");
    }
    blocks
}

/// The page at this path of the repository.
pub fn page(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The repository.
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the repository is there")
}

/// Where `test/test-tools.sh` puts what readers have installed.
fn tools() -> PathBuf {
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let tools = target.join("tools");
    let grpcurl = tools.join("grpcurl");
    assert!(
        grpcurl.exists(),
        "{} is missing: run test/test-tools.sh",
        grpcurl.display()
    );
    tools
}

/// Whether what was printed is what is shown.
pub fn fits(printed: &str, shown: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.join(" ")
        });
        lines.filter(|line| !line.is_empty()).collect()
    };
    let (printed, shown) = (words(printed), words(shown));
    alike(&printed, &shown, |line| line == "…", |a, b| line_fits(a, b))
}

fn line_fits(printed: &str, shown: &str) -> bool {
    let letters = |text: &str| text.chars().collect::<Vec<_>>();
    let (printed, shown) = (letters(printed), letters(shown));
    alike(&printed, &shown, |c| *c == '…', |a, b| a == b)
}

/// Whether two sequences are alike, where some parts of the second stand for any number of the first.
fn alike<T>(
    found: &[T],
    wanted: &[T],
    any: impl Fn(&T) -> bool + Copy,
    same: impl Fn(&T, &T) -> bool + Copy,
) -> bool {
    // Which prefixes of `found` the wanted ones so far stand for.
    let mut reached = vec![false; found.len() + 1];
    reached[0] = true;
    for want in wanted {
        let mut next = vec![false; found.len() + 1];
        if any(want) {
            let mut open = false;
            for (at, reached) in reached.iter().enumerate() {
                open |= *reached;
                next[at] = open;
            }
        } else {
            for (at, one) in found.iter().enumerate() {
                next[at + 1] = reached[at] && same(one, want);
            }
        }
        reached = next;
    }
    reached[found.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_what_is_shown_below_them() {
        let page = "# A\n\n```sh\none\n```\n\n```text exits with 1\nwrong\n```\n\n\
                    <!-- not run: takes an hour -->\n```sh\ntwo\n```\n\nSo:\n\n```text\nno answer\n```\n\n   ```sh\n   three\n   ```\n";
        let block = |line, commands: &str, shown, not_run: Option<&str>| Block {
            line,
            commands: commands.to_owned(),
            shown,
            not_run: not_run.map(str::to_owned),
        };
        let shown = Some(Shown {
            text: "wrong\n".to_owned(),
            exit: 1,
        });
        assert_eq!(
            blocks(page),
            [
                block(3, "one\n", shown, None),
                block(12, "two\n", None, Some("takes an hour")),
                block(22, "three\n", None, None),
            ]
        );
    }

    #[test]
    fn blocks_with_kubectl_need_a_cluster() {
        for (commands, expect) in [
            ("kubectl get pods\n", true),
            ("as=--as=me\nkubectl auth whoami $as\n", true),
            ("novactl status\n", false),
            ("echo kubectl get pods\n", false),
        ] {
            let page = format!("```sh\n{commands}```\n");
            assert_eq!(blocks(&page)[0].needs_a_cluster(), expect, "{commands}");
        }
    }

    #[test]
    fn an_ellipsis_stands_for_what_differs() {
        for (printed, shown, expect) in [
            ("a  b\n", "a b", true),
            ("a\nb\n", "a", false),
            ("a 12 s b\n", "a … b", true),
            ("a 12 s c\n", "a … b", false),
            ("x\ny\nend\n", "…\nend", true),
            ("end\n", "…\nend", true),
            ("end\nmore\n", "…\nend", false),
            ("", "", true),
        ] {
            assert_eq!(fits(printed, shown), expect, "{printed:?} {shown:?}");
        }
    }
}
