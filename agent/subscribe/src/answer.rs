//! The answer to a step.

use novaedge_proto::{
    MAX_MESSAGE_BYTES,
    v1::{self, agent_message::Message},
};
use prost::Message as _;

/// What the control plane keeps of the text of a rejection.
const MAX_ERROR_BYTES: usize = 1024;

/// The messages of an answer: one, unless there are very many rejections.
pub fn answer(
    nonce: &str,
    version: &v1::Version,
    rejected: &[v1::RejectedResource],
) -> Vec<v1::AgentMessage> {
    let empty = v1::Ack {
        nonce: nonce.to_owned(),
        version: Some(version.clone()),
        ..v1::Ack::default()
    };
    let head = empty.encoded_len();
    let mut part = empty.clone();
    let mut size = head;
    let mut messages = Vec::new();
    for rejected in rejected {
        let mut rejected = rejected.clone();
        let end = rejected.error.floor_char_boundary(MAX_ERROR_BYTES);
        rejected.error.truncate(end);
        // A key of one byte and a length of at most four.
        let len = rejected.encoded_len() + 5;
        if size + len > MAX_MESSAGE_BYTES && !part.rejected.is_empty() {
            part.more = true;
            messages.push(message(std::mem::replace(&mut part, empty.clone())));
            size = head;
        }
        size += len;
        part.rejected.push(rejected);
    }
    messages.push(message(part));
    messages
}

fn message(ack: v1::Ack) -> v1::AgentMessage {
    v1::AgentMessage {
        message: Some(Message::Ack(ack)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acks(rejected: usize, error: &str) -> Vec<v1::Ack> {
        let rejected = (0..rejected).map(|n| v1::RejectedResource {
            name: format!("route/{n}"),
            version: "v".into(),
            error: error.into(),
        });
        let version = v1::Version::default();
        let messages = answer("7", &version, &rejected.collect::<Vec<_>>());
        let ack = |message: v1::AgentMessage| {
            assert!(message.encoded_len() <= MAX_MESSAGE_BYTES + 16);
            match message.message {
                Some(Message::Ack(ack)) => ack,
                _ => panic!("no ack"),
            }
        };
        messages.into_iter().map(ack).collect()
    }

    #[test]
    fn an_answer_is_one_message_as_a_rule() {
        for count in [0, 1, 100] {
            let acks = acks(count, "bad regex");
            assert_eq!(acks.len(), 1);
            assert_eq!(acks[0].rejected.len(), count);
            assert_eq!((acks[0].nonce.as_str(), acks[0].more), ("7", false));
        }
    }

    #[test]
    fn very_many_rejections_come_in_parts_with_their_texts_cut() {
        let acks = acks(3_000, &"ä".repeat(10_000));
        assert!(acks.len() > 1);
        let (last, parts) = acks.split_last().unwrap();
        assert!(parts.iter().all(|ack| ack.more && ack.nonce == "7"));
        assert!(!last.more);
        assert_eq!(acks.iter().map(|a| a.rejected.len()).sum::<usize>(), 3_000);
        assert!(last.rejected[0].error.len() <= MAX_ERROR_BYTES);
    }
}
