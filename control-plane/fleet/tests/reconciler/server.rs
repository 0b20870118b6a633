//! As much of an API server as the reconciler asks for, inside the client.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::watch;

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// The server. A clone is the same one.
#[derive(Clone)]
pub(crate) struct Server {
    data: Arc<Mutex<Data>>,
    turn: watch::Sender<u64>,
}

#[derive(Default)]
pub(crate) struct Data {
    version: u64,
    /// Objects by plural, then by `namespace/name`.
    pub(crate) objects: BTreeMap<String, BTreeMap<String, Value>>,
    /// Changes: version, plural and what a watch tells.
    log: Vec<(u64, String, Value)>,
    /// Every write: method, plural and key.
    pub(crate) writes: Vec<String>,
    /// Writes that still fail.
    pub(crate) failing: u32,
    /// Whether all namespaces end: they take nothing new.
    pub(crate) ending: bool,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self {
            data: Arc::default(),
            turn: watch::Sender::new(0),
        }
    }

    pub(crate) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        Client::new(service, "default")
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Data) -> T) -> T {
        let result = change(&mut self.data.lock().unwrap());
        self.turn.send_modify(|turn| *turn += 1);
        result
    }

    async fn answer(&self, request: Request<Body>) -> Answer {
        let (head, body) = request.into_parts();
        let parts: Vec<&str> = head.uri.path().trim_matches('/').split('/').collect();
        let query = head.uri.query().unwrap_or_default();
        let skip = if parts[0] == "api" { 2 } else { 3 };
        let (plural, key) = match parts[skip..] {
            [plural] | ["namespaces", _, plural] => (plural.to_owned(), None),
            ["namespaces", ns, plural, name] => (plural.to_owned(), Some(format!("{ns}/{name}"))),
            _ => panic!("{}", head.uri),
        };
        let Some(key) = key else {
            return if query.contains("watch=true") {
                self.watch(plural, query)
            } else {
                self.change(|data| data.list(&plural))
            };
        };
        if head.method == Method::GET {
            return self.change(|data| match data.table(&plural).get(&key) {
                Some(object) => full(200, object),
                None => status(404, "NotFound"),
            });
        }
        let body = body.collect().await.unwrap().to_bytes();
        self.change(|data| {
            data.writes.push(format!("{} {plural} {key}", head.method));
            if data.failing > 0 {
                data.failing -= 1;
                return status(500, "InternalError");
            }
            if data.ending && !data.table(&plural).contains_key(&key) {
                return ending();
            }
            if head.method == Method::DELETE {
                data.delete(&plural, &key);
                return status(200, "Deleted");
            }
            assert!(query.contains("fieldManager=novaedge-fleet"), "{query}");
            let object = serde_json::from_slice(&body).unwrap();
            full(200, &data.put(&plural, &key, object))
        })
    }

    fn watch(&self, plural: String, query: &str) -> Answer {
        let from = query
            .split('&')
            .find_map(|part| part.strip_prefix("resourceVersion="));
        let from: u64 = from.unwrap().parse().unwrap();
        let state = (self.clone(), self.turn.subscribe(), from);
        let lines = stream::unfold(state, move |(server, mut turn, from)| {
            let plural = plural.clone();
            async move {
                loop {
                    turn.borrow_and_update();
                    let (lines, last) = server.data.lock().unwrap().since(&plural, from);
                    if !lines.is_empty() {
                        let frame = Frame::data(Bytes::from(lines));
                        return Some((Ok::<_, Infallible>(frame), (server, turn, last)));
                    }
                    turn.changed().await.ok()?;
                }
            }
        });
        Response::new(StreamBody::new(lines).boxed_unsync())
    }
}

impl Data {
    fn table(&mut self, plural: &str) -> &mut BTreeMap<String, Value> {
        self.objects.entry(plural.to_owned()).or_default()
    }

    fn list(&mut self, plural: &str) -> Answer {
        let version = self.version.to_string();
        let all = self.table(plural).values();
        let items: Vec<&Value> = all.filter(|object| is_selected(plural, object)).collect();
        full(
            200,
            &json!({"metadata": {"resourceVersion": version}, "items": items}),
        )
    }

    pub(crate) fn put(&mut self, plural: &str, key: &str, mut object: Value) -> Value {
        self.version += 1;
        let version = self.version;
        let before = self.table(plural).get(key).cloned();
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = json!(version.to_string());
        metadata["uid"] = match &before {
            Some(before) => before["metadata"]["uid"].clone(),
            None => json!(format!("uid-{version}")),
        };
        metadata["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        if plural == "services" {
            object["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
        }
        self.table(plural).insert(key.to_owned(), object.clone());
        let type_ = if before.is_some() {
            "MODIFIED"
        } else {
            "ADDED"
        };
        let event = json!({"type": type_, "object": object});
        self.log.push((version, plural.to_owned(), event));
        object
    }

    pub(crate) fn delete(&mut self, plural: &str, key: &str) {
        self.version += 1;
        let mut object = self.table(plural).remove(key).unwrap();
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let event = json!({"type": "DELETED", "object": object});
        self.log.push((self.version, plural.to_owned(), event));
    }

    fn since(&self, plural: &str, from: u64) -> (String, u64) {
        let news = self.log.iter();
        let news = news.filter(|(version, of, event)| {
            *version > from && of == plural && is_selected(plural, &event["object"])
        });
        let mut last = from;
        let mut lines = String::new();
        for (version, _, event) in news {
            last = *version;
            lines.push_str(&event.to_string());
            lines.push('\n');
        }
        (lines, last)
    }
}

/// Whether the reconciler's label selector chooses an object.
fn is_selected(plural: &str, object: &Value) -> bool {
    let manager = &object["metadata"]["labels"]["app.kubernetes.io/managed-by"];
    plural != "services" || manager == "novaedge"
}

fn full(code: u16, value: &Value) -> Answer {
    let body = Full::new(Bytes::from(value.to_string()));
    Response::builder()
        .status(code)
        .body(body.boxed_unsync())
        .unwrap()
}

fn ending() -> Answer {
    let cause = json!({"reason": "NamespaceTerminating", "field": "metadata.namespace"});
    full(
        403,
        &json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403, "metadata": {},
            "reason": "Forbidden", "message": "is being terminated", "details": {"causes": [cause]}}),
    )
}

fn status(code: u16, reason: &str) -> Answer {
    let status = if code < 300 { "Success" } else { "Failure" };
    full(
        code,
        &json!({"kind": "Status", "apiVersion": "v1", "status": status, "code": code,
            "reason": reason, "message": reason, "metadata": {}}),
    )
}
