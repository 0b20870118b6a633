//! `novactl explain` against what the agent really does, over random route tables.

use std::{
    fmt::Write as _,
    io::{self, BufRead as _, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use novactl::explain::{Answer, Asked, Own, Told, Words, explain};
use novaedge_control_plane::translate::translate;
use novaedge_ports::free_port;
use novaedge_proto::v1::Resource;
use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, pki_types::ServerName};

use super::system::System;

const TABLES: u64 = 25;
const REQUESTS: u64 = 400;

/// Backends that answer.
const ORIGINS: usize = 4;

const HOSTS: [&str; 7] = [
    "a.example.com",
    "b.example.com",
    "x.b.example.com",
    "A.Example.com",
    "c.test",
    "d.test:81",
    "example.com",
];
const HOSTNAMES: [&str; 6] = [
    "a.example.com",
    "b.example.com",
    "*.example.com",
    "*.b.example.com",
    "c.test",
    "*.test",
];
const PATHS: [&str; 9] = [
    "/",
    "/a",
    "/a/",
    "/a/b",
    "/ab",
    "/b",
    "/b/c?q=1",
    "/a?q=2",
    "/a/b?q=1&q=2",
];
const MATCHES: [(&str, &str); 9] = [
    ("Exact", "/a"),
    ("Exact", "/b/c"),
    ("Exact", "/"),
    ("PathPrefix", "/"),
    ("PathPrefix", "/a"),
    ("PathPrefix", "/a/b"),
    ("PathPrefix", "/b/"),
    ("RegularExpression", "/a.*"),
    ("RegularExpression", "/[bc]/?.*"),
];

/// Numbers that look random and are the same each time (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % limit as u64).expect("it is below a usize")
    }

    fn one_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

/// Where everything is.
struct Place {
    http: u16,
    https: u16,
    origins: [u16; ORIGINS],
    certificate: String,
    key: String,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
struct Got {
    status: u16,
    backend: Option<String>,
    location: Option<String>,
    /// The table, where it is the marker's answer.
    table: Option<String>,
}

#[test]
fn an_explanation_is_what_the_agent_does() {
    let key = KeyPair::generate().expect("a key");
    let names = ["*.example.com", "*.b.example.com", "c.test", "example.com"];
    let params = CertificateParams::new(names.map(str::to_owned)).expect("parameters");
    let certificate = params.self_signed(&key).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).expect("a root");
    let config = ClientConfig::builder().with_root_certificates(roots);
    let config = Arc::new(config.with_no_client_auth());
    let place = Place {
        http: free_port(),
        https: free_port(),
        origins: std::array::from_fn(origin),
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    };
    let files = |table: u64| fixed(&place, table) + &routes(&mut Random(table));
    let system = System::on(&[("system.yaml".to_owned(), files(0))]);
    let (mut checked, mut kinds) = (0, std::collections::BTreeMap::new());
    for table in 0..TABLES {
        system.write("system.yaml", &files(table));
        until_served(&system, &place, table);
        let translated = translate(system.path(), 1_800_000_000).expect("a translation");
        let mut random = Random(1_000 + table);
        for _ in 0..REQUESTS {
            let told = check(&place, &config, &translated.snapshot, &mut random);
            *kinds.entry(kind(&told)).or_insert(0) += 1;
            checked += 1;
        }
    }
    assert_eq!(checked, TABLES * REQUESTS);
    // None of what can happen is missing from the sample.
    for wanted in [
        "backend",
        "no_route",
        "no_listener",
        "misdirected",
        "no_backends",
        "answer",
    ] {
        let count: u64 = kinds.get(wanted).copied().unwrap_or_default();
        assert!(count >= 20, "{wanted}: {kinds:?}");
    }
}

#[test]
fn the_exit_code_says_whether_the_client_gets_an_error() {
    let system = System::quickstart();
    let (http, https) = (system.ports[0], system.ports[1]);
    let folder = system.path().to_str().expect("a path of text").to_owned();
    for place in [&[][..], &["-f", &folder]] {
        let run = |line: &[&str]| system.run(&[&["explain"], line, place].concat());
        let canary = run(&[&format!("http://canary.example.com:{http}/")]);
        assert_eq!(canary.code, 0, "{canary:?}");
        for word in [
            "90 %",
            "10 %",
            "HTTPRoute default/canary",
            "127.0.0.1:18082",
        ] {
            assert!(canary.out.contains(word), "{word}: {canary:?}");
        }
        let nobody = run(&[&format!("https://nobody.example.org:{https}/")]);
        assert_eq!(nobody.code, 1, "{nobody:?}");
        assert!(nobody.out.contains("nobody.example.org"), "{nobody:?}");
        let host = ["-H", "Host: www.example.com", "-X", "POST", "-o", "json"];
        let posted = run(&[&[format!("127.0.0.1:{http}/api").as_str()], &host[..]].concat());
        assert_eq!(posted.code, 0, "{posted:?}");
        assert!(
            posted.out.contains("\"backend/default/api-v1-80\""),
            "{posted:?}"
        );
        let plain = run(&[&format!("http://www.example.com:{https}/")]);
        assert_eq!(plain.code, 1, "{plain:?}");
        assert!(plain.out.contains("https://"), "{plain:?}");
        let wrong = run(&["ftp://a/"]);
        assert_eq!((wrong.code, wrong.out.as_str()), (2, ""), "{wrong:?}");
    }
}

