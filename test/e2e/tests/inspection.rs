//! A running system is looked at without its .proto files, and shows no private key.

use std::{borrow::Cow, collections::BTreeMap, net::SocketAddr};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::Request;
use http_body_util::Full;
use novaedge_e2e::{
    certificates::Ca,
    clients::{Http2, Outcome, Probe, eventually},
    manifests::{self, GATEWAY_CLASS, http_route, service},
    origins,
    system::System,
};
use novaedge_ports::free_port;
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, ReflectMessage as _, Value, prost_types::FileDescriptorProto,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, ServerReflectionResponse, server_reflection_request::MessageRequest,
    server_reflection_response::MessageResponse,
};

const SERVICE: &str = "novaedge.v1.SnapshotDiscovery";

/// A client that knows of the server what the server tells.
struct Reflected {
    client: Http2,
    pool: DescriptorPool,
}

impl Reflected {
    async fn connect(address: SocketAddr) -> Self {
        let mut client = Http2::connect(address).await;
        let mut files = BTreeMap::new();
        let mut questions = vec![MessageRequest::FileContainingSymbol(SERVICE.to_owned())];
        while let Some(question) = questions.pop() {
            for file in reflect(&mut client, question).await {
                let missing = file
                    .dependency
                    .iter()
                    .filter(|name| !files.contains_key(*name));
                questions.extend(missing.cloned().map(MessageRequest::FileByFilename));
                files.insert(file.name().to_owned(), file);
            }
        }
        let mut pool = DescriptorPool::global();
        pool.add_file_descriptor_protos(files.into_values())
            .expect("complete descriptors");
        Self { client, pool }
    }

    /// Calls a unary method with texts as fields of the request.
    async fn call(&mut self, method: &str, fields: &[(&str, &str)]) -> DynamicMessage {
        let service = self.pool.get_service_by_name(SERVICE).expect("the service");
        let mut methods = service.methods();
        let described = methods.find(|m| m.name() == method).expect("the method");
        let mut request = DynamicMessage::new(described.input());
        for (name, text) in fields {
            request.set_field_by_name(name, Value::String((*text).to_owned()));
        }
        let path = format!("{SERVICE}/{method}");
        let answers = call(&mut self.client, &path, request.encode_to_vec()).await;
        DynamicMessage::decode(described.output(), answers[0].clone()).expect("an answer")
    }
}

/// Asks for descriptors as grpcurl does.
async fn reflect(client: &mut Http2, question: MessageRequest) -> Vec<FileDescriptorProto> {
    let question = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(question),
    };
    let path = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let answers = call(client, path, question.encode_to_vec()).await;
    let answer = ServerReflectionResponse::decode(answers[0].clone()).expect("an answer");
    let Some(MessageResponse::FileDescriptorResponse(files)) = answer.message_response else {
        panic!("no descriptors: {answer:?}");
    };
    let files = files.file_descriptor_proto.iter();
    files
        .map(|bytes| FileDescriptorProto::decode(bytes.as_slice()).expect("a descriptor"))
        .collect()
}

/// The value at a path of fields; a number is an index. Panics when there is none.
fn at(message: &DynamicMessage, path: &str) -> Value {
    let mut value = Value::Message(message.clone());
    for step in path.split('.') {
        let next = match (&value, step.parse::<usize>()) {
            (Value::List(list), Ok(index)) => list.get(index).cloned(),
            (Value::Message(message), _) => message.get_field_by_name(step).map(Cow::into_owned),
            _ => None,
        };
        value = next.unwrap_or_else(|| panic!("{path} in {message:?}"));
    }
    value
}

fn names(snapshot: &DynamicMessage) -> Vec<String> {
    let Value::List(resources) = at(snapshot, "resources") else {
        panic!("no list");
    };
    let name = |resource: &Value| at(resource.as_message().expect("a resource"), "name");
    let names = resources.iter().map(name);
    names
        .map(|name| name.as_str().expect("text").to_owned())
        .collect()
}

