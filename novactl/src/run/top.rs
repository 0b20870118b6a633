//! Rates between two looks at what the agents have counted.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{Failure, Looking, Terminal, Verdict};
use crate::{
    arguments,
    output::{SnapshotOutput, json, yaml},
    server::Server,
    table::{Paint, harmless},
    top::{Counted, Top},
};

/// Clears a terminal, and begins at its top.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// What each agent had counted, and when.
struct Look {
    at: Instant,
    agents: BTreeMap<String, Counted>,
}

pub(super) async fn top(
    looking: &Looking<'_>,
    arguments: &arguments::Top,
    to: &mut Terminal<'_>,
) -> Result<Verdict, Failure> {
    let mut servers = looking.servers(to).await?;
    let interval = Duration::from_secs(arguments.interval);
    let mut before = look(&mut servers, to).await?;
    if before.agents.is_empty() {
        writeln!(to.remarks, "No agents are connected.")?;
        return Ok(Verdict::Wrong);
    }
    loop {
        tokio::time::sleep(interval).await;
        let now = look(&mut servers, to).await?;
        let text = match (arguments.output, rates(&before, &now)) {
            (SnapshotOutput::Table, top) => top.text(arguments.limit, to.paint),
            (SnapshotOutput::Json, top) => json(&top)?,
            (SnapshotOutput::Yaml, top) => yaml(&top)?,
        };
        if arguments.watch && to.paint == Paint::Colours {
            to.out.write_all(CLEAR.as_bytes())?;
        }
        to.out.write_all(text.as_bytes())?;
        to.out.flush()?;
        if !arguments.watch {
            return Ok(Verdict::Well);
        }
        before = now;
    }
}

async fn look(servers: &mut [Server], to: &mut Terminal<'_>) -> Result<Look, Failure> {
    let mut agents: BTreeMap<String, Counted> = BTreeMap::new();
    for server in servers {
        let (told, silent) = server.metrics().await?;
        for (node, text) in told {
            agents.entry(node).or_default().add(&text);
        }
        for (node, why) in silent {
            writeln!(to.remarks, "{} {}", harmless(&node), harmless(&why))?;
        }
    }
    Ok(Look {
        at: Instant::now(),
        agents,
    })
}

fn rates(before: &Look, now: &Look) -> Top {
    let mut all = Counted::default();
    for (node, counted) in &now.agents {
        // What an agent that is new had counted before is not known.
        if let Some(before) = before.agents.get(node) {
            all.merge(&counted.since(before));
        }
    }
    all.rates((now.at - before.at).as_secs_f64())
}
