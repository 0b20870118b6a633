//! The next requests, as the agents see them.

use std::time::Duration;

use futures_util::{
    StreamExt as _,
    stream::{self, SelectAll},
};
use novaedge_proto::v1::{TraceQuestion, agents_answer::Answer};
use tokio::time::{Instant, timeout_at};

use super::{Failure, Looking, Progress, Terminal, Verdict};
use crate::{
    arguments,
    output::{SnapshotOutput, json, yaml},
    server::{self, Answers, Server},
    table::{counted, harmless},
    trace::{Traced, Words, question},
};

/// The wait before agents are asked again that took no question: they have just come, or gone.
const AGAIN: Duration = Duration::from_millis(500);

pub(super) async fn trace(
    looking: &Looking<'_>,
    arguments: &arguments::Trace,
    to: &mut Terminal<'_>,
) -> Result<Verdict, Failure> {
    let question = question(&Words {
        url: arguments.url.as_deref(),
        method: arguments.method.as_deref(),
        headers: &arguments.headers,
        client: arguments.client.as_deref(),
        gateway: arguments.gateway.as_deref(),
        route: arguments.route.as_deref(),
        status: arguments.status.as_deref(),
        count: arguments.count,
    })?;
    let mut servers = looking.servers(to).await?;
    let (_, agents) = server::fleet(&mut servers).await?;
    let asked = |node: &str| arguments.agent.as_deref().is_none_or(|one| one == node);
    let asked = agents.iter().filter(|one| asked(server::node(one))).count();
    if asked == 0 {
        let which = arguments.agent.as_ref();
        let which = which.map_or_else(String::new, |node| format!(" {node}"));
        writeln!(
            to.remarks,
            "No agents{which} are connected: see 'novactl agents'."
        )?;
        return Ok(Verdict::Wrong);
    }
    if to.progress == Progress::Shown {
        let seconds = arguments.timeout;
        writeln!(
            to.remarks,
            "Waiting for requests on {}, for {seconds} s; Ctrl-C ends.",
            counted(asked, "agent")
        )?;
    }
    wait(&mut servers, &question, arguments, to).await
}

/// Prints requests until there are enough, or the time is over.
async fn wait(
    servers: &mut [Server],
    question: &TraceQuestion,
    arguments: &arguments::Trace,
    to: &mut Terminal<'_>,
) -> Result<Verdict, Failure> {
    let until = Instant::now() + Duration::from_secs(arguments.timeout.into());
    let (mut came, mut refused) = (0, false);
    while !refused && Instant::now() < until {
        let mut answers = ask(servers, question, arguments, until).await?;
        while let Ok(Some(answer)) = timeout_at(until, answers.next()).await {
            let (node, answer) = answer?;
            match answer {
                Answer::Traced(traced) => {
                    print(&Traced::new(&node, traced), arguments.output, to)?;
                    came += 1;
                }
                Answer::Error(why) => {
                    refused = true;
                    writeln!(to.remarks, "{}: {}", harmless(&node), harmless(&why))?;
                }
                Answer::Metrics(_) => {}
            }
            if came == arguments.count {
                return Ok(Verdict::Well);
            }
        }
        if !refused {
            tokio::time::sleep(AGAIN).await;
        }
    }
    if refused {
        return Ok(Verdict::Wrong);
    }
    let count = arguments.count;
    writeln!(
        to.remarks,
        "{came} of {count} requests came in time: send one, or ask for fewer parts of it; 'novactl \
         explain' tells what would become of one."
    )?;
    Ok(Verdict::Wrong)
}

async fn ask(
    servers: &mut [Server],
    question: &TraceQuestion,
    arguments: &arguments::Trace,
    until: Instant,
) -> Result<SelectAll<Answers>, Failure> {
    let left = until.saturating_duration_since(Instant::now()).as_secs() + 1;
    let seconds = u32::try_from(left).unwrap_or(u32::MAX);
    let node = arguments.agent.as_deref().unwrap_or_default();
    let mut all = Vec::new();
    for server in servers {
        all.extend(server.trace(node, question, seconds).await?);
    }
    Ok(stream::select_all(all))
}

/// Prints a request when it comes.
fn print(traced: &Traced, output: SnapshotOutput, to: &mut Terminal<'_>) -> Result<(), Failure> {
    let text = match output {
        SnapshotOutput::Table => traced.text(to.paint) + "\n",
        SnapshotOutput::Json => json(traced)?,
        SnapshotOutput::Yaml => format!("---\n{}", yaml(traced)?),
    };
    to.out.write_all(text.as_bytes())?;
    to.out.flush()?;
    Ok(())
}
