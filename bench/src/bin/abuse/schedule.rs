//! Who has which core, and who gives way to whom.

use std::path::Path;

use clap::ValueEnum;

/// How the cores are shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Schedule {
    /// All but the attacker come before whatever else the machine does, and the attacker before most of it. Needs
    /// the right to.
    #[default]
    Busy,
    /// The attacker has what all others leave: for a machine that does nothing else, without rights.
    Quiet,
}

/// The core of the agent, for itself.
const AGENT: &str = "0";

/// The core of all others.
const OTHERS: &str = "1";

/// Who runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Agent,
    /// With the origin that it asks.
    Attacker,
    /// Honest clients with their origin, and the control plane.
    Other,
}

impl Schedule {
    /// The cores of somebody, as taskset takes them.
    pub fn cores(who: Who) -> &'static str {
        match who {
            Who::Agent => AGENT,
            Who::Attacker | Who::Other => OTHERS,
        }
    }

    /// The words that come before a command.
    pub fn words(self, who: Who) -> &'static [&'static str] {
        match (self, who) {
            (Self::Quiet, Who::Attacker) => &["chrt", "--idle", "0"],
            (Self::Quiet, _) => &[],
            (Self::Busy, Who::Attacker) => &["nice", "-n", "-10"],
            // It may use all of its core, and the kernel lets nobody do that in real time.
            (Self::Busy, Who::Agent) => &["nice", "-n", "-20"],
            (Self::Busy, Who::Other) => &["chrt", "--rr", "1"],
        }
    }

    /// What the page says of it.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Quiet => {
                "the attacker and the origin that it asks run under `SCHED_IDLE` and so take nothing from the others (`--schedule quiet`)"
            }
            Self::Busy => {
                "the honest clients and their origin run under `SCHED_RR`, so the attacker and the origin that it asks take nothing from them; the agent has the highest priority below that, so other work of the machine takes little from it"
            }
        }
    }

    /// A program with its arguments, behind the words that come before it.
    pub fn command<'a>(
        self,
        who: Who,
        program: &'a Path,
        arguments: &[&'a str],
    ) -> anyhow::Result<Vec<&'a str>> {
        let program = program
            .to_str()
            .ok_or_else(|| anyhow::anyhow!("{} is not UTF-8", program.display()))?;
        let mut command = self.words(who).to_vec();
        command.push(program);
        command.extend_from_slice(arguments);
        Ok(command)
    }
}
