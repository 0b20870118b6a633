//! Questions to agents, asked and answered over a socket.

use std::time::Duration;

use novaedge_proto::v1::{
    self, agent_answer, agents_answer, answer, ask_agents_request, question,
    snapshot_discovery_client::SnapshotDiscoveryClient,
};
use novaedge_publish::ServerConfig;
use tokio::sync::mpsc;
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{Code, Status, Streaming, transport::Channel};

use super::harness::{Running, start};

/// The end of an agent.
struct Answering {
    outbound: mpsc::Sender<v1::AgentAnswer>,
    questions: Streaming<v1::Question>,
}

impl Answering {
    async fn connect(running: &Running, node: &str) -> Self {
        let (outbound, messages) = mpsc::channel(8);
        let mut client = running.client().await;
        let node = v1::Node {
            id: node.to_owned(),
            ..v1::Node::default()
        };
        let hello = v1::AgentAnswer {
            message: Some(agent_answer::Message::Node(node)),
        };
        outbound.send(hello).await.unwrap();
        let opened = client.answer_questions(ReceiverStream::new(messages)).await;
        Self {
            outbound,
            questions: opened.unwrap().into_inner(),
        }
    }

    async fn asked(&mut self) -> v1::Question {
        let next = tokio::time::timeout(Duration::from_secs(10), self.questions.message());
        next.await.unwrap().unwrap().unwrap()
    }

    async fn say(&self, question: u64, text: Option<&str>, last: bool) {
        let what = text.map(|text| answer::What::Metrics(v1::MetricsPart { text: text.into() }));
        self.tell(question, what, last).await;
    }

    async fn tell(&self, question: u64, what: Option<answer::What>, last: bool) {
        let answer = v1::Answer {
            question,
            what,
            last,
        };
        let message = v1::AgentAnswer {
            message: Some(agent_answer::Message::Answer(answer)),
        };
        self.outbound.send(message).await.unwrap();
    }
}

type Client = SnapshotDiscoveryClient<Channel>;

/// Asks for metrics.
async fn ask(client: &mut Client, node: &str, agents: usize) -> Streaming<v1::AgentsAnswer> {
    let question = ask_agents_request::Question::Metrics(v1::MetricsQuestion {});
    ask_for(question, client, node, agents).await
}

