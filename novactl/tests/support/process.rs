//! novactl as a process of its own.

use std::process::{Command, Output, Stdio};

/// What a command line came to.
#[derive(Debug)]
pub struct Answer {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// novactl without anything from the environment of the test.
pub fn novactl(line: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_novactl"));
    for variable in [
        "NOVACTL_SERVER",
        "NOVACTL_FOLDER",
        "NOVACTL_STATE_DIR",
        "KUBECONFIG",
        "KUBERNETES_SERVICE_HOST",
        "HTTPS_PROXY",
        "https_proxy",
    ] {
        command.env_remove(variable);
    }
    // Nor the kubeconfig of whoever runs the test.
    command.env("HOME", "/nonexistent");
    command.args(line).stdin(Stdio::null());
    command
}

/// What a process came to.
pub fn answer(output: std::io::Result<Output>) -> Answer {
    let output = output.expect("novactl starts");
    Answer {
        code: output.status.code().expect("novactl ends by itself"),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}
