//! The binary `novactl`.

use std::{
    io::{self, ErrorKind, IsTerminal as _, Write as _},
    process::ExitCode,
};

use clap::Parser as _;
use novactl::{
    Arguments, Failure, Verdict, run,
    run::{Progress, Terminal},
    table::Paint,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut to = Terminal {
        out: &mut io::stdout(),
        remarks: &mut io::stderr(),
        paint: paint(),
        progress: if io::stderr().is_terminal() {
            Progress::Shown
        } else {
            Progress::Hidden
        },
    };
    let done = run(arguments, &mut to).await;
    match done {
        Ok(Verdict::Well) => ExitCode::SUCCESS,
        Ok(Verdict::Wrong) => ExitCode::from(1),
        // Whoever read the answer has enough of it.
        Err(Failure::Write(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            // Without a standard error there is nobody to tell.
            let _ = writeln!(io::stderr(), "error: {failure}");
            ExitCode::from(2)
        }
    }
}

/// Colours only on a terminal, and only if <https://no-color.org> does not forbid them.
fn paint() -> Paint {
    let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if io::stdout().is_terminal() && !forbidden {
        Paint::Colours
    } else {
        Paint::Plain
    }
}
