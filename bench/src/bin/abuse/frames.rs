//! Frames of HTTP/2 (RFC 9113) and fields of HPACK (RFC 7541) by hand: what no library would send.

/// What a client says first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes before the payload of a frame.
pub const HEAD: usize = 9;

/// The largest payload that every peer takes.
pub const LARGEST: usize = 16 * 1024;

/// Types of frames.
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames.
pub mod flag {
    pub const ACK: u8 = 0x1;
    pub const END_STREAM: u8 = 0x1;
    pub const END_HEADERS: u8 = 0x4;
    pub const PADDED: u8 = 0x8;
    pub const PRIORITY: u8 = 0x20;
}

/// SETTINGS_INITIAL_WINDOW_SIZE.
pub const INITIAL_WINDOW: u16 = 4;

/// The reason CANCEL.
pub const CANCEL: [u8; 4] = [0, 0, 0, 8];

/// The one byte of HPACK that stands for the newest entry of the dynamic table.
pub const NEWEST: u8 = 0xbe;

/// The head of a frame that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub length: usize,
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

impl Head {
    /// Reads a head.
    pub fn read(bytes: [u8; HEAD]) -> Self {
        let [a, b, c, kind, flags, s0, s1, s2, s3] = bytes;
        Self {
            length: u32::from_be_bytes([0, a, b, c]) as usize,
            kind,
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff,
        }
    }

    /// Whether a flag is set.
    pub fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Appends a frame.
pub fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    // Callers stay below the largest payload.
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    out.extend(length.to_be_bytes().into_iter().skip(1));
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// The preface and SETTINGS.
pub fn opening(settings: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (name, value) in settings {
        payload.extend(name.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    let mut out = PREFACE.to_vec();
    frame(&mut out, kind::SETTINGS, 0, 0, &payload);
    out
}

/// Appends a field list in as many frames as it takes.
pub fn headers(out: &mut Vec<u8>, flags: u8, stream: u32, block: &[u8]) {
    let mut rest = block;
    let (mut kind, mut flags) = (kind::HEADERS, flags);
    loop {
        let (part, more) = rest.split_at(rest.len().min(LARGEST));
        let last = if more.is_empty() {
            flag::END_HEADERS
        } else {
            0
        };
        frame(out, kind, flags | last, stream, part);
        if more.is_empty() {
            return;
        }
        (rest, kind, flags) = (more, kind::CONTINUATION, 0);
    }
}

/// The field list of `GET path`.
pub fn get(host: &str, path: &str) -> Vec<u8> {
    request(0x82, host, path)
}

/// The field list of `POST path`.
pub fn post(host: &str, path: &str) -> Vec<u8> {
    request(0x83, host, path)
}

fn request(method: u8, host: &str, path: &str) -> Vec<u8> {
    // The method and `http` stand in the static table, as do the names of path and authority.
    let mut block = vec![method, 0x86, 0x04];
    string(&mut block, path.as_bytes());
    block.push(0x01);
    string(&mut block, host.as_bytes());
    block
}

/// Appends a field that enters no table.
pub fn field(block: &mut Vec<u8>, name: &str, value: &[u8]) {
    block.push(0x00);
    string(block, name.as_bytes());
    string(block, value);
}

/// Appends a field that enters the dynamic table, as [`NEWEST`].
pub fn field_to_keep(block: &mut Vec<u8>, name: &str, value: &[u8]) {
    block.push(0x40);
    string(block, name.as_bytes());
    string(block, value);
}

/// A string without Huffman coding: its length with a prefix of 7 bits, then its bytes.
fn string(block: &mut Vec<u8>, text: &[u8]) {
    let mut length = text.len();
    if length < 127 {
        block.extend(u8::try_from(length));
    } else {
        block.push(127);
        length -= 127;
        while length >= 128 {
            block.extend(u8::try_from(length % 128 + 128));
            length /= 128;
        }
        block.extend(u8::try_from(length));
    }
    block.extend_from_slice(text);
}

/// The status of an answer, as far as its first field tells; `None` where it stands in the dynamic table.
pub fn status(block: &[u8]) -> Option<u16> {
    // A table may be said to be smaller before.
    let first = block.iter().position(|byte| byte >> 5 != 1)?;
    let block = block.get(first..)?;
    match *block.first()? {
        0x88 => Some(200),
        0x89 => Some(204),
        0x8a => Some(206),
        0x8b => Some(304),
        0x8c => Some(400),
        0x8d => Some(404),
        0x8e => Some(500),
        // The name by its index, the value as a string.
        0x08 | 0x18 | 0x48 => digits(block.get(1..)?),
        _ => None,
    }
}

/// Three digits, plain or in Huffman's code, where 0 to 2 have 5 bits and the others 6.
fn digits(string: &[u8]) -> Option<u16> {
    let (length, rest) = string.split_first()?;
    let text = rest.get(..usize::from(length & 0x7f))?;
    if length & 0x80 == 0 {
        return std::str::from_utf8(text).ok()?.parse().ok();
    }
    let bits = text
        .iter()
        .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    let mut left = text.len() * 8;
    let mut value = 0;
    for _ in 0..3 {
        left = left.checked_sub(5)?;
        let mut code = u16::try_from(bits >> left & 0x1f).ok()?;
        if code > 2 {
            left = left.checked_sub(1)?;
            code = u16::try_from(bits >> left & 0x3f).ok()?.checked_sub(0x19)? + 3;
        }
        value = value * 10 + code;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_continued() {
        let mut out = Vec::new();
        headers(&mut out, flag::END_STREAM, 3, &vec![0; LARGEST + 1]);
        let head = |at: usize| Head::read(out[at..at + HEAD].try_into().expect("a head"));
        let first = head(0);
        assert_eq!(
            (first.length, first.kind, first.flags),
            (LARGEST, kind::HEADERS, 1)
        );
        let second = head(HEAD + LARGEST);
        assert_eq!(
            (second.length, second.kind, second.flags),
            (1, kind::CONTINUATION, 4)
        );
        assert_eq!((second.stream, out.len()), (3, 2 * HEAD + LARGEST + 1));
    }

    #[test]
    fn lengths_of_strings_have_a_prefix() {
        let mut block = Vec::new();
        string(&mut block, &[b'x'; 1337 + 127]);
        // RFC 7541 section C.1.2 has 1337 in its example.
        assert_eq!(block[..3], [127, 0xb9, 0x0a]);
    }

    #[test]
    fn a_status_is_read_in_every_form() {
        assert_eq!(status(&[0x88]), Some(200));
        assert_eq!(status(b"\x48\x03431"), Some(431));
        // `302` and `307` as RFC 7541 sections C.6.1 and C.6.2 have them.
        assert_eq!(status(&[0x48, 0x82, 0x64, 0x02]), Some(302));
        assert_eq!(status(&[0x48, 0x83, 0x64, 0x0e, 0xff]), Some(307));
        assert_eq!(status(&[0xbe]), None);
    }
}
