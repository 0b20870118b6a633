//! All that needs a fix, at a glance.

use std::collections::BTreeMap;

use novaedge_api::meta::{Kind, ObjectId};
use novaedge_control_plane::problem::{Level, Problem};
use novaedge_proto::v1::{AgentStatus, Version};
use serde_json::{Value, json};

use crate::{
    agents::Standing,
    object::{Inventory, Judgement, Part, Resource, Weight, weight},
    table::{Paint, Tone, harmless, painted},
};

/// What the agents say, as far as they can be asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Fleet {
    /// The control plane answered.
    Known {
        /// The agents.
        agents: Vec<AgentStatus>,
        /// The version that they should hold.
        newest: Option<Version>,
    },
    /// It did not, and this is why.
    Unknown(String),
}

/// Something to fix, or to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// `file:line`, where it is known.
    pub place: Option<String>,
    /// Field, listener or parent; empty for the whole subject.
    pub part: String,
    /// One word.
    pub reason: String,
    /// What is wrong, and the fix.
    pub message: String,
}

/// What there is to fix, and how much is well.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Findings by subject: an object, a file, a resource, or the fleet.
    pub findings: BTreeMap<String, Vec<Finding>>,
    /// Problems that the control plane counts without listing them.
    pub omitted: usize,
    /// Objects without a finding.
    pub well: usize,
    /// The agents.
    pub fleet: Fleet,
}

/// Everything that the objects' statuses, the control plane's problems and the agents say.
pub fn report(inventory: &Inventory, fleet: Fleet) -> Report {
    let mut findings: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
    for problem in &inventory.problems {
        let (subject, finding) = of_problem(problem);
        findings.entry(subject).or_default().push(finding);
    }
    for resource in inventory.resources.values() {
        let subject = resource.id.to_string();
        let known = findings.get(&subject).map_or(&[][..], Vec::as_slice);
        let new = of_resource(resource, known);
        if !new.is_empty() {
            findings.entry(subject).or_default().extend(new);
        }
    }
    if let Some(finding) = of_fleet(&fleet) {
        findings.insert("agents".to_owned(), vec![finding]);
    }
    let is_well = |id: &&ObjectId| !findings.contains_key(&id.to_string());
    Report {
        omitted: inventory.omitted,
        well: inventory.resources.keys().filter(is_well).count(),
        findings,
        fleet,
    }
}

impl Report {
    /// Whether something is not served as written.
    pub fn has_errors(&self) -> bool {
        self.count(Level::Error) > 0
    }

    /// Subjects whose worst finding is of this level.
    fn count(&self, level: Level) -> usize {
        self.findings
            .values()
            .filter(|all| worst(all) == level)
            .count()
    }

    /// The findings by subject, the worst first, and a line that sums them up.
    pub fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        for level in [Level::Error, Level::Warning] {
            for (subject, findings) in &self.findings {
                if worst(findings) == level {
                    text += &of_subject(subject, findings, paint);
                }
            }
        }
        if self.omitted > 0 {
            let count = self.omitted.to_string();
            text.extend([&count, " more problems are not listed.\n"]);
        }
        text + &self.summary(paint)
    }

    fn summary(&self, paint: Paint) -> String {
        let (errors, warnings) = (self.count(Level::Error), self.count(Level::Warning));
        let tone = match (errors, warnings) {
            (0, 0) => Tone::Good,
            (0, _) => Tone::Doubtful,
            _ => Tone::Bad,
        };
        let counts = format!("{errors} to fix, {warnings} to look at, {} well", self.well);
        format!(
            "{}; {}.\n",
            painted(&counts, tone, paint),
            fleet_words(&self.fleet)
        )
    }

    /// The same for programs.
    pub fn document(&self) -> Value {
        let findings = self.findings.iter().flat_map(|(subject, findings)| {
            findings.iter().map(move |finding| {
                json!({
                    "severity": finding.level,
                    "object": subject,
                    "place": finding.place,
                    "part": finding.part,
                    "reason": finding.reason,
                    "message": finding.message,
                })
            })
        });
        json!({
            "findings": findings.collect::<Vec<_>>(),
            "omitted": self.omitted,
            "toFix": self.count(Level::Error),
            "toLookAt": self.count(Level::Warning),
            "well": self.well,
            "agents": fleet_words(&self.fleet),
        })
    }
}

fn worst(findings: &[Finding]) -> Level {
    let levels = findings.iter().map(|finding| finding.level);
    levels.min().unwrap_or(Level::Warning)
}