/// Asks once the agents are known, which is a moment after they have come.
async fn ask_for(
    question: ask_agents_request::Question,
    client: &mut Client,
    node: &str,
    agents: usize,
) -> Streaming<v1::AgentsAnswer> {
    for _ in 0..100 {
        let request = v1::AskAgentsRequest {
            node_id: node.to_owned(),
            seconds: 5,
            question: Some(question.clone()),
        };
        match client.ask_agents(request).await {
            Ok(answers) => return answers.into_inner(),
            Err(status) => assert_eq!(status.code(), Code::NotFound, "{agents} {status}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{node} is not known");
}

async fn all(answers: Streaming<v1::AgentsAnswer>) -> Vec<(String, String)> {
    let answers: Vec<Result<v1::AgentsAnswer, Status>> = answers.collect().await;
    let mut told: Vec<(String, String)> = answers
        .into_iter()
        .map(|one| {
            let one = one.unwrap();
            let text = match one.answer.unwrap() {
                agents_answer::Answer::Metrics(part) => part.text,
                agents_answer::Answer::Error(error) => format!("error: {error}"),
                agents_answer::Answer::Traced(one) => format!("traced at {}", one.began_at_us),
            };
            (one.node_id, text)
        })
        .collect();
    told.sort();
    told
}

fn told(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = pairs.iter();
    pairs
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect()
}

#[tokio::test]
async fn every_agent_is_asked_and_its_answers_come_under_its_name() {
    let running = start(ServerConfig::default()).await;
    let mut client = running.client().await;
    let mut agents = [
        Answering::connect(&running, "a").await,
        Answering::connect(&running, "b").await,
    ];
    // Both are known when each can be asked by name.
    for (name, agent) in ["a", "b"].iter().zip(&mut agents) {
        let answers = ask(&mut client, name, 1).await;
        let question = agent.asked().await;
        agent.say(question.id, Some("x 1\n"), false).await;
        agent.say(question.id, Some("y 2\n"), true).await;
        assert_eq!(
            all(answers).await,
            told(&[(name, "x 1\n"), (name, "y 2\n")])
        );
    }
    let answers = ask(&mut client, "", 2).await;
    for agent in &mut agents {
        let question = agent.asked().await;
        assert!(matches!(question.what, Some(question::What::Metrics(_))));
        agent.say(question.id, Some("z 1\n"), false).await;
        agent.say(question.id, None, true).await;
    }
    assert_eq!(all(answers).await, told(&[("a", "z 1\n"), ("b", "z 1\n")]));
    running.stop().await;
}

#[tokio::test]
async fn an_agent_that_leaves_is_told_of_and_one_that_nobody_waits_for_is_told() {
    let running = start(ServerConfig::default()).await;
    let mut client = running.client().await;
    let mut agent = Answering::connect(&running, "a").await;
    let answers = ask(&mut client, "a", 1).await;
    let question = agent.asked().await;
    drop(answers);
    let cancelled = agent.asked().await;
    assert_eq!(cancelled.id, question.id);
    assert!(matches!(cancelled.what, Some(question::What::Cancelled(_))));

    let answers = ask(&mut client, "a", 1).await;
    agent.asked().await;
    drop(agent);
    let error = "error: left before it had answered";
    assert_eq!(all(answers).await, told(&[("a", error)]));
    running.stop().await;
}

#[tokio::test]
async fn what_is_no_question_and_what_is_too_many_is_refused() {
    let running = start(ServerConfig::default()).await;
    let mut client = running.client().await;
    let none = client.ask_agents(v1::AskAgentsRequest::default()).await;
    assert_eq!(none.unwrap_err().code(), Code::InvalidArgument);
    let mut agent = Answering::connect(&running, "a").await;
    let mut open = Vec::new();
    let trace = ask_agents_request::Question::Trace(v1::TraceQuestion::default());
    for _ in 0..8 {
        open.push(ask_for(trace.clone(), &mut client, "a", 1).await);
        agent.asked().await;
    }
    let request = v1::AskAgentsRequest {
        question: Some(trace),
        ..v1::AskAgentsRequest::default()
    };
    let refused = client.ask_agents(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    // There is room for other questions.
    for _ in 8..16 {
        open.push(ask(&mut client, "a", 1).await);
        agent.asked().await;
    }
    let request = v1::AskAgentsRequest {
        question: Some(ask_agents_request::Question::Metrics(
            v1::MetricsQuestion {},
        )),
        ..v1::AskAgentsRequest::default()
    };
    let refused = client.ask_agents(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    running.stop().await;
    // Whoever waits is not kept waiting.
    for answers in &mut open {
        while let Ok(Some(_)) = answers.message().await {}
    }
}

#[tokio::test]
async fn requests_are_passed_on_as_they_come_and_who_knows_no_traces_says_so() {
    let running = start(ServerConfig::default()).await;
    let mut client = running.client().await;
    let mut agent = Answering::connect(&running, "a").await;
    let wanted = v1::TraceQuestion {
        host: "a.example".into(),
        count: 2,
        ..v1::TraceQuestion::default()
    };
    let question = ask_agents_request::Question::Trace(wanted.clone());
    let answers = ask_for(question.clone(), &mut client, "a", 1).await;
    let asked = agent.asked().await;
    assert_eq!(asked.what, Some(question::What::Trace(wanted)));
    let traced = |at| {
        answer::What::Traced(v1::TracedRequest {
            began_at_us: at,
            steps: Vec::new(),
        })
    };
    agent.tell(asked.id, Some(traced(1)), false).await;
    agent.tell(asked.id, Some(traced(2)), false).await;
    agent.tell(asked.id, None, true).await;
    let expect = told(&[("a", "traced at 1"), ("a", "traced at 2")]);
    assert_eq!(all(answers).await, expect);

    let answers = ask_for(question.clone(), &mut client, "a", 1).await;
    let asked = agent.asked().await;
    let refused = answer::What::Error("no".into());
    agent.tell(asked.id, Some(refused), true).await;
    assert_eq!(all(answers).await, told(&[("a", "error: no")]));

    // An agent that does not know the question ends it at once.
    let answers = ask_for(question, &mut client, "a", 1).await;
    let asked = agent.asked().await;
    agent.tell(asked.id, None, true).await;
    let older = "error: does not know this question: its version is older";
    assert_eq!(all(answers).await, told(&[("a", older)]));
    running.stop().await;
}