/// Sends one gRPC message; the messages that come back.
async fn call(client: &mut Http2, path: &str, message: Vec<u8>) -> Vec<Bytes> {
    let mut body = BytesMut::new();
    body.put_u8(0);
    body.put_u32(u32::try_from(message.len()).expect("a short message"));
    body.extend_from_slice(&message);
    let request = Request::post(format!("http://localhost/{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(body.freeze()))
        .expect("a request");
    let answer = client.send(request).await.expect("an answer");
    let trailers = answer.trailers.as_ref().unwrap_or(&answer.headers);
    assert_eq!(trailers["grpc-status"], "0", "{path}: {trailers:?}");
    let mut body = answer.body;
    let mut messages = Vec::new();
    while body.has_remaining() {
        assert_eq!(body.get_u8(), 0, "not compressed");
        let length = usize::try_from(body.get_u32()).expect("a length");
        messages.push(body.split_to(length));
    }
    messages
}

#[tokio::test]
async fn snapshots_and_agents_are_seen_by_reflection_and_without_keys() {
    let ca = Ca::new();
    let port = free_port();
    let identity = ca.issue(&["www.example.com"]);
    let listeners = format!(
        "  - {{name: https, protocol: HTTPS, port: {port}, tls: {{certificateRefs: [{{name: pair}}]}}}}\n"
    );
    let a = origins::http("a").await;
    let base = manifests::documents([
        GATEWAY_CLASS.to_owned(),
        manifests::gateway("gw", &listeners),
        identity.secret("pair"),
        service("a", 80, "TCP", &[a.address]),
        http_route("www", "gw", "www.example.com", "a"),
    ]);
    let system = System::start(&[("base.yaml", &base)]).await;
    let (host, path) = ("www.example.com".to_owned(), "/".to_owned());
    let probe = Probe::Https {
        address: System::local(port),
        host,
        path,
    };
    let tls = ca.client(&[]);
    eventually("traffic", async || {
        (probe.once(&tls).await == Outcome::Status(200)).then_some(())
    })
    .await;

    let mut client = Reflected::connect(system.grpc()).await;
    let snapshot = client.call("FetchSnapshot", &[]).await;
    let all = names(&snapshot);
    for kind in [
        "gateway/",
        "listener/",
        "route/",
        "backend/",
        "endpoints/",
        "certificate/",
    ] {
        assert!(
            all.iter().any(|name| name.starts_with(kind)),
            "{kind} in {all:?}"
        );
    }
    let only = client
        .call("FetchSnapshot", &[("name_prefix", "certificate/")])
        .await;
    assert_eq!(names(&only).len(), 1, "{only:?}");
    let agents = eventually("the agent's word", async || {
        let agents = client.call("ListAgents", &[]).await;
        (at(&agents, "agents.0.acknowledged") == at(&snapshot, "version")).then_some(agents)
    })
    .await;
    assert_eq!(at(&agents, "agents.0.node.id").as_str(), Some("standalone"));
    assert_eq!(at(&agents, "agents.0.rejected"), Value::List(Vec::new()));

    let certificate = at(&only, "resources.0.certificate");
    let certificate = certificate.as_message().expect("a certificate");
    let chain = identity.certificate.replace("\r\n", "\n");
    assert_eq!(
        at(certificate, "chain_pem").as_bytes().map(Bytes::as_ref),
        Some(chain.as_bytes())
    );
    assert_eq!(
        at(certificate, "private_key_pem").as_bytes(),
        Some(&Bytes::new())
    );
    // A line from the middle of the key.
    let secret = identity
        .key
        .lines()
        .nth(1)
        .expect("a line of the key")
        .as_bytes();
    for answer in [snapshot, only, agents] {
        let bytes = answer.encode_to_vec();
        let shown = bytes.windows(secret.len()).any(|window| window == secret);
        assert!(!shown, "{} shows a key", answer.descriptor().full_name());
    }
    system.stop().await;
}
