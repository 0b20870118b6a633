//! The grammar of RFC 9112 read naively: whole messages, no limits, no care for speed.

/// A request head as the oracle sees it.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub minor: u8,
    /// In order; names in lower case.
    pub fields: Vec<(String, Vec<u8>)>,
    pub body: Length,
    /// Bytes of the head.
    pub bytes: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Length {
    None,
    Fixed(u64),
    Chunked,
}

/// The head at the beginning of `bytes`. `Ok(None)`: there is no end yet, and nobody knows.
pub fn request(bytes: &[u8]) -> Result<Option<Seen>, ()> {
    let mut start = 0;
    while bytes[start..].starts_with(b"\r\n") {
        start += 2;
    }
    let rest = &bytes[start..];
    let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = &rest[..end];
    // A line end is CR LF and nothing else.
    let mut lines: Vec<&[u8]> = Vec::new();
    let mut from = 0;
    for at in 0..head.len() {
        if head[at..].starts_with(b"\r\n") {
            lines.push(&head[from..at]);
            from = at + 2;
        }
    }
    lines.push(&head[from..]);
    if lines
        .iter()
        .any(|line| line.contains(&b'\r') || line.contains(&b'\n'))
    {
        return Err(());
    }
    let line = std::str::from_utf8(lines[0]).map_err(|_| ())?;
    let parts: Vec<&str> = line.split(' ').collect();
    let [method, target, version] = parts[..] else {
        return Err(());
    };
    let minor = match version {
        "HTTP/1.0" => 0,
        "HTTP/1.1" => 1,
        _ => return Err(()),
    };
    if method.is_empty() || !method.bytes().all(is_tchar) || !fits(method, target) {
        return Err(());
    }
    let fields = lines[1..]
        .iter()
        .map(|line| field(line))
        .collect::<Result<Vec<_>, ()>>()?;
    let body = length(&fields, minor)?;
    Ok(Some(Seen {
        method: method.to_owned(),
        target: target.to_owned(),
        minor,
        fields,
        body,
        bytes: start + end + 4,
    }))
}

fn fits(method: &str, target: &str) -> bool {
    let visible = target.bytes().all(|byte| (0x21..0x7f).contains(&byte)) && !target.contains('#');
    match method {
        // The generated targets, damaged or not, have no other authorities.
        "CONNECT" => matches!(target.as_bytes(), [b'a' | b'0' | b';', b':', b'0' | b'1']),
        "OPTIONS" if target == "*" => true,
        _ => visible && (target.starts_with('/') || target.starts_with("http://a")),
    }
}

fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn field(line: &[u8]) -> Result<(String, Vec<u8>), ()> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or(())?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() || !name.iter().all(|byte| is_tchar(*byte)) {
        return Err(());
    }
    let mut value = value.to_vec();
    while matches!(value.first(), Some(b' ' | b'\t')) {
        value.remove(0);
    }
    while matches!(value.last(), Some(b' ' | b'\t')) {
        value.pop();
    }
    if value
        .iter()
        .any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f)
    {
        return Err(());
    }
    Ok((
        String::from_utf8(name.to_ascii_lowercase()).map_err(|_| ())?,
        value,
    ))
}

fn length(fields: &[(String, Vec<u8>)], minor: u8) -> Result<Length, ()> {
    let of = |wanted: &str| -> Vec<String> {
        let values = fields.iter().filter(|(name, _)| name == wanted);
        values
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    };
    let (lengths, codings) = (of("content-length"), of("transfer-encoding"));
    match (&lengths[..], &codings[..]) {
        ([], []) => Ok(Length::None),
        ([one], []) if !one.is_empty() && one.bytes().all(|byte| byte.is_ascii_digit()) => {
            one.parse().map(Length::Fixed).map_err(|_| ())
        }
        ([], [one]) if one.eq_ignore_ascii_case("chunked") && minor == 1 => Ok(Length::Chunked),
        _ => Err(()),
    }
}

/// The content of a chunked body and how many bytes it took. `Ok(None)`: it is not complete.
pub fn chunked(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, ()> {
    let mut content = Vec::new();
    let mut at = 0;
    loop {
        let Some(end) = bytes[at..].windows(2).position(|two| two == b"\r\n") else {
            return Ok(None);
        };
        let line = &bytes[at..at + end];
        at += end + 2;
        let digits = line
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        let (digits, extension) = line.split_at(digits);
        if !extension.is_empty() && extension[0] != b';' {
            return Err(());
        }
        if extension
            .iter()
            .any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f)
        {
            return Err(());
        }
        let digits = std::str::from_utf8(digits).map_err(|_| ())?;
        let size = u64::from_str_radix(digits, 16).map_err(|_| ())?;
        if size == 0 {
            break;
        }
        let Some(chunk) = usize::try_from(size)
            .ok()
            .and_then(|size| bytes.get(at..at.checked_add(size)?))
        else {
            return Ok(None);
        };
        content.extend_from_slice(chunk);
        at += chunk.len();
        match bytes.get(at..at + 2) {
            Some(b"\r\n") => at += 2,
            Some(_) => return Err(()),
            None => return Ok(None),
        }
    }
    // The section is judged when all of it is there.
    let mut lines = Vec::new();
    loop {
        let Some(end) = bytes[at..].windows(2).position(|two| two == b"\r\n") else {
            let bare = lines
                .iter()
                .chain([&&bytes[at..]])
                .any(|line| has_bare_end(line));
            return if bare { Err(()) } else { Ok(None) };
        };
        let line = &bytes[at..at + end];
        at += end + 2;
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    for line in lines {
        field(line)?;
    }
    Ok(Some((content, at)))
}

/// Whether a line has an LF in it, which ends it for some.
fn has_bare_end(line: &[u8]) -> bool {
    line.contains(&b'\n')
}
