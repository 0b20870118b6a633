//! Questions of people to the agents that are connected here, and the agents' answers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{Stream, StreamExt as _};
use novaedge_proto::v1::{self, agents_answer, answer, ask_agents_request, question};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::authenticate::Caller;

/// Questions that are open at one time.
const MAX_QUESTIONS: usize = 16;
/// Of these, the traces: they wait long, and others ask in between.
const MAX_TRACES: usize = 8;
/// Questions that wait for an agent to take them.
const UNTAKEN: usize = MAX_QUESTIONS * 2;
/// Answers that wait for whoever asked.
const UNREAD: usize = 64;
/// How long an answer waits for whoever asked to read the ones before.
const READ_LIMIT: Duration = Duration::from_secs(5);
/// How long an agent may take to say who it is.
const HELLO_LIMIT: Duration = Duration::from_secs(10);
const DEFAULT_SECONDS: u32 = 10;
const MAX_SECONDS: u32 = 300;

/// Who may be asked, and who has asked. A clone is the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asking(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    last_id: u64,
    agents: BTreeMap<u64, Seat>,
    questions: BTreeMap<u64, Open>,
}

/// A stream of an agent.
#[derive(Debug)]
struct Seat {
    node: String,
    questions: mpsc::Sender<Result<v1::Question, Status>>,
}

/// A question that somebody waits for.
#[derive(Debug)]
struct Open {
    is_trace: bool,
    answers: mpsc::Sender<Result<v1::AgentsAnswer, Status>>,
    /// The seats that have not given their last answer.
    waits_for: BTreeMap<u64, Waiting>,
    /// Cancelled when all have.
    complete: CancellationToken,
}

/// A seat that is waited for.
#[derive(Clone, Debug)]
struct Waiting {
    node: String,
    /// It has told something.
    has_told: bool,
}

impl Waiting {
    fn new(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            has_told: false,
        }
    }
}

pub(crate) type Questions = mpsc::Receiver<Result<v1::Question, Status>>;
pub(crate) type Answers = mpsc::Receiver<Result<v1::AgentsAnswer, Status>>;

impl Asking {
    /// Asks. The future sees to the end of the question, and must be run.
    pub(crate) fn ask(
        &self,
        request: &v1::AskAgentsRequest,
        drain: CancellationToken,
    ) -> Result<(Answers, impl Future<Output = ()> + use<>), Status> {
        let what = match request.question.clone() {
            Some(ask_agents_request::Question::Metrics(one)) => question::What::Metrics(one),
            Some(ask_agents_request::Question::Trace(one)) => question::What::Trace(one),
            None => return Err(Status::invalid_argument("the request has no question")),
        };
        let (answers, read) = mpsc::channel(UNREAD);
        let complete = CancellationToken::new();
        let id = self.open(&request.node_id, what, answers.clone(), complete.clone())?;
        let seconds = match request.seconds {
            0 => DEFAULT_SECONDS,
            seconds => seconds.min(MAX_SECONDS),
        };
        let asking = self.clone();
        let limit = Duration::from_secs(seconds.into());
        let watch = async move {
            tokio::select! {
                () = complete.cancelled() => {}
                () = answers.closed() => {}
                () = tokio::time::sleep(limit) => {}
                () = drain.cancelled() => {
                    // Whoever reads nothing any more sees the end alone.
                    let _ = answers.try_send(Err(Status::unavailable("the control plane shuts down")));
                }
            }
            asking.close(id);
        };
        Ok((read, watch))
    }

    fn open(
        &self,
        node: &str,
        what: question::What,
        answers: mpsc::Sender<Result<v1::AgentsAnswer, Status>>,
        complete: CancellationToken,
    ) -> Result<u64, Status> {
        let mut state = self.state();
        if state.questions.len() >= MAX_QUESTIONS {
            return Err(Status::resource_exhausted(format!(
                "{MAX_QUESTIONS} questions are open already: try again when one has ended"
            )));
        }
        let is_trace = matches!(what, question::What::Trace(_));
        let traces = state.questions.values().filter(|open| open.is_trace);
        if is_trace && traces.count() >= MAX_TRACES {
            return Err(Status::resource_exhausted(format!(
                "{MAX_TRACES} traces are open already: try again when one has ended"
            )));
        }
        state.last_id += 1;
        let id = state.last_id;
        let question = v1::Question {
            id,
            what: Some(what),
        };
        let mut waits_for = BTreeMap::new();
        let chosen = |seat: &Seat| node.is_empty() || seat.node == node;
        for (at, seat) in state.agents.iter().filter(|(_, seat)| chosen(seat)) {
            if seat.questions.try_send(Ok(question.clone())).is_ok() {
                waits_for.insert(*at, Waiting::new(&seat.node));
            } else {
                let error = "takes no questions now".to_owned();
                let _ = answers.try_send(Ok(v1::AgentsAnswer {
                    node_id: seat.node.clone(),
                    answer: Some(agents_answer::Answer::Error(error)),
                }));
            }
        }
        if !node.is_empty() && waits_for.is_empty() {
            return Err(Status::not_found(format!(
                "no agent {node:?} is connected here: see ListAgents"
            )));
        }
        if waits_for.is_empty() {
            complete.cancel();
        }
        let open = Open {
            is_trace,
            answers,
            waits_for,
            complete,
        };
        state.questions.insert(id, open);
        Ok(id)
    }

