//! The shell of a reader.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use super::{Block, Shown, fits, tools};
use crate::programs;

/// Each command that fails is told, and the last of them is the block's exit code.
const BEGIN: &str = "set -Eu -o pipefail\ntrap 'failed=$?' ERR\n";
/// What ends a block's output.
const MARK: &str = "@@@ block ended: ";
/// How long a block may take.
const PATIENCE: Duration = Duration::from_mins(5);
/// How long a page may be behind what it shows: a saved file is served a moment later.
const MOMENT: Duration = Duration::from_secs(30);

/// A running bash in a folder of its own. All that it started ends with it.
pub struct Shell {
    home: tempfile::TempDir,
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

/// How a block ended.
#[derive(Debug)]
pub struct Finished {
    /// What it printed.
    pub printed: String,
    /// The exit code of the last command that failed, or 0.
    pub exit: i32,
}

impl Shell {
    /// Starts one that finds the programs and the tools first, and before these the one that stands for another: `name`
    /// runs `command`.
    pub fn start((name, command): (&str, &str), variables: &[(&str, String)]) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let own = home.path().join(".bin");
        fs::create_dir(&own).expect("the home is writable");
        let script = own.join(name);
        fs::write(&script, format!("#!/bin/sh\nexec {command}\n")).expect("the home is writable");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a mode");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let first = [own, programs::folder().to_owned(), tools()];
        let path = std::env::join_paths(first.into_iter().chain(std::env::split_paths(&path)));
        let log = fs::File::create(home.path().join(".log")).expect("the folder is writable");
        let mut child = Command::new("bash")
            .arg("--norc")
            .current_dir(home.path())
            .env("PATH", path.expect("folders without colons"))
            .env("NO_COLOR", "1")
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // So that what it starts in the background can be ended with it.
            .process_group(0)
            .spawn()
            .expect("bash is there");
        let mut input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        input.write_all(BEGIN.as_bytes()).expect("bash reads");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            home,
            child,
            input,
            lines,
        }
    }

    /// Where the reader is.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs a block until it does what is shown.
    ///
    /// # Panics
    ///
    /// If it does something else.
    pub fn follow(&mut self, page: &str, block: &Block) {
        let begun = Instant::now();
        loop {
            let finished = self.run(&block.commands);
            let fit = match &block.shown {
                None => finished.exit == 0,
                Some(Shown { text, exit }) => {
                    finished.exit == *exit && fits(&finished.printed, text)
                }
            };
            if fit {
                return;
            }
            // What is not shown may not be done twice.
            let log = self.log();
            assert!(
                block.shown.is_some() && begun.elapsed() < MOMENT,
                "{page}:{}: {finished:#?}\nshown: {:#?}\nstandard error:\n{log}",
                block.line,
                block.shown,
            );
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Runs some commands.
    pub fn run(&mut self, commands: &str) -> Finished {
        let file = self.home.path().join(".block");
        fs::write(&file, commands).expect("the folder is writable");
        let line = format!(
            "failed=0; source {}; printf '\\n{MARK}%s\\n' \"$failed\"\n",
            file.display()
        );
        self.input.write_all(line.as_bytes()).expect("bash reads");
        let (begun, mut printed) = (Instant::now(), String::new());
        loop {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no end of:\n{commands}\n{printed}\n{}", self.log());
            };
            if let Some(code) = line.strip_prefix(MARK) {
                let exit = code.parse().expect("an exit code");
                return Finished { printed, exit };
            }
            printed.push_str(&line);
            printed.push('\n');
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.home.path().join(".log")
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        // All that it started, if it did not end before.
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}
