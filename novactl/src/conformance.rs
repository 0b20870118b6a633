//! What the official conformance suite found, and what is claimed beyond its report.

mod report;
mod suite;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

pub use self::{
    report::{
        Beyond, Implementation, Next, Profile, Report, Results, StandIn, Statistics, Uncounted,
    },
    suite::{run_suite, sources},
    view::{document, text},
};

/// The report of the suite that this version ships with: the one that `test/conformance/README.md` names.
const REPORT: &str =
    include_str!("../../test/conformance/report/experimental-14a6c30-default-report.yaml");
const BEYOND: &str = include_str!("../../test/conformance/beyond.yaml");

/// Why there is nothing to tell.
#[derive(Debug, thiserror::Error)]
pub enum ConformanceError {
    /// A file cannot be read.
    #[error("{file} cannot be read: {reason}")]
    File {
        /// The file.
        file: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A report is not one.
    #[error("{file} is not a report of the conformance suite: {reason}")]
    Report {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// The suite's sources are not here.
    #[error(
        "test/conformance/run.sh is neither in this folder nor above it; clone the repository, check out what this \
         novactl {version} was built from, and run it there: without --run the report that it ships with is shown"
    )]
    NoSources {
        /// Of novactl.
        version: &'static str,
    },
    /// There is no Go.
    #[error(
        "the suite is built with Go 1.26 or later, and 'go version' does not run: {reason}; install Go \
         (test/install-tools.sh does on Debian) and have it on PATH"
    )]
    NoGo {
        /// What the system says.
        reason: String,
    },
    /// The suite goes by the current context alone.
    #[error(
        "the suite runs on the current context: make it {context} with 'kubectl config use-context {context}', or name a kubeconfig of its own with --kubeconfig"
    )]
    Context {
        /// What was asked for.
        context: String,
    },
    /// The suite does not start.
    #[error("{file} does not start: {reason}")]
    Start {
        /// The script.
        file: PathBuf,
        /// What the system says.
        reason: String,
    },
}

/// A report with what is claimed beyond it.
#[derive(Clone, Debug)]
pub struct Conformance {
    /// As the suite wrote it.
    pub report: Report,
    /// What it does not hold.
    pub beyond: Beyond,
}

/// How much of the Gateway API every implementation has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// All of them do it.
    Core,
    /// Some do it.
    Extended,
}

/// A supported feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature<'a> {
    /// Core if it is that of any profile of the report.
    pub level: Level,
    /// Who says so.
    pub shown: Shown<'a>,
}

/// Who says that a feature is supported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown<'a> {
    /// The report, in these profiles.
    Report(BTreeSet<&'a str>),
    /// The suite ran its test, which no profile counts.
    Uncounted,
    /// Tests of the repository, in place of those of this later version of the suite.
    StandIns(&'a str),
}

impl Level {
    /// The word for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Extended => "extended",
        }
    }
}

/// The core features of a profile, as the suite v1.6.3 defines it (`utils/suite/profiles.go`): a report tells the result
/// of them all and names none.
pub fn core_features(profile: &str) -> &'static [&'static str] {
    match profile {
        "GATEWAY-HTTP" => &["Gateway", "HTTPRoute", "ReferenceGrant"],
        "GATEWAY-GRPC" => &["GRPCRoute", "Gateway", "ReferenceGrant"],
        "GATEWAY-TLS" => &["Gateway", "ReferenceGrant", "TLSRoute"],
        "GATEWAY-TCP" => &["Gateway", "ReferenceGrant", "TCPRoute"],
        "GATEWAY-UDP" => &["Gateway", "ReferenceGrant", "UDPRoute"],
        _ => &[],
    }
}

impl Conformance {
    /// The report that this version ships with.
    pub fn shipped() -> Result<Self, ConformanceError> {
        Self::parse(Path::new("the shipped report"), REPORT)
    }

    /// A report in a file.
    pub fn read(file: &Path) -> Result<Self, ConformanceError> {
        let text = fs::read_to_string(file).map_err(|error| ConformanceError::File {
            file: file.to_owned(),
            reason: error.to_string(),
        })?;
        Self::parse(file, &text)
    }

    fn parse(file: &Path, text: &str) -> Result<Self, ConformanceError> {
        let wrong = |reason: String| ConformanceError::Report {
            file: file.to_owned(),
            reason,
        };
        let mut report = Report::parse(text).map_err(wrong)?;
        report.profiles.sort_by(|a, b| a.name.cmp(&b.name));
        let beyond = Beyond::parse(BEYOND).map_err(wrong)?;
        Ok(Self { report, beyond })
    }

    /// Whether every profile was passed as a whole.
    pub fn is_success(&self) -> bool {
        let profiles = &self.report.profiles;
        let mut results = profiles.iter().flat_map(Profile::results);
        !profiles.is_empty() && results.all(|(_, results)| results.is_success())
    }

    /// Every supported feature by name: those of the report, of tests that no profile counts, and of stand-ins.
    pub fn features(&self) -> BTreeMap<&str, Feature<'_>> {
        let mut features = BTreeMap::new();
        let mut add = |name, level, profile| {
            let feature = features.entry(name).or_insert_with(|| Feature {
                level,
                shown: Shown::Report(BTreeSet::new()),
            });
            if level == Level::Core {
                feature.level = level;
            }
            if let Shown::Report(profiles) = &mut feature.shown {
                profiles.insert(profile);
            }
        };
        for profile in &self.report.profiles {
            let name = profile.name.as_str();
            if !profile.core.is_failure() {
                for feature in core_features(name) {
                    add(*feature, Level::Core, name);
                }
            }
            let extended = profile.extended.iter();
            for results in extended.filter(|results| !results.is_failure()) {
                for feature in &results.supported_features {
                    add(feature.as_str(), Level::Extended, name);
                }
            }
        }
        let more = |shown| Feature {
            level: Level::Extended,
            shown,
        };
        for test in &self.beyond.uncounted {
            if let Some(name) = &test.feature {
                let name = name.as_str();
                features
                    .entry(name)
                    .or_insert_with(|| more(Shown::Uncounted));
            }
        }
        let next = &self.beyond.next;
        for name in next.tests.iter().filter_map(|test| test.feature.as_deref()) {
            let version = next.gateway_api_version.as_str();
            features
                .entry(name)
                .or_insert_with(|| more(Shown::StandIns(version)));
        }
        features
    }
}
