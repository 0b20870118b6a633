//! From a command line to text and an exit code.

mod bundle;
mod looking;
mod objects;
mod offline;
mod stream;
mod top;
mod trace;

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::CommandFactory as _;

use crate::{
    arguments::{Arguments, Command},
    bundle::BundleError,
    conformance::ConformanceError,
    explain::{Ambiguous, AskedError},
    man::ManError,
    place::TwoPlaces,
    server::ServerError,
    snapshot::SnapshotError,
    source::SourceError,
    table::Paint,
    trace::NoHeader,
};

use looking::Looking;

/// The answer, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Done, and all is well: exit code 0.
    Well,
    /// Something is wrong, differs or is not there: exit code 1.
    Wrong,
}

/// Why there is no answer: exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The objects cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The manifests cannot be read.
    #[error(transparent)]
    Manifests(#[from] novaedge_control_plane::source::SourceError),
    /// Nobody can ask so.
    #[error(transparent)]
    Asked(#[from] AskedError),
    /// It is not clear which requests are meant.
    #[error(transparent)]
    NoHeader(#[from] NoHeader),
    /// It is not clear who would be asked.
    #[error(transparent)]
    Ambiguous(#[from] Ambiguous),
    /// The control plane cannot be asked.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A saved snapshot cannot be read.
    #[error("{file}: {error}")]
    Saved {
        /// The file.
        file: PathBuf,
        /// Why.
        error: SnapshotError,
    },
    /// A file cannot be read.
    #[error("{file} cannot be read: {reason}")]
    File {
        /// The file.
        file: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// It is not clear where to look.
    #[error(transparent)]
    Place(#[from] TwoPlaces),
    /// The bundle cannot be written.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The man pages cannot be written.
    #[error(transparent)]
    Man(#[from] ManError),
    /// What the conformance suite found cannot be told.
    #[error(transparent)]
    Conformance(#[from] ConformanceError),
    /// The answer has no textual form.
    #[error("the answer cannot be printed: {0}")]
    Print(String),
    /// The answer cannot be written.
    #[error("the answer cannot be written: {0}")]
    Write(#[from] io::Error),
}

/// Where answers go.
pub struct Terminal<'a> {
    /// Answers.
    pub out: &'a mut (dyn Write + Send),
    /// Remarks that are no answer.
    pub remarks: &'a mut (dyn Write + Send),
    /// Whether answers carry colours.
    pub paint: Paint,
    /// Whether what takes long says how far it is.
    pub progress: Progress,
}

/// Whether what takes long says how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Among the remarks: they go to a terminal.
    Shown,
    /// Nobody looks.
    Hidden,
}

/// Does what a command line says.
pub async fn run(arguments: Arguments, to: &mut Terminal<'_>) -> Result<Verdict, Failure> {
    let looking = Looking::new(&arguments.place);
    match &arguments.command {
        Command::Status { namespace, output } => {
            objects::status(&looking, namespace.as_deref(), *output, to).await
        }
        Command::Check { strict, output } => {
            let checked = offline::print_check(&looking, *output, to)?;
            Ok(verdict(
                !checked.has_errors() && (!strict || checked.problems.is_empty()),
            ))
        }
        Command::Translate { only, output } => {
            offline::print_translation(&looking, only, *output, to)
        }
        Command::Explain(arguments) => stream::explain(&looking, arguments, to).await,
        Command::Agents { output } => stream::agents(&looking, *output, to).await,
        Command::Top(arguments) => top::top(&looking, arguments, to).await,
        Command::Trace(arguments) => trace::trace(&looking, arguments, to).await,
        Command::Snapshot { command } => stream::snapshot(&looking, command, to).await,
        Command::GatewayApi { command } => objects::gateway_api(&looking, command, to).await,
        Command::Conformance(arguments) => offline::conformance(&looking, arguments, to),
        Command::Bundle { output } => bundle::bundle(&looking, output.as_deref(), to).await,
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "novactl", &mut script);
            to.out.write_all(&script)?;
            Ok(Verdict::Well)
        }
        Command::Man { folder } => {
            let pages = crate::man::write(&Arguments::command(), folder)?;
            writeln!(to.out, "{pages} pages in {}", folder.display())?;
            Ok(Verdict::Well)
        }
    }
}

const fn verdict(passed: bool) -> Verdict {
    if passed {
        Verdict::Well
    } else {
        Verdict::Wrong
    }
}
