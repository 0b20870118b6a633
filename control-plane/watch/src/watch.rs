//! One watch: lists page by page, then follows, for as long as it is polled.
//!
//! Nothing ends it. After a fault it goes on from the last version that it knows; when the API server does not know
//! that version any more (410), or refuses it several times, it lists again, and the cache behind it finds out what
//! has changed meanwhile.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt as _};
use kube::api::{ApiResource, ListParams, WatchEvent, WatchParams};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};

use crate::backoff::Backoff;
use crate::failure::Failure;
use crate::raw::Identified;

/// Objects in a page: a page is in memory as JSON.
const PAGE: u32 = 250;
/// How long the API server lets a watch last. Bounds how long a connection that died unnoticed goes unnoticed.
const LIFE: Duration = Duration::from_mins(2);
/// How much longer than its life a watch may be silent.
const GRACE: Duration = Duration::from_secs(5);
/// How long an answer may take to begin, or a page to come.
const ANSWER: Duration = Duration::from_secs(30);
/// How often the API server may refuse a version before everything is listed again.
const REFUSALS: u32 = 3;
/// A watch that ends earlier than this without an event is waited for like one that fails.
const TOO_SHORT: Duration = Duration::from_secs(1);

/// What a watch tells.
#[derive(Debug)]
pub(crate) enum Event<K> {
    /// Everything is listed from the beginning.
    Restarted,
    /// An object in the list.
    Listed(K),
    /// The list is complete: what was not in it is gone.
    Complete,
    /// Changes are being followed.
    Following,
    /// An object came or changed.
    Applied(K),
    /// An object went.
    Deleted(K),
    /// It does not work at the moment; it is tried again.
    Failed(Failure),
}

/// Watches all objects of a kind that the selector takes.
pub(crate) fn watch<K>(
    client: Client,
    resource: &ApiResource,
    selector: Option<String>,
) -> impl Stream<Item = Event<K>> + Send + use<K>
where
    K: kube::Resource<DynamicType = ApiResource> + Identified,
    K: Clone + Debug + DeserializeOwned + Send + 'static,
{
    let watch = Watch {
        api: Api::<K>::all_with(client, resource),
        selector,
        backoff: Backoff::default(),
        refusals: 0,
        step: Step::Start,
    };
    stream::unfold(watch, |mut watch| async {
        let event = watch.next().await;
        Some((event, watch))
    })
}

struct Watch<K> {
    api: Api<K>,
    selector: Option<String>,
    backoff: Backoff,
    /// Refusals of the version in a row.
    refusals: u32,
    step: Step<K>,
}

enum Step<K> {
    Start,
    /// Objects of the page before, and where the list goes on.
    Page {
        objects: VecDeque<K>,
        next: Next,
    },
    Connect {
        version: String,
    },
    Follow {
        version: String,
        events: BoxStream<'static, kube::Result<WatchEvent<K>>>,
        since: Instant,
        heard: bool,
    },
}

enum Next {
    First,
    Token(String),
    Complete { version: String },
}