fn kind(told: &Told) -> &'static str {
    match &told.answer {
        Answer::Nobody { .. } => "nobody",
        Answer::Gateway(own) => own.reason.unwrap_or("answer"),
        Answer::Backends { .. } => "backend",
    }
}

/// Sends a random request, and compares what comes back with what is told of it.
fn check(
    place: &Place,
    config: &Arc<ClientConfig>,
    resources: &[Resource],
    random: &mut Random,
) -> Told {
    let host = random.of(&HOSTS);
    let path = random.of(&PATHS);
    let method = random.of(&["GET", "GET", "POST", "OPTIONS"]);
    let mut headers = vec![format!("Host: {host}")];
    if random.one_in(2) {
        headers.push(format!("X-K: {}", random.below(3)));
    }
    if random.one_in(3) {
        headers.push("Origin: https://a.example.com".to_owned());
        headers.push("Access-Control-Request-Method: GET".to_owned());
    }
    let sni = random
        .one_in(3)
        .then(|| random.of(&["a.example.com", "b.example.com", "c.test"]));
    let url = match sni {
        Some(_) => format!("https://127.0.0.1:{}{path}", place.https),
        None => format!("http://127.0.0.1:{}{path}", place.http),
    };
    let asked = Asked::new(&Words {
        url: &url,
        method,
        headers: &headers,
        sni,
        gateway: None,
        ..Words::default()
    });
    let told = explain(resources, &asked.expect("a request")).expect("one Gateway");
    let head = format!(
        "{method} {path} HTTP/1.1\r\n{}\r\nConnection: close\r\n\r\n",
        headers.join("\r\n")
    );
    let got = match sni {
        Some(sni) => over_tls(place.https, config, sni, &head),
        None => connect(place.http).and_then(|stream| exchange(stream, &head)),
    };
    let context = || {
        format!(
            "{method} {url} {headers:?} {sni:?}: {got:?}\n{}",
            told.text(novactl::table::Paint::Plain)
        )
    };
    match &told.answer {
        Answer::Nobody { .. } => assert!(got.is_err(), "{}", context()),
        Answer::Gateway(own) => assert!(is_own(&got, own), "{}", context()),
        Answer::Backends { shares } => {
            let fits = shares.iter().any(|share| match &share.instead {
                Some(own) => is_own(&got, own),
                None => got.as_ref().is_ok_and(|got| {
                    let backend = got
                        .backend
                        .as_ref()
                        .map(|name| format!("backend/default/{name}-80"));
                    got.status == 200 && backend == share.backend
                }),
            });
            assert!(fits, "{}", context());
        }
    }
    told
}

fn is_own(got: &io::Result<Got>, own: &Own) -> bool {
    got.as_ref().is_ok_and(|got| {
        got.backend.is_none() && got.status == own.status && got.location == own.location
    })
}

/// The routes of a table are served when its marker is, which no route of another table answers so.
fn until_served(system: &System, place: &Place, table: u64) {
    let head = "GET / HTTP/1.1\r\nHost: marker.test\r\nConnection: close\r\n\r\n";
    let start = Instant::now();
    loop {
        let got = connect(place.http).and_then(|stream| exchange(stream, head));
        let table = Some(table.to_string());
        if got.as_ref().is_ok_and(|got| got.table == table) {
            return;
        }
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{table:?}: {got:?} {:?}",
            system.run(&["status"])
        );
        thread::sleep(Duration::from_millis(10));
    }
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(stream)
}

fn over_tls(port: u16, config: &Arc<ClientConfig>, sni: &str, head: &str) -> io::Result<Got> {
    let name = ServerName::try_from(sni.to_owned()).expect("a name");
    let client = ClientConnection::new(Arc::clone(config), name).expect("a client");
    exchange(StreamOwned::new(client, connect(port)?), head)
}

fn exchange(mut stream: impl Read + Write, head: &str) -> io::Result<Got> {
    stream.write_all(head.as_bytes())?;
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().ok_or(io::ErrorKind::UnexpectedEof)??;
    let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
    let mut got = Got {
        status: status.ok_or(io::ErrorKind::InvalidData)?,
        backend: None,
        location: None,
        table: None,
    };
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "x-backend" => got.backend = Some(value.to_owned()),
            "x-table" => got.table = Some(value.to_owned()),
            "location" => got.location = Some(value.to_owned()),
            _ => {}
        }
    }
    Ok(got)
}

/// A server that says which one it is; returns its port.
fn origin(index: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream, index));
        }
    });
    port
}

fn serve(mut stream: TcpStream, index: usize) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while let Some(line) = lines.next().transpose()? {
        if line.is_empty() {
            let answer =
                format!("HTTP/1.1 200 OK\r\nX-Backend: s{index}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes())?;
        }
    }
    Ok(())
}

