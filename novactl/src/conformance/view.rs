//! Conformance for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Conformance, Feature, Level, Profile, Results, Shown, core_features};
use crate::table::{Cell, Paint, Table, Tone, harmless};

/// Three tables: results, features, and what is claimed beyond the report.
pub fn text(conformance: &Conformance, paint: Paint) -> String {
    let report = &conformance.report;
    let next = &conformance.beyond.next;
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "Conformance suite {}, channel {}, mode {}: {} {} on {}\n",
        harmless(&report.gateway_api_version),
        harmless(&report.gateway_api_channel),
        harmless(&report.mode),
        harmless(&report.implementation.project),
        harmless(&report.implementation.version),
        harmless(&report.date),
    );
    text += &profiles(conformance).render(0, paint);
    text.push('\n');
    text += &features(conformance).render(0, paint);
    let _ = writeln!(
        text,
        "\nBeyond the report: what suite {} tests as well, shown by tests of NovaEdge's own\n",
        next.gateway_api_version
    );
    let mut table = Table::new(vec!["TEST OF THE SUITE", "BEHAVIOUR"]);
    for test in &next.tests {
        let cells = [&test.name, &test.behaviour];
        table.push(cells.map(Cell::plain).into());
    }
    text + &table.render(0, paint)
}

fn profiles(conformance: &Conformance) -> Table {
    let headings = vec![
        "PROFILE", "LEVEL", "RESULT", "PASSED", "FAILED", "SKIPPED", "FEATURES",
    ];
    let mut table = Table::new(headings);
    for profile in &conformance.report.profiles {
        for (level, results) in profile.results() {
            let tone = if results.is_success() {
                Tone::Good
            } else if results.is_failure() {
                Tone::Bad
            } else {
                Tone::Doubtful
            };
            let numbers = results.statistics;
            table.push(vec![
                Cell::plain(&profile.name),
                Cell::plain(level),
                Cell::toned(&results.result, tone),
                Cell::plain(numbers.passed.to_string()),
                Cell::plain(numbers.failed.to_string()),
                Cell::plain(numbers.skipped.to_string()),
                Cell::plain(features_of(profile, level, results).len().to_string()),
            ]);
        }
    }
    table
}

/// The features of a level. A report of TCP and UDP names their core feature among the extended ones as well.
fn features_of<'a>(profile: &'a Profile, level: &str, results: &'a Results) -> Vec<&'a str> {
    let core = core_features(&profile.name);
    if level == Level::Core.as_str() {
        return core.to_vec();
    }
    let all = results.supported_features.iter().map(String::as_str);
    all.filter(|name| !core.contains(name)).collect()
}

fn features(conformance: &Conformance) -> Table {
    let mut table = Table::new(vec!["FEATURE", "LEVEL", "SHOWN BY"]);
    for (name, Feature { level, shown }) in conformance.features() {
        let shown = match shown {
            Shown::Report(profiles) => profiles.into_iter().collect::<Vec<_>>().join(","),
            Shown::Uncounted => "the suite, in no profile".to_owned(),
            Shown::StandIns(version) => format!("own tests, for suite {version}"),
        };
        let level = Cell::plain(level.as_str());
        table.push(vec![Cell::plain(name), level, Cell::plain(shown)]);
    }
    table
}

/// The same for programs, with the tests that stand in for those of the later suite.
pub fn document(conformance: &Conformance) -> Value {
    let report = &conformance.report;
    let profiles = report.profiles.iter().map(|profile| {
        let mut document = json!({ "name": profile.name, "summary": profile.summary });
        for (level, results) in profile.results() {
            document[level] = level_document(profile, level, results);
        }
        document
    });
    let features = conformance.features().into_iter().map(|(name, feature)| {
        let mut document = json!({ "name": name, "level": feature.level.as_str() });
        match feature.shown {
            Shown::Report(profiles) => {
                document["shownBy"] = "report".into();
                document["profiles"] = json!(profiles);
            }
            Shown::Uncounted => document["shownBy"] = "suite".into(),
            Shown::StandIns(version) => {
                document["shownBy"] = "ownTests".into();
                document["gatewayAPIVersion"] = version.into();
            }
        }
        document
    });
    let next = &conformance.beyond.next;
    json!({
        "suite": {
            "gatewayAPIVersion": report.gateway_api_version,
            "gatewayAPIChannel": report.gateway_api_channel,
            "mode": report.mode,
            "date": report.date,
        },
        "implementation": report.implementation,
        "profiles": profiles.collect::<Vec<_>>(),
        "features": features.collect::<Vec<_>>(),
        "beyondReport": {
            "uncounted": conformance.beyond.uncounted,
            "gatewayAPIVersion": next.gateway_api_version,
            "tests": next.tests,
        },
    })
}

fn level_document(profile: &Profile, level: &str, results: &Results) -> Value {
    let numbers = results.statistics;
    let mut document = json!({
        "result": results.result,
        "passed": numbers.passed,
        "failed": numbers.failed,
        "skipped": numbers.skipped,
        "features": features_of(profile, level, results),
    });
    let lists = [
        ("unsupportedFeatures", &results.unsupported_features),
        ("skippedTests", &results.skipped_tests),
        ("failedTests", &results.failed_tests),
    ];
    for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        document[name] = json!(list);
    }
    document
}
