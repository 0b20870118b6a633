//! Where fuzzing of HTTP/1.x begins: messages of every form, and tricks that are known.

/// Heads after the length of the pieces that they come in.
pub fn heads() -> anyhow::Result<Vec<Vec<u8>>> {
    let texts = [
        "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "\r\nGET /a?b=c HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "POST http://a.example:80/a HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\nhi",
        "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n0\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
        "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "GET / HTTP/1.1\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\nTE: trailers\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
        "POST / HTTP/1.1\r\nContent-Length: 6\r\nContent-Length: 6\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n c\r\nD : e\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: x\r\n\r\nok",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.0 304 \r\nETag: \"a\"\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n\0\0",
        "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n",
    ];
    Ok(after(&[3], &texts))
}

/// Bodies after the length of the pieces that they come in, and a length of the body.
pub fn bodies() -> anyhow::Result<Vec<Vec<u8>>> {
    let texts = [
        "0\r\n\r\n",
        "5\r\nhello\r\n6;a=\"b c\"\r\n world\r\n0\r\n\r\nGET",
        "00A\r\n0123456789\r\n0\r\nX-Sum: 1\r\nHost: a\r\nX-Sum: 2\r\n\r\n",
        "ffffffffffffffff\r\na",
        "5\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "0\r\n a: b\r\n\r\n",
        "1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\na\r\n0\r\n\r\n",
    ];
    Ok(after(&[2, 4], &texts))
}

fn after(first: &[u8], texts: &[&str]) -> Vec<Vec<u8>> {
    let seeds = texts.iter().map(|text| [first, text.as_bytes()].concat());
    seeds.collect()
}
