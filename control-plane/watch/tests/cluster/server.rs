//! As much of an API server as the source asks for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// The server; ends when it is dropped.
pub struct Server {
    pub url: String,
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    data: Mutex<Data>,
    /// Counts changes, and wakes watches.
    turn: watch::Sender<u64>,
}

#[derive(Default)]
pub struct Data {
    version: u64,
    /// Objects by resource path (`/api/v1/services`), then by `namespace/name`.
    objects: BTreeMap<String, BTreeMap<String, Value>>,
    /// Changes by resource path, with the version of each.
    log: HashMap<String, Vec<(u64, Value)>>,
    /// `group/version` to plural and kind.
    served: BTreeMap<String, BTreeMap<String, String>>,
    /// Versions before this one are not known any more.
    compacted: u64,
    /// Grows to end all watches.
    epoch: u64,
    /// Answers instead of those there would be, by path (and `?watch`).
    pub failing: BTreeMap<String, u16>,
    /// Lists that are not answered until they are taken out.
    pub stuck: BTreeSet<String>,
    /// Every request: path, and the query.
    pub requests: Vec<String>,
}

impl Server {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            data: Mutex::default(),
            turn: watch::Sender::new(0),
        });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                let service = service_fn(move |request| {
                    let shared = Arc::clone(&shared);
                    async move { Ok::<_, Infallible>(shared.answer(&request).await) }
                });
                let http = hyper::server::conn::http1::Builder::new();
                let connection = http.serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        let server = Self {
            url,
            shared,
            task: task.abort_handle(),
        };
        server.change(|data| data.version = 100);
        server
    }

    /// Changes anything, and wakes everybody.
    pub fn change<T>(&self, change: impl FnOnce(&mut Data) -> T) -> T {
        let result = change(&mut self.shared.data());
        self.shared.turn.send_modify(|turn| *turn += 1);
        result
    }

    /// Creates or replaces an object; returns its version.
    pub fn put(&self, path: &str, object: Value) -> u64 {
        self.change(|data| data.put(path, object))
    }

    pub fn delete(&self, path: &str, key: &str) {
        self.change(|data| data.delete(path, key));
    }

    /// Serves a kind, as its definition `plural.group` says.
    pub fn define(&self, group_version: &str, plural: &str, kind: &str, bundle: &str) {
        let group = group_version.split('/').next().unwrap();
        let definition = json!({"metadata": {
            "name": format!("{plural}.{group}"),
            "annotations": {"gateway.networking.k8s.io/bundle-version": bundle},
        }});
        self.change(|data| {
            let plurals = data.served.entry(group_version.to_owned()).or_default();
            plurals.insert(plural.to_owned(), kind.to_owned());
            data.put(DEFINITIONS, definition);
        });
    }

    /// Serves a kind no longer in a version.
    pub fn withdraw(&self, group_version: &str, plural: &str) {
        self.change(|data| {
            let plurals = data.served.get_mut(group_version).unwrap();
            plurals.remove(plural);
            if plurals.is_empty() {
                data.served.remove(group_version);
            }
        });
    }

    /// Ends all watches and forgets all versions before now.
    pub fn compact(&self) {
        self.change(|data| {
            data.version += 1;
            data.compacted = data.version;
            data.epoch += 1;
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

impl Data {
    pub fn put(&mut self, path: &str, mut object: Value) -> u64 {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let key = key_of(&object);
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = json!(format!("uid-{key}"));
        }
        let objects = self.objects.entry(path.to_owned()).or_default();
        let word = match objects.insert(key, object.clone()) {
            Some(_) => "MODIFIED",
            None => "ADDED",
        };
        self.tell(path, word, &object);
        self.version
    }

    pub fn delete(&mut self, path: &str, key: &str) {
        self.version += 1;
        let objects = self.objects.get_mut(path).unwrap();
        let mut object = objects.remove(key).unwrap();
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.tell(path, "DELETED", &object);
    }

    fn tell(&mut self, path: &str, word: &str, object: &Value) {
        let event = json!({"type": word, "object": object});
        let log = self.log.entry(path.to_owned()).or_default();
        log.push((self.version, event));
    }

    fn groups(&self) -> Value {
        let mut groups: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for group_version in self.served.keys() {
            let (group, version) = group_version.split_once('/').unwrap();
            let entry = json!({"groupVersion": group_version, "version": version});
            groups.entry(group).or_default().push(entry);
        }
        let groups = groups.into_iter();
        let groups = groups.map(|(name, versions)| json!({"name": name, "versions": versions}));
        json!({"groups": groups.collect::<Vec<_>>()})
    }

    fn resources(&self, group_version: &str) -> Option<Value> {
        let plurals = self.served.get(group_version)?.iter();
        let resources = plurals.map(|(plural, kind)| {
            json!({"name": plural, "singularName": "", "kind": kind, "namespaced": true,
                   "verbs": ["get", "list", "watch"]})
        });
        Some(json!({"groupVersion": group_version, "resources": resources.collect::<Vec<_>>()}))
    }

    fn list(&self, path: &str, query: &HashMap<String, String>) -> Value {
        let take = query
            .get("limit")
            .map_or(usize::MAX, |limit| limit.parse().unwrap());
        let skip: usize = query
            .get("continue")
            .map_or(0, |token| token.parse().unwrap());
        let objects = self
            .objects
            .get(path)
            .into_iter()
            .flat_map(BTreeMap::values);
        let objects: Vec<_> = objects.filter(|object| selects(query, object)).collect();
        let page: Vec<_> = objects.iter().skip(skip).take(take).collect();
        let rest = objects.len() > skip + page.len();
        let token = if rest {
            (skip + take).to_string()
        } else {
            String::new()
        };
        let version = self.version.to_string();
        json!({"kind": "List", "apiVersion": "v1", "items": page,
               "metadata": {"resourceVersion": version, "continue": token}})
    }
}

impl Shared {
    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap()
    }

    async fn answer(self: Arc<Self>, request: &Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        let query = query(request.uri().query().unwrap_or_default());
        let watched = query.get("watch").is_some_and(|watch| watch == "true");
        let name = if watched {
            format!("{path}?watch")
        } else {
            path.clone()
        };
        self.data().requests.push(name.clone());
        if !watched {
            let mut turn = self.turn.subscribe();
            while self.data().stuck.contains(&path) {
                turn.changed().await.unwrap();
            }
        }
        let data = self.data();
        let failing = data.failing.get(&name).copied();
        if let Some(code) = failing {
            return status(code);
        }
        if path == "/apis" {
            return json(&data.groups());
        }
        let group_version = path.strip_prefix("/apis/").unwrap_or_default();
        if let Some(resources) = data.resources(group_version) {
            return json(&resources);
        }
        if let Some((path, key)) = object_path(&path) {
            let object = data
                .objects
                .get(&path)
                .and_then(|objects| objects.get(&key));
            return object.map_or_else(|| status(404), json);
        }
        if !data.serves(&path) {
            return status(404);
        }
        let accept = request.headers().get("accept");
        let accept = accept.and_then(|accept| accept.to_str().ok());
        let metadata_only = accept.is_some_and(|accept| accept.contains("PartialObjectMetadata"));
        if !watched {
            let mut list = data.list(&path, &query);
            for item in list["items"].as_array_mut().unwrap() {
                trim(item, metadata_only);
            }
            return json(&list);
        }
        let from: u64 = query["resourceVersion"].parse().unwrap();
        if from < data.compacted {
            let gone = json!({"type": "ERROR", "object": {
                "kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old"}});
            let body = Full::new(Bytes::from(format!("{gone}\n")));
            return Response::new(body.boxed());
        }
        let epoch = data.epoch;
        drop(data);
        let follower = Follower {
            shared: Arc::clone(&self),
            path,
            query,
            from,
            epoch,
            metadata_only,
        };
        Response::new(StreamBody::new(follower.frames()).boxed())
    }
}

impl Data {
    fn serves(&self, path: &str) -> bool {
        const ALWAYS: [&str; 8] = [
            "/api/v1/namespaces",
            "/api/v1/services",
            "/api/v1/secrets",
            "/api/v1/configmaps",
            "/apis/discovery.k8s.io/v1/endpointslices",
            "/apis/networking.k8s.io/v1/ingresses",
            "/apis/networking.k8s.io/v1/ingressclasses",
            DEFINITIONS,
        ];
        let custom = path
            .strip_prefix("/apis/")
            .and_then(|path| path.rsplit_once('/'));
        let custom =
            custom.and_then(|(group_version, plural)| self.served.get(group_version)?.get(plural));
        ALWAYS.contains(&path) || custom.is_some()
    }
}

/// A watch has ended.
struct Over;

/// A watch under way.
struct Follower {
    shared: Arc<Shared>,
    path: String,
    query: HashMap<String, String>,
    from: u64,
    epoch: u64,
    metadata_only: bool,
}

impl Follower {
    fn frames(
        self,
    ) -> impl futures_util::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + Sync {
        let turn = self.shared.turn.subscribe();
        stream::unfold((self, turn), |(mut follower, mut turn)| async move {
            loop {
                turn.mark_unchanged();
                if let Some(text) = follower.next().ok()? {
                    return Some((Ok(Frame::data(Bytes::from(text))), (follower, turn)));
                }
                turn.changed().await.ok()?;
            }
        })
    }

    /// The next event, if there is one yet.
    fn next(&mut self) -> Result<Option<String>, Over> {
        let data = self.shared.data();
        if data.epoch != self.epoch || !data.serves(&self.path) {
            return Err(Over);
        }
        let log = data.log.get(&self.path).into_iter().flatten();
        let mut news = log.filter(|(version, event)| {
            *version > self.from && selects(&self.query, &event["object"])
        });
        let Some((version, event)) = news.next() else {
            return Ok(None);
        };
        self.from = *version;
        let mut event = event.clone();
        trim(&mut event["object"], self.metadata_only);
        Ok(Some(format!("{event}\n")))
    }
}

fn trim(object: &mut Value, metadata_only: bool) {
    if metadata_only {
        *object = json!({"metadata": object["metadata"].take()});
    }
}

fn selects(query: &HashMap<String, String>, object: &Value) -> bool {
    let Some(selector) = query.get("labelSelector") else {
        return true;
    };
    let labels = &object["metadata"]["labels"];
    if let Some((label, value)) = selector.split_once("!=") {
        return labels[label] != json!(value);
    }
    labels[selector.strip_prefix('!').unwrap()].is_null()
}

/// `/api/v1/namespaces/n/secrets/s` is `n/s` of `/api/v1/secrets`.
fn object_path(path: &str) -> Option<(String, String)> {
    let rest = path.strip_prefix("/api/v1/namespaces/")?;
    let mut parts = rest.split('/');
    let (namespace, plural, name) = (parts.next()?, parts.next()?, parts.next()?);
    Some((format!("/api/v1/{plural}"), format!("{namespace}/{name}")))
}

pub fn key_of(object: &Value) -> String {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    format!("{}/{}", text("namespace"), text("name"))
}

fn query(text: &str) -> HashMap<String, String> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    let decode = |text: &str| {
        [("%21", "!"), ("%3D", "="), ("%2F", "/")]
            .iter()
            .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    };
    pairs
        .map(|(key, value)| (key.to_owned(), decode(value)))
        .collect()
}

fn json(value: &Value) -> Answer {
    Response::new(Full::new(Bytes::from(value.to_string())).boxed())
}

fn status(code: u16) -> Answer {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
                      "reason": "Test", "message": format!("refused with {code}"), "metadata": {}});
    let mut answer = json(&body);
    *answer.status_mut() = StatusCode::from_u16(code).unwrap();
    answer
}
