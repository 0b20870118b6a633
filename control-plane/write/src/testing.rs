//! An API server inside the client, for tests.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Client, client::Body};
use novaedge_api::{
    gateway::{Gateway, HttpRoute},
    meta::Object,
    native::{ProxyBackend, ProxyGateway},
};
use novaedge_store::Change;
use serde_json::{Value, json};

/// Objects by path, and what was asked.
#[derive(Clone, Default)]
pub(crate) struct Server {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    version: u64,
    log: Vec<String>,
    latency: Duration,
    /// Requests that are being answered, and the most there were.
    busy: usize,
    busiest: usize,
    /// Answers to the next requests that write, before anything is done.
    faults: VecDeque<Fault>,
}

/// What goes wrong.
pub(crate) enum Fault {
    Status(u16),
    /// The namespace ends.
    Ending,
    /// Somebody else writes first.
    Meanwhile(String, Value),
    /// No answer, ever.
    Silence,
}

impl Server {
    pub(crate) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        Client::new(service, "default")
    }

    /// Stores an object under its path, as somebody else.
    pub(crate) fn put(&self, path: &str, object: Value) {
        let mut state = self.lock();
        state.store(path, object);
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.lock().objects.get(path).cloned().unwrap_or_default()
    }

    pub(crate) fn fail(&self, fault: Fault) {
        self.lock().faults.push_back(fault);
    }

    /// The requests since the last time that were more than reads.
    pub(crate) fn writes(&self) -> Vec<String> {
        let log = std::mem::take(&mut self.lock().log);
        log.into_iter().filter(|l| !l.starts_with("GET")).collect()
    }

    /// All objects as a watch tells them.
    pub(crate) fn watched(&self) -> Vec<Change> {
        let state = self.lock();
        let objects = state.objects.values().filter_map(decode);
        objects.map(Change::Upsert).collect()
    }

    /// How long each answer takes.
    pub(crate) fn slow_down(&self, latency: Duration) {
        self.lock().latency = latency;
    }

    /// The most requests at a time so far.
    pub(crate) fn busiest(&self) -> usize {
        self.lock().busiest
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds it")
    }

    async fn answer(&self, request: Request<Body>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let path = head.uri.path().to_owned();
        let latency = self.begin();
        tokio::time::sleep(latency).await;
        let fault = {
            let mut state = self.lock();
            state.log.push(format!("{} {path}", head.method));
            match head.method {
                Method::GET => None,
                _ => state.faults.pop_front(),
            }
        };
        match fault {
            Some(Fault::Status(code)) => return response(Err(code)),
            Some(Fault::Ending) => return refusal(403, &ending()),
            Some(Fault::Meanwhile(path, object)) => self.put(&path, object),
            Some(Fault::Silence) => std::future::pending().await,
            None => {}
        }
        let content = head.headers.get("content-type");
        let apply = content.is_some_and(|c| c.as_bytes().starts_with(b"application/apply"));
        let mut state = self.lock();
        state.busy -= 1;
        response(state.act(&head.method, &path, body, apply))
    }

    fn begin(&self) -> Duration {
        let mut state = self.lock();
        state.busy += 1;
        state.busiest = state.busiest.max(state.busy);
        state.latency
    }
}

impl State {
    fn store(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        let version = self.version.to_string();
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = format!("uid-{version}").into();
        }
        object["metadata"]["resourceVersion"] = version.into();
        self.objects.insert(path.to_owned(), object.clone());
        object
    }

    fn act(&mut self, method: &Method, path: &str, body: Value, apply: bool) -> Answer {
        let object_path = path.trim_end_matches("/status").to_owned();
        let there = self.objects.get(&object_path).cloned();
        let asked = &body["metadata"]["resourceVersion"];
        match (method, there) {
            (&Method::POST, _) => {
                let name = body["metadata"]["name"].as_str().unwrap_or_default();
                let path = format!("{path}/{name}");
                if self.objects.contains_key(&path) {
                    return Err(409);
                }
                Ok(self.store(&path, body))
            }
            (&Method::PATCH, None) if apply => Ok(self.store(&object_path, body)),
            (_, None) => Err(404),
            (&Method::GET, Some(there)) => Ok(there),
            (&Method::DELETE, Some(there)) => {
                let uid = &body["preconditions"]["uid"];
                if !uid.is_null() && *uid != there["metadata"]["uid"] {
                    return Err(409);
                }
                self.objects.remove(path);
                Ok(json!({"kind": "Status", "status": "Success"}))
            }
            (_, Some(there))
                if !asked.is_null() && *asked != there["metadata"]["resourceVersion"] =>
            {
                Err(409)
            }
            (&Method::PUT, Some(_)) => Ok(self.store(path, body)),
            (_, Some(mut there)) => {
                if path.ends_with("/status") {
                    merge_patch(&mut there["status"], &body["status"]);
                } else if body.is_array() {
                    there["spec"] = body[0]["value"].clone();
                } else {
                    merge_patch(&mut there, &body);
                }
                Ok(self.store(&object_path, there))
            }
        }
    }
}

type Answer = Result<Value, u16>;

fn response(answer: Answer) -> Response<Full<Bytes>> {
    match answer {
        Ok(body) => full(200, &body),
        Err(code) => refusal(code, &json!({"name": "x"})),
    }
}

/// What the API server says of a namespace that ends.
fn ending() -> Value {
    let cause = json!({"reason": "NamespaceTerminating", "field": "metadata.namespace"});
    json!({"name": "x", "causes": [cause]})
}

fn refusal(code: u16, details: &Value) -> Response<Full<Bytes>> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "refused", "reason": "Test", "code": code, "details": details,
    });
    full(code, &status)
}

fn full(code: u16, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = StatusCode::from_u16(code).expect("a code");
    response
}

/// RFC 7386.
fn merge_patch(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in patch {
        match (value, target.as_object_mut()) {
            (Value::Null, Some(target)) => {
                target.remove(name);
            }
            _ => merge_patch(&mut target[name], value),
        }
    }
}

fn decode(object: &Value) -> Option<Object> {
    let object = object.clone();
    Some(match object["kind"].as_str()? {
        "HTTPRoute" => serde_json::from_value::<HttpRoute>(object).ok()?.into(),
        "Gateway" => serde_json::from_value::<Gateway>(object).ok()?.into(),
        "Namespace" => serde_json::from_value::<Namespace>(object).ok()?.into(),
        "ProxyGateway" => serde_json::from_value::<ProxyGateway>(object).ok()?.into(),
        "ProxyBackend" => serde_json::from_value::<ProxyBackend>(object).ok()?.into(),
        _ => return None,
    })
}
