//! novactl as its `main` runs it, in this process.

use ::novactl::{
    Arguments, Verdict,
    run::{Progress, Terminal},
    table::Paint,
};
use clap::Parser as _;

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

/// novactl, as its `main` runs it.
pub async fn novactl(line: &[&str]) -> Answer {
    let words = ["novactl"].iter().chain(line);
    let arguments = Arguments::try_parse_from(words).expect("a command line");
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut to = Terminal {
        out: &mut out,
        remarks: &mut err,
        paint: Paint::Plain,
        progress: Progress::Hidden,
    };
    let done = ::novactl::run(arguments, &mut to).await;
    let (code, failure) = match done {
        Ok(Verdict::Well) => (0, String::new()),
        Ok(Verdict::Wrong) => (1, String::new()),
        Err(failure) => (2, failure.to_string()),
    };
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Answer {
        code,
        out: text(out),
        err: text(err) + &failure,
    }
}

/// The same for a line that has to succeed.
pub async fn ok(line: &[&str]) -> String {
    let answer = novactl(line).await;
    assert_eq!(answer.code, 0, "{line:?}: {answer:?}");
    answer.out
}