impl<K> Watch<K>
where
    K: kube::Resource + Identified + Clone + Debug + DeserializeOwned + Send + 'static,
{
    async fn next(&mut self) -> Event<K> {
        loop {
            if let Some(wait) = self.backoff.take() {
                sleep(wait).await;
            }
            let step = std::mem::replace(&mut self.step, Step::Start);
            let event = match step {
                Step::Start => {
                    self.step = Step::Page {
                        objects: VecDeque::new(),
                        next: Next::First,
                    };
                    Some(Event::Restarted)
                }
                Step::Page { objects, next } => self.page(objects, next).await,
                Step::Connect { version } => Some(self.connect(version).await),
                Step::Follow {
                    version,
                    events,
                    since,
                    heard,
                } => self.follow(version, events, since, heard).await,
            };
            if let Some(event) = event {
                return event;
            }
        }
    }

    async fn page(&mut self, mut objects: VecDeque<K>, next: Next) -> Option<Event<K>> {
        if let Some(object) = objects.pop_front() {
            self.step = Step::Page { objects, next };
            return Some(Event::Listed(object));
        }
        let token = match next {
            Next::First => None,
            Next::Token(token) => Some(token),
            Next::Complete { version } => {
                self.step = Step::Connect { version };
                return Some(Event::Complete);
            }
        };
        let mut params = ListParams::default().limit(PAGE);
        params.label_selector.clone_from(&self.selector);
        params.continue_token = token;
        // A fault, and a token that has expired, begin the list anew.
        let list = match answer(self.api.list(&params)).await {
            Ok(list) => list,
            Err(failure) => return Some(self.fail(failure)),
        };
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let token = given(list.metadata.continue_);
        let version = given(list.metadata.resource_version);
        let next = match (token, version) {
            (Some(token), _) => Next::Token(token),
            (None, Some(version)) => Next::Complete { version },
            (None, None) => return Some(self.fail(Failure::unversioned())),
        };
        self.step = Step::Page {
            objects: list.items.into(),
            next,
        };
        None
    }

    async fn connect(&mut self, version: String) -> Event<K> {
        let mut params = WatchParams::default().timeout(seconds(LIFE));
        params.label_selector.clone_from(&self.selector);
        match answer(self.api.watch(&params, &version)).await {
            Ok(events) => {
                self.step = Step::Follow {
                    version,
                    events: events.boxed(),
                    since: Instant::now(),
                    heard: false,
                };
                Event::Following
            }
            Err(failure) => self.refused(version, failure),
        }
    }

    /// Nothing comes back for what only moves the version.
    async fn follow(
        &mut self,
        version: String,
        mut events: BoxStream<'static, kube::Result<WatchEvent<K>>>,
        since: Instant,
        heard: bool,
    ) -> Option<Event<K>> {
        let event = match timeout(LIFE + GRACE, events.next()).await {
            Ok(Some(Ok(event))) => event,
            Ok(Some(Err(error))) => return Some(self.refused(version, Failure::of(&error))),
            // The API server ends watches when their life is over, and a silent one is dead.
            Ok(None) | Err(_) => {
                if !heard && since.elapsed() < TOO_SHORT {
                    self.backoff.fail();
                }
                self.step = Step::Connect { version };
                return None;
            }
        };
        let (version, event) = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                (object.version().to_owned(), Some(Event::Applied(object)))
            }
            WatchEvent::Deleted(object) => {
                (object.version().to_owned(), Some(Event::Deleted(object)))
            }
            WatchEvent::Bookmark(mark) => (mark.metadata.resource_version, None),
            WatchEvent::Error(status) => {
                let failure = Failure::of(&kube::Error::Api(status));
                return Some(self.refused(version, failure));
            }
        };
        if version.is_empty() {
            return Some(self.fail(Failure::unversioned()));
        }
        self.backoff.reset();
        self.refusals = 0;
        self.step = Step::Follow {
            version,
            events,
            since,
            heard: true,
        };
        event
    }

    /// Waits, and goes on from the version, unless that is what is wrong.
    fn refused(&mut self, version: String, failure: Failure) -> Event<K> {
        self.refusals += u32::from(failure.is_of_request());
        if !failure.is_gone() && self.refusals < REFUSALS {
            self.step = Step::Connect { version };
        } else {
            self.refusals = 0;
        }
        if !failure.is_gone() {
            return self.fail(failure);
        }
        // The list brings everything up to date at once; only when that fails there is something to tell.
        tracing::debug!("the version is not known any more: everything is listed again");
        self.step = Step::Page {
            objects: VecDeque::new(),
            next: Next::First,
        };
        self.backoff.fail();
        Event::Restarted
    }

    fn fail(&mut self, failure: Failure) -> Event<K> {
        self.backoff.fail();
        Event::Failed(failure)
    }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

async fn answer<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    match timeout(ANSWER, request).await {
        Ok(answer) => answer.map_err(|error| Failure::of(&error)),
        Err(_) => Err(Failure::silent(ANSWER)),
    }
}
