//! The second stream to the control plane: what people ask of this agent.

use std::{fmt, sync::Arc, time::Duration};

use http::uri::PathAndQuery;
use novaedge_proto::v1::{self, agent_answer, answer, question};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status as GrpcStatus, Streaming, client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;

use crate::{config::SubscriberConfig, stream::authorize};

const ANSWER_QUESTIONS: &str = "/novaedge.v1.SnapshotDiscovery/AnswerQuestions";

/// Messages that wait for the transport.
const OUTBOUND_MESSAGES: usize = 4;
/// Text in one message, in bytes.
const PART: usize = 60 << 10;
/// The wait before the stream is opened anew. Nothing hurries: traffic and snapshots do without it.
const AGAIN: Duration = Duration::from_secs(2);

/// What can be asked of an agent.
pub trait Answers: fmt::Debug + Send + Sync {
    /// All metrics, in the OpenMetrics text format.
    fn metrics(&self) -> String;
}

/// Answers until dropped.
pub(crate) async fn keep(
    channel: Channel,
    config: &SubscriberConfig,
    answers: Option<Arc<dyn Answers>>,
) {
    let Some(answers) = answers else {
        return std::future::pending().await;
    };
    loop {
        if let Err(status) = serve(channel.clone(), config, answers.as_ref()).await {
            tracing::debug!(code = ?status.code(), reason = status.message(), "questions end");
            if status.code() == Code::Unimplemented {
                return std::future::pending().await;
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// One stream.
async fn serve(
    channel: Channel,
    config: &SubscriberConfig,
    answers: &dyn Answers,
) -> Result<(), GrpcStatus> {
    let (outbound, messages) = mpsc::channel(OUTBOUND_MESSAGES);
    let node = agent_answer::Message::Node(config.node.clone());
    // There is room for it.
    let _ = outbound.try_send(v1::AgentAnswer {
        message: Some(node),
    });
    let mut request = Request::new(ReceiverStream::new(messages));
    let authorized = authorize(&mut request, config).await;
    authorized.map_err(|error| GrpcStatus::unauthenticated(error.to_string()))?;
    let mut client = Grpc::new(channel);
    let ready = client.ready().await;
    ready.map_err(|error| GrpcStatus::unavailable(error.to_string()))?;
    let path = PathAndQuery::from_static(ANSWER_QUESTIONS);
    let opened = client
        .streaming(request, path, ProstCodec::default())
        .await?;
    let mut questions: Streaming<v1::Question> = opened.into_inner();
    while let Some(question) = questions.message().await? {
        match question.what {
            Some(question::What::Metrics(_)) => {
                let text = answers.metrics();
                for part in parts(&text) {
                    if !say(&outbound, metrics(question.id, part)).await {
                        return Ok(());
                    }
                }
            }
            // What is cancelled has been answered by now.
            Some(question::What::Cancelled(_)) => continue,
            // What is not known here may be known to a later version.
            None => {}
        }
        if !say(&outbound, last(question.id)).await {
            return Ok(());
        }
    }
    Ok(())
}

/// Whether somebody takes the answer.
async fn say(outbound: &mpsc::Sender<v1::AgentAnswer>, answer: v1::Answer) -> bool {
    let message = v1::AgentAnswer {
        message: Some(agent_answer::Message::Answer(answer)),
    };
    outbound.send(message).await.is_ok()
}

fn metrics(question: u64, part: &str) -> v1::Answer {
    v1::Answer {
        question,
        what: Some(answer::What::Metrics(v1::MetricsPart {
            text: part.to_owned(),
        })),
        last: false,
    }
}

fn last(question: u64) -> v1::Answer {
    v1::Answer {
        question,
        what: None,
        last: true,
    }
}

/// Whole lines of a bounded length together, unless one line is longer.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let bytes = rest.as_bytes();
        let near = bytes
            .get(..PART)
            .and_then(|part| part.iter().rposition(|b| *b == b'\n'));
        let far = || bytes.iter().position(|b| *b == b'\n');
        let end = match near {
            _ if rest.len() <= PART => rest.len(),
            Some(at) => at + 1,
            None => far().map_or(rest.len(), |at| at + 1),
        };
        let (part, left) = rest.split_at(end);
        rest = left;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_whole_lines() {
        let long = "x".repeat(2 * PART);
        let text = format!("a\nb\n{long}\n{}", "line\n".repeat(PART));
        let found: Vec<&str> = parts(&text).collect();
        assert_eq!(found.concat(), text);
        assert_eq!(found[0], "a\nb\n");
        assert_eq!(found[1].len(), long.len() + 1);
        assert!(
            found[2..]
                .iter()
                .all(|part| part.len() <= PART && part.ends_with('\n'))
        );
        assert_eq!(parts("").count(), 0);
        assert_eq!(parts("no end").collect::<Vec<_>>(), ["no end"]);
    }
}
