//! The second stream to the control plane: what people ask of this agent.

use std::{collections::BTreeMap, fmt, pin::Pin, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt as _};
use http::uri::PathAndQuery;
use novaedge_proto::v1::{self, agent_answer, answer, question};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinError, JoinSet},
};
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

/// Questions that are under way at one time; a control plane has fewer open.
const MAX_QUESTIONS: usize = 64;

/// What can be asked of an agent.
pub trait Answers: fmt::Debug + Send + Sync {
    /// All metrics, in the OpenMetrics text format.
    fn metrics(&self) -> String;

    /// The next requests that match, as they come, and no more than were asked for. The error is for whoever asked.
    fn trace(&self, question: &v1::TraceQuestion) -> Result<Traced, String>;
}

/// Requests that somebody asked for. Nobody asks any more when it is dropped.
pub type Traced = Pin<Box<dyn Stream<Item = v1::TracedRequest> + Send>>;

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
        if let Err(status) = serve(channel.clone(), config, &answers).await {
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
    answers: &Arc<dyn Answers>,
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
    let mut under_way = UnderWay::default();
    loop {
        let question = tokio::select! {
            question = questions.message() => question?,
            Some(ended) = under_way.tasks.join_next() => {
                under_way.ended(ended);
                continue;
            }
        };
        let Some(question) = question else {
            return Ok(());
        };
        let id = question.id;
        match question.what {
            Some(question::What::Cancelled(_)) => under_way.cancel(id),
            Some(_) if under_way.handles.len() >= MAX_QUESTIONS => {
                let why = format!("answers {MAX_QUESTIONS} questions already: try again");
                drop(say(&outbound, last(id, Some(answer::What::Error(why)))).await);
            }
            Some(what) => under_way.begin(id, what, answers, &outbound),
            // What is not known here may be known to a later version.
            None => drop(say(&outbound, last(id, None)).await),
        }
        if outbound.is_closed() {
            return Ok(());
        }
    }
}

/// Questions that are being answered, side by side. They end with this.
#[derive(Default)]
struct UnderWay {
    tasks: JoinSet<()>,
    handles: BTreeMap<u64, AbortHandle>,
}

impl UnderWay {
    fn begin(
        &mut self,
        id: u64,
        what: question::What,
        answers: &Arc<dyn Answers>,
        outbound: &mpsc::Sender<v1::AgentAnswer>,
    ) {
        let (answers, outbound) = (Arc::clone(answers), outbound.clone());
        let handle = self.tasks.spawn(async move {
            // Nobody waits for the answers if they cannot be said.
            let _ = tell(id, what, answers.as_ref(), &outbound).await;
        });
        self.handles.insert(id, handle);
    }

    /// A panic is one of this thread.
    fn ended(&mut self, result: Result<(), JoinError>) {
        match result.map_err(JoinError::try_into_panic) {
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            Ok(()) | Err(Err(_)) => self.handles.retain(|_, handle| !handle.is_finished()),
        }
    }

    fn cancel(&mut self, id: u64) {
        if let Some(handle) = self.handles.remove(&id) {
            handle.abort();
        }
    }
}

/// The control plane takes no answers any more.
struct Gone;

/// Answers one question to its end.
async fn tell(
    id: u64,
    what: question::What,
    answers: &dyn Answers,
    outbound: &mpsc::Sender<v1::AgentAnswer>,
) -> Result<(), Gone> {
    match what {
        question::What::Metrics(_) => {
            let text = answers.metrics();
            for part in parts(&text) {
                let text = part.to_owned();
                let part = answer::What::Metrics(v1::MetricsPart { text });
                say(outbound, part_of(id, part)).await?;
            }
        }
        question::What::Trace(question) => match answers.trace(&question) {
            Ok(mut traced) => {
                while let Some(one) = traced.next().await {
                    say(outbound, part_of(id, answer::What::Traced(one))).await?;
                }
            }
            Err(why) => return say(outbound, last(id, Some(answer::What::Error(why)))).await,
        },
        question::What::Cancelled(_) => {}
    }
    say(outbound, last(id, None)).await
}

async fn say(outbound: &mpsc::Sender<v1::AgentAnswer>, answer: v1::Answer) -> Result<(), Gone> {
    let message = v1::AgentAnswer {
        message: Some(agent_answer::Message::Answer(answer)),
    };
    outbound.send(message).await.map_err(|_| Gone)
}

fn part_of(question: u64, what: answer::What) -> v1::Answer {
    v1::Answer {
        question,
        what: Some(what),
        last: false,
    }
}

fn last(question: u64, what: Option<answer::What>) -> v1::Answer {
    v1::Answer {
        question,
        what,
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
