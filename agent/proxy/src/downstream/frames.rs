//! Frames of HTTP/2 as they come, seen from outside of the codec: a client that sends little but control frames is ended.

/// Bytes of a frame's header (RFC 9113 section 4.1).
const HEADER: usize = 9;

/// Bytes of control frames that are free.
const FREE: u64 = 1024 * 1024;

/// Bytes of control frames for each byte of requests and answers beyond that.
const SHARE: u64 = 8;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

/// What a client has sent so far.
#[derive(Debug)]
pub(super) struct Frames {
    header: [u8; HEADER],
    /// Bytes of the header that are there.
    have: usize,
    /// Bytes to come that belong to the preface, or to the payload of a frame.
    rest: u64,
    /// Bytes of frames that carry requests.
    useful: u64,
    /// Bytes of all other frames.
    control: u64,
    /// Bytes that acknowledge control frames, which the codec sends.
    acknowledged: u64,
}

impl Frames {
    /// Before the preface, of which nothing has been read.
    pub(super) fn new(preface: usize) -> Self {
        Self {
            header: [0; HEADER],
            have: 0,
            rest: preface as u64,
            useful: 0,
            control: 0,
            acknowledged: 0,
        }
    }

    /// Takes bytes as they come.
    pub(super) fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.rest > 0 {
                let skipped = usize::try_from(self.rest)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                self.rest -= skipped as u64;
                bytes = bytes.get(skipped..).unwrap_or_default();
                continue;
            }
            let (header, more) = bytes.split_at(bytes.len().min(HEADER - self.have));
            for (to, from) in self.header.iter_mut().skip(self.have).zip(header) {
                *to = *from;
            }
            self.have += header.len();
            bytes = more;
            if self.have == HEADER {
                self.have = 0;
                self.count();
            }
        }
    }

    fn count(&mut self) {
        let [high, middle, low, kind, ..] = self.header;
        let length = u64::from(u32::from_be_bytes([0, high, middle, low]));
        let all = HEADER as u64 + length;
        self.rest = length;
        match kind {
            DATA | HEADERS | CONTINUATION if length > 0 => self.useful += all,
            _ => self.control += all,
        }
        match kind {
            PING => self.acknowledged += all,
            SETTINGS => self.acknowledged += HEADER as u64,
            _ => {}
        }
    }

    /// Whether too little of it is of use, when so many bytes have been sent to the client.
    pub(super) fn is_flood(&self, sent: u64) -> bool {
        let useful = self.useful + sent.saturating_sub(self.acknowledged);
        self.control > FREE + SHARE.saturating_mul(useful)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: u32) -> Vec<u8> {
        let [_, high, middle, low] = length.to_be_bytes();
        let mut frame = vec![high, middle, low, kind, 0, 0, 0, 0, 0];
        frame.resize(HEADER + length as usize, 0);
        frame
    }

    #[test]
    fn control_frames_alone_are_a_flood_sooner_or_later() {
        for (kind, length) in [
            (PING, 8),
            (SETTINGS, 0),
            (SETTINGS, 6),
            (2, 5),
            (8, 4),
            (200, 0),
            (DATA, 0),
        ] {
            let mut frames = Frames::new(0);
            let one = frame(kind, length);
            let mut count = 0_u64;
            // The codec answers pings and settings in kind.
            while !frames.is_flood(frames.acknowledged) {
                frames.take(&one);
                count += 1;
                assert!(count < 1_000_000, "{kind}");
            }
            assert!(count * one.len() as u64 > FREE);
        }
    }

    #[test]
    fn control_frames_beside_traffic_are_none() {
        let mut frames = Frames::new(24);
        frames.take(&[0; 24]);
        let (ping, update, request) = (frame(PING, 8), frame(8, 4), frame(HEADERS, 20));
        for _ in 0..1_000_000 {
            // A call of gRPC on a short way: its client measures the way with each answer.
            for one in [&request, &ping, &update, &update] {
                frames.take(one);
            }
        }
        assert!(!frames.is_flood(0));
        // A long download: answers count as well.
        let mut frames = Frames::new(0);
        for _ in 0..1_000_000 {
            frames.take(&update);
        }
        assert!(frames.is_flood(1_000));
        assert!(!frames.is_flood(1_000_000 * 16_384));
    }

    #[test]
    fn frames_may_come_in_any_pieces() {
        let mut stream = vec![0; 24];
        for (kind, length) in [
            (HEADERS, 100),
            (DATA, 70_000),
            (PING, 8),
            (SETTINGS, 12),
            (CONTINUATION, 1),
        ] {
            stream.extend(frame(kind, length));
        }
        for piece in [1, 2, 7, 9, 1_000, 100_000] {
            let mut frames = Frames::new(24);
            for bytes in stream.chunks(piece) {
                frames.take(bytes);
            }
            let counts = (
                frames.useful,
                frames.control,
                frames.acknowledged,
                frames.rest,
            );
            assert_eq!(counts, (70_101 + 27, 20 + 18, 17 + 9, 0), "{piece}");
        }
    }
}
