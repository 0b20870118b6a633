//! What novactl says when it cannot tell.

use super::process::{answer, novactl};

/// A port that nobody listens on (RFC 6335 reserves it).
const NOBODY: &str = "http://127.0.0.1:1";

#[test]
fn errors_say_what_to_do_and_exit_with_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let check = |line: &[&str], hint: &str| {
        let answer = answer(novactl(line).current_dir(folder.path()).output());
        assert_eq!(answer.code, 2, "{line:?}: {answer:?}");
        assert!(answer.err.contains(hint), "{line:?}: {answer:?}");
        assert_eq!(answer.out, "", "{line:?}");
    };
    check(
        &["agents", "--server", NOBODY],
        "start one with 'novaedge run DIR'",
    );
    check(&["agents", "--server", "https://x"], "correct --server");
    check(
        &["snapshot", "get", "--server", NOBODY],
        "name another with --server",
    );
    check(&["status"], "with -f DIR");
    check(&["status", "-f", "."], "start 'novaedge run DIR'");
    check(&["gateway-api", "gateways", "-f", "none"], "cannot be read");
    check(&["snapshot", "diff", "none", "none"], "none cannot be read");
    check(&["gateway-api", "gateways", "-o", "xml"], "possible values");
    check(&["nonsense"], "--help");
}

#[test]
fn every_shell_gets_a_completion_script() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let answer = answer(novactl(&["completion", shell]).output());
        assert_eq!(answer.code, 0, "{answer:?}");
        assert!(answer.out.contains("describe-gateway"), "{shell}");
    }
}

#[test]
fn help_has_examples() {
    for line in [
        &["--help"][..],
        &["status", "--help"],
        &["agents", "--help"],
        &["gateway-api", "--help"],
        &["snapshot", "get", "--help"],
        &["snapshot", "diff", "--help"],
    ] {
        let answer = answer(novactl(line).output());
        assert_eq!(answer.code, 0, "{answer:?}");
        assert!(answer.out.contains("Examples:\n  novactl "), "{answer:?}");
    }
}