/// Everything but the random routes.
fn fixed(place: &Place, table: u64) -> String {
    let indented = |pem: &str| format!("    {}\n", pem.trim_end().replace('\n', "\n    "));
    let mut text = "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: novaedge}\n\
                    spec: {controllerName: novaedge.io/gateway-controller}\n---\n\
                    apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: gw}\nspec:\n  \
                    gatewayClassName: novaedge\n  addresses: [{type: IPAddress, value: 127.0.0.1}]\n  listeners:\n"
        .to_owned();
    for (name, port, hostname) in [
        ("any", place.http, ""),
        ("wild", place.http, "*.example.com"),
        ("exact", place.http, "a.example.com"),
        ("tls-wild", place.https, "*.example.com"),
        ("tls-exact", place.https, "a.example.com"),
    ] {
        let tls = match name.strip_prefix("tls-") {
            Some(_) => "protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}",
            None => "protocol: HTTP",
        };
        let hostname = match hostname {
            "" => String::new(),
            hostname => format!(", hostname: \"{hostname}\""),
        };
        let _ = writeln!(text, "  - {{name: {name}, port: {port}, {tls}{hostname}}}");
    }
    let _ = write!(
        text,
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: cert}}\ntype: kubernetes.io/tls\n\
         stringData:\n  tls.crt: |\n{}  tls.key: |\n{}",
        indented(&place.certificate),
        indented(&place.key)
    );
    for (index, port) in place.origins.iter().enumerate() {
        text += &service(&format!("s{index}"), "{addresses: [127.0.0.1]}", *port);
    }
    text += &service("empty", "", 1);
    let _ = write!(
        text,
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: marker}}\nspec:\n  \
         parentRefs: [{{name: gw}}]\n  hostnames: [marker.test]\n  rules:\n  \
         - filters: [{{type: ResponseHeaderModifier, responseHeaderModifier: {{set: [{{name: x-table, value: \"{table}\"}}]}}}}]\n    \
         backendRefs: [{{name: s0, port: 80}}]\n"
    );
    text
}

fn service(name: &str, endpoints: &str, port: u16) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{name: http, port: 80}}]}}\n\
         ---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: {name}-1, labels: {{kubernetes.io/service-name: {name}}}}}\naddressType: IPv4\n\
         ports: [{{name: http, port: {port}}}]\nendpoints: [{endpoints}]\n"
    )
}

/// Random routes.
fn routes(random: &mut Random) -> String {
    let mut text = String::new();
    for index in 0..=random.below(10) {
        let section = match random.below(8) {
            0 => ", sectionName: wild",
            1 => ", sectionName: exact",
            2 => ", sectionName: tls-wild",
            _ => "",
        };
        let hostnames: Vec<String> = (0..random.below(3))
            .map(|_| format!("\"{}\"", random.of(&HOSTNAMES)))
            .collect();
        let _ = write!(
            text,
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r{index}}}\nspec:\n  \
             parentRefs: [{{name: gw{section}}}]\n  hostnames: [{}]\n  rules:\n",
            hostnames.join(", ")
        );
        for _ in 0..=random.below(3) {
            text += &rule(random);
        }
    }
    text
}

fn rule(random: &mut Random) -> String {
    let matches: Vec<String> = (0..random.below(3)).map(|_| one_match(random)).collect();
    let mut text = format!("  - matches: [{}]\n", matches.join(", "));
    let filter = match random.below(8) {
        0 => "{type: RequestRedirect, requestRedirect: {hostname: z.test, statusCode: 302}}",
        1 => {
            "{type: RequestRedirect, requestRedirect: {scheme: https, path: {type: ReplaceFullPath, replaceFullPath: /z}}}"
        }
        2 => "{type: URLRewrite, urlRewrite: {hostname: z.test}}",
        3 => "{type: CORS, cors: {allowOrigins: [\"https://a.example.com\"], allowMethods: [GET]}}",
        4 => {
            "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-k, value: \"9\"}]}}"
        }
        _ => "",
    };
    let _ = writeln!(text, "    filters: [{filter}]");
    if filter.contains("RequestRedirect") {
        return text;
    }
    let backends: Vec<String> = (0..random.below(4))
        .map(|_| {
            let name = random.of(&["s0", "s1", "s2", "s3", "s0", "s1", "empty", "missing"]);
            format!("{{name: {name}, port: 80, weight: {}}}", random.below(4))
        })
        .collect();
    let _ = writeln!(text, "    backendRefs: [{}]", backends.join(", "));
    text
}

fn one_match(random: &mut Random) -> String {
    let (kind, value) = MATCHES[random.below(MATCHES.len())];
    let mut parts = vec![format!("path: {{type: {kind}, value: \"{value}\"}}")];
    if random.one_in(3) {
        parts.push(format!("method: {}", random.of(&["GET", "POST"])));
    }
    if random.one_in(3) {
        let value = random.below(3);
        parts.push(format!("headers: [{{name: x-k, value: \"{value}\"}}]"));
    }
    if random.one_in(4) {
        let value = 1 + random.below(2);
        parts.push(format!("queryParams: [{{name: q, value: \"{value}\"}}]"));
    }
    format!("{{{}}}", parts.join(", "))
}
