//! What an attacker saw.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::{Deserialize, Serialize};

/// Counts of one abuse, as the attacker sees it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Connections that were opened.
    pub opened: u64,
    /// Connections that could not be opened.
    pub refused: u64,
    /// Connections that the agent ended.
    pub ended: u64,
    /// What was sent, in the unit of the abuse.
    pub sent: u64,
    /// Bytes that were sent.
    pub bytes: u64,
    /// GOAWAY frames by their code.
    pub goaways: BTreeMap<u32, u64>,
    /// RST_STREAM frames by their code.
    pub resets: BTreeMap<u32, u64>,
    /// Answers by their status; 0 stands for one that this client cannot read.
    pub statuses: BTreeMap<u16, u64>,
}

impl Tally {
    /// Notes an answer.
    pub fn status(&mut self, status: u16) {
        *self.statuses.entry(status).or_default() += 1;
    }

    /// In words.
    pub fn words(&self) -> String {
        let mut text = format!(
            "{} connections, {} ended by the agent",
            count(self.opened),
            count(self.ended)
        );
        if self.refused > 0 {
            let _ = write!(text, ", {} not accepted", count(self.refused));
        }
        for (frame, codes) in [("GOAWAY", &self.goaways), ("RST_STREAM", &self.resets)] {
            for (code, times) in codes {
                let _ = write!(text, "; {frame} {} × {}", code_name(*code), count(*times));
            }
        }
        for (status, times) in &self.statuses {
            let _ = match status {
                0 => write!(text, "; other answers × {}", count(*times)),
                status => write!(text, "; {status} × {}", count(*times)),
            };
        }
        text
    }
}

/// A count with its thousands set apart.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// RFC 9113 section 7.
fn code_name(code: u32) -> String {
    let name = match code {
        0 => "NO_ERROR",
        1 => "PROTOCOL_ERROR",
        2 => "INTERNAL_ERROR",
        3 => "FLOW_CONTROL_ERROR",
        4 => "SETTINGS_TIMEOUT",
        5 => "STREAM_CLOSED",
        6 => "FRAME_SIZE_ERROR",
        7 => "REFUSED_STREAM",
        8 => "CANCEL",
        9 => "COMPRESSION_ERROR",
        10 => "CONNECT_ERROR",
        11 => "ENHANCE_YOUR_CALM",
        _ => return code.to_string(),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_is_told_in_words() {
        let mut tally = Tally {
            opened: 1234,
            ended: 7,
            ..Tally::default()
        };
        tally.goaways.insert(11, 7);
        tally.status(431);
        let words =
            "1 234 connections, 7 ended by the agent; GOAWAY ENHANCE_YOUR_CALM × 7; 431 × 1";
        assert_eq!(tally.words(), words);
    }
}