    /// Ends a question. Agents that have not answered need not any more.
    fn close(&self, id: u64) {
        let mut state = self.state();
        let Some(open) = state.questions.remove(&id) else {
            return;
        };
        for seat in open.waits_for.keys() {
            if let Some(seat) = state.agents.get(seat) {
                // An agent that takes nothing ends its questions with its stream.
                let _ = seat.questions.try_send(Ok(v1::Question {
                    id,
                    what: Some(question::What::Cancelled(v1::Cancelled {})),
                }));
            }
        }
    }

    /// A stream of an agent: what it is asked, and the future that takes its answers, which must be run.
    pub(crate) fn seat<I>(
        &self,
        caller: Option<Caller>,
        inbound: I,
        drain: CancellationToken,
    ) -> (Questions, impl Future<Output = ()> + use<I>)
    where
        I: Stream<Item = Result<v1::AgentAnswer, Status>> + Unpin,
    {
        let (questions, asked) = mpsc::channel(UNTAKEN);
        let asking = self.clone();
        let serve = async move {
            let taken = asking.take(caller, inbound, &questions);
            let end = tokio::select! {
                end = taken => end,
                () = questions.closed() => Ok(()),
                () = drain.cancelled() => Err(Status::unavailable("the control plane shuts down")),
            };
            if let Err(status) = end {
                // An agent that takes nothing any more sees the end alone.
                let _ = questions.try_send(Err(status));
            }
        };
        (asked, serve)
    }

    async fn take<I>(
        &self,
        caller: Option<Caller>,
        mut inbound: I,
        questions: &mpsc::Sender<Result<v1::Question, Status>>,
    ) -> Result<(), Status>
    where
        I: Stream<Item = Result<v1::AgentAnswer, Status>> + Unpin,
    {
        let hello = timeout(HELLO_LIMIT, inbound.next()).await;
        let hello = hello.map_err(|_| Status::deadline_exceeded("no node came"))?;
        let Some(v1::agent_answer::Message::Node(node)) =
            hello.transpose()?.and_then(|one| one.message)
        else {
            return Err(Status::invalid_argument(
                "the first message is to be a node",
            ));
        };
        let node = match &caller {
            Some(caller) => caller.admit(node).map_err(Status::permission_denied)?,
            None => node,
        };
        let seat = self.sit(node.id, questions.clone());
        while let Some(message) = inbound.next().await {
            match message?.message {
                Some(v1::agent_answer::Message::Answer(answer)) => seat.answered(answer).await,
                _ => return Err(Status::invalid_argument("only answers follow a node")),
            }
        }
        Ok(())
    }

    fn sit(&self, node: String, questions: mpsc::Sender<Result<v1::Question, Status>>) -> Taken {
        let mut state = self.state();
        state.last_id += 1;
        let id = state.last_id;
        state.agents.insert(id, Seat { node, questions });
        Taken {
            asking: self.clone(),
            id,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is whole before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A seat that is left when this is dropped.
struct Taken {
    asking: Asking,
    id: u64,
}

impl Taken {
    /// Passes an answer to whoever asked. Those who do not read are not waited for.
    async fn answered(&self, answer: v1::Answer) {
        let (question, last) = (answer.question, answer.last);
        let asked = {
            let mut state = self.asking.state();
            let open = state.questions.get_mut(&question);
            open.and_then(|open| {
                let waiting = open.waits_for.get_mut(&self.id)?;
                let had_told = std::mem::replace(&mut waiting.has_told, true);
                Some((open.answers.clone(), waiting.node.clone(), had_told))
            })
        };
        let Some((answers, node_id, had_told)) = asked else {
            return;
        };
        let told = match answer.what {
            Some(answer::What::Metrics(part)) => Some(agents_answer::Answer::Metrics(part)),
            Some(answer::What::Traced(one)) => Some(agents_answer::Answer::Traced(one)),
            Some(answer::What::Error(why)) => Some(agents_answer::Answer::Error(why)),
            // What an agent does not know it ends at once.
            None if last && !had_told => {
                let error = "does not know this question: its version is older";
                Some(agents_answer::Answer::Error(error.to_owned()))
            }
            None => None,
        };
        if told.is_some() {
            let answer = v1::AgentsAnswer {
                node_id,
                answer: told,
            };
            let read = timeout(READ_LIMIT, answers.send(Ok(answer))).await;
            if !matches!(read, Ok(Ok(()))) {
                self.asking.close(question);
                return;
            }
        }
        if last {
            self.ended(question);
        }
    }

    fn ended(&self, question: u64) {
        let mut state = self.asking.state();
        if let Some(open) = state.questions.get_mut(&question) {
            open.waits_for.remove(&self.id);
            if open.waits_for.is_empty() {
                open.complete.cancel();
            }
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut state = self.asking.state();
        state.agents.remove(&self.id);
        for open in state.questions.values_mut() {
            let Some(Waiting { node, .. }) = open.waits_for.remove(&self.id) else {
                continue;
            };
            let error = "left before it had answered".to_owned();
            let _ = open.answers.try_send(Ok(v1::AgentsAnswer {
                node_id: node,
                answer: Some(agents_answer::Answer::Error(error)),
            }));
            if open.waits_for.is_empty() {
                open.complete.cancel();
            }
        }
    }
}