fn of_subject(subject: &str, findings: &[Finding], paint: Paint) -> String {
    let (word, tone) = match worst(findings) {
        Level::Error => ("error", Tone::Bad),
        Level::Warning => ("warning", Tone::Doubtful),
    };
    let word = painted(word, tone, paint);
    let mut lines = vec![format!("{word} {}\n", harmless(subject))];
    lines.extend(findings.iter().map(|finding| {
        let parts = finding.place.iter().chain([&finding.part]);
        let parts = parts.filter(|part| !part.is_empty());
        let place: Vec<String> = parts.map(|part| format!("{part}: ")).collect();
        let line = format!("{}{} ({})", place.concat(), finding.message, finding.reason);
        format!("  {}\n", harmless(&line))
    }));
    lines.concat() + "\n"
}

fn of_problem(problem: &Problem) -> (String, Finding) {
    let place = problem.file.as_ref().map(|file| match problem.line {
        Some(line) => format!("{file}:{line}"),
        None => file.clone(),
    });
    let subject = problem.object.clone().or_else(|| problem.file.clone());
    let finding = Finding {
        level: problem.severity,
        place,
        part: problem.field.clone(),
        reason: problem.reason.clone(),
        message: problem.message.clone(),
    };
    (
        subject.unwrap_or_else(|| "control plane".to_owned()),
        finding,
    )
}

/// Conditions that are not as they should be, unless a problem tells the same with its field.
fn of_resource(resource: &Resource, known: &[Finding]) -> Vec<Finding> {
    let judgements = resource.judgements();
    if judgements.is_empty() {
        let silent = known.is_empty().then(|| unjudged(resource)).flatten();
        return silent.into_iter().collect();
    }
    let mut found: Vec<Finding> = Vec::new();
    for finding in judgements.iter().filter_map(of_judgement) {
        let told = known.iter().chain(&found).any(|k| says(k, &finding));
        if !told {
            found.push(finding);
        }
    }
    let specific = |finding: &Finding| !SUMMARIES.contains(&finding.reason.as_str());
    if known.iter().chain(&found).any(specific) {
        found.retain(specific);
    }
    found
}

/// Reasons of conditions that only sum up what listeners' conditions say.
const SUMMARIES: [&str; 2] = ["ListenersNotValid", "ListenersNotResolved"];

/// Whether a finding says what another one does.
fn says(known: &Finding, other: &Finding) -> bool {
    known.reason == other.reason && known.part == other.part
        || !known.message.is_empty() && other.message.contains(&known.message)
}

fn of_judgement(judgement: &Judgement) -> Option<Finding> {
    let condition = &judgement.condition;
    let level = match weight(condition)? {
        Weight::Fault => Level::Error,
        Weight::Doubt => Level::Warning,
    };
    Some(Finding {
        level,
        place: None,
        part: match &judgement.about {
            Part::Whole => String::new(),
            Part::Listener(name) => format!("listener {name}"),
            Part::Under(parent) => format!("under {parent}"),
        },
        reason: condition.reason.clone(),
        message: format!(
            "{}={}: {}",
            condition.type_, condition.status, condition.message
        ),
    })
}

/// An object that NovaEdge says nothing about does nothing.
fn unjudged(resource: &Resource) -> Option<Finding> {
    let fix = match resource.id.kind {
        Kind::GatewayClass => return None,
        Kind::Gateway => {
            "name a GatewayClass of controller novaedge.io/gateway-controller in spec.gatewayClassName"
        }
        Kind::BackendTlsPolicy => "name a Service that a route uses in spec.targetRefs",
        _ => "name a Gateway of NovaEdge as its parent",
    };
    resource.has_spec().then(|| Finding {
        level: Level::Warning,
        place: None,
        part: String::new(),
        reason: "NoStatus".to_owned(),
        message: format!("has no status, so it is not in use: {fix}"),
    })
}

fn of_fleet(fleet: &Fleet) -> Option<Finding> {
    let (level, reason, message) = match fleet {
        Fleet::Unknown(why) => (Level::Warning, "NoAnswer", why.clone()),
        Fleet::Known { agents, .. } if agents.is_empty() => (
            Level::Error,
            "NoAgents",
            "no agent is connected, so nothing new is served: start one".to_owned(),
        ),
        Fleet::Known { .. } => return None,
    };
    Some(Finding {
        level,
        place: None,
        part: String::new(),
        reason: reason.to_owned(),
        message,
    })
}

fn fleet_words(fleet: &Fleet) -> String {
    let Fleet::Known { agents, newest } = fleet else {
        return "agents not asked".to_owned();
    };
    let standing = |wanted: Standing| {
        let standings = agents
            .iter()
            .map(|agent| Standing::of(agent, newest.as_ref()));
        standings.filter(|standing| *standing == wanted).count()
    };
    let up_to_date = standing(Standing::Acknowledged) + standing(Standing::Refuses);
    let refusing = standing(Standing::Refuses);
    let all = agents.len();
    format!("{up_to_date} of {all} agents at the newest snapshot, {refusing} refusing a part of it")
}
