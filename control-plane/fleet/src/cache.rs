//! What the watches have told so far.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt as _;
use kube::runtime::watcher::Event;
use novaedge_api::meta::ObjectKey;

use crate::plan::Observed;
use crate::pod::{AgentPod, node_id};
use crate::settings::Settings;

/// News of one watch.
#[derive(Debug)]
pub(crate) enum News {
    Service(Box<Event<Service>>),
    Slice(Box<Event<EndpointSlice>>),
    /// Of agents in a namespace.
    Pod(String, Box<Event<Pod>>),
}

/// Everything that the watches have told.
#[derive(Debug)]
pub(crate) struct Cache {
    services: Table<Service>,
    slices: Table<EndpointSlice>,
    system: String,
    /// By namespace.
    pods: BTreeMap<String, Table<Pod>>,
    /// Namespaces of agents of which nothing has been told yet.
    unseen: BTreeSet<String>,
    agents: BTreeMap<String, AgentPod>,
    /// Names of Services of others that were found to be in the way.
    pub taken: BTreeSet<ObjectKey>,
}

impl Cache {
    /// Knows nothing yet.
    pub fn new(settings: &Settings) -> Self {
        Self {
            services: Table::default(),
            slices: Table::default(),
            system: settings.namespace.clone(),
            pods: BTreeMap::new(),
            unseen: settings.agent_namespaces.clone(),
            agents: BTreeMap::new(),
            taken: BTreeSet::new(),
        }
    }

    /// Whether every watch has told all that there was when it began. A namespace of agents that cannot be watched
    /// holds nobody else back.
    pub fn is_complete(&self) -> bool {
        let agents = self.pods.get(&self.system);
        self.services.complete
            && self.slices.complete
            && agents.is_some_and(|agents| agents.complete)
    }

    pub fn observed(&self) -> Observed<'_> {
        Observed {
            services: &self.services.objects,
            slices: &self.slices.objects,
            pods: &self.agents,
            unseen: &self.unseen,
            taken: &self.taken,
        }
    }

    /// Takes in news. Returns whether something changed that matters.
    pub fn take(&mut self, news: News) -> bool {
        match news {
            News::Service(event) => self.services.take(*event),
            News::Slice(event) => self.slices.take(*event),
            News::Pod(namespace, event) => {
                let table = self.pods.entry(namespace.clone()).or_default();
                let was_complete = table.complete;
                table.take(*event);
                let is_complete = table.complete;
                if is_complete {
                    self.unseen.remove(&namespace);
                }
                let pods = self.pods.values().flat_map(|table| &table.objects);
                let agents = pods.filter_map(|(key, pod)| {
                    let node = node_id(&self.system, &key.namespace, &key.name);
                    Some((node, AgentPod::of(pod)?))
                });
                let agents = agents.collect();
                let changed = self.agents != agents || is_complete != was_complete;
                self.agents = agents;
                changed
            }
        }
    }

    /// Takes in a Service as the API server answered a write with it.
    pub fn put_service(&mut self, service: Service) {
        self.services.put(service);
    }

    /// Takes in an EndpointSlice as the API server answered a write with it.
    pub fn put_slice(&mut self, slice: EndpointSlice) {
        self.slices.put(slice);
    }

    /// Takes in that the API server has deleted a Service.
    pub fn remove_service(&mut self, key: &ObjectKey) {
        self.services.bury(key);
    }

    /// Takes in that the API server has deleted an EndpointSlice.
    pub fn remove_slice(&mut self, key: &ObjectKey) {
        self.slices.bury(key);
    }
}

/// The objects of one kind.
#[derive(Debug)]
struct Table<K> {
    objects: BTreeMap<ObjectKey, Arc<K>>,
    /// What a list that is not complete yet has told.
    listed: BTreeMap<ObjectKey, Arc<K>>,
    /// Uids of objects that we have deleted, until the watch tells so: what it tells of them before is old.
    buried: BTreeSet<String>,
    complete: bool,
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            listed: BTreeMap::new(),
            buried: BTreeSet::new(),
            complete: false,
        }
    }
}

impl<K: kube::Resource> Table<K> {
    fn take(&mut self, event: Event<K>) -> bool {
        match event {
            Event::Apply(object) => self.put(object),
            Event::Delete(object) => {
                if let Some(uid) = &object.meta().uid {
                    self.buried.remove(uid);
                }
                let key = key(&object);
                let is_held = |held: &Arc<K>| held.meta().uid == object.meta().uid;
                self.objects.get(&key).is_some_and(is_held) && self.objects.remove(&key).is_some()
            }
            Event::Init => {
                self.listed.clear();
                false
            }
            Event::InitApply(object) => {
                self.listed.insert(key(&object), Arc::new(object));
                false
            }
            Event::InitDone => {
                self.objects = std::mem::take(&mut self.listed);
                self.buried.clear();
                self.complete = true;
                true
            }
        }
    }

    /// Forgets an object that is deleted.
    fn bury(&mut self, key: &ObjectKey) {
        if let Some(held) = self.objects.remove(key) {
            self.buried.extend(held.meta().uid.clone());
        }
    }

    /// Keeps the newer of two versions of an object: a watch may lag behind the answers to our own writes. Returns
    /// whether it is this one.
    fn put(&mut self, object: K) -> bool {
        let uid = object.meta().uid.as_ref();
        if uid.is_some_and(|uid| self.buried.contains(uid)) {
            return false;
        }
        let key = key(&object);
        if let Some(held) = self.objects.get(&key)
            && held.meta().uid == object.meta().uid
            && version(&**held) >= version(&object)
        {
            return false;
        }
        self.objects.insert(key, Arc::new(object));
        true
    }
}

fn key<K: kube::Resource>(object: &K) -> ObjectKey {
    ObjectKey::of(object.meta())
}

/// Resource versions are numbers that grow; one that is not orders nothing.
fn version<K: kube::Resource>(object: &K) -> Option<u64> {
    object.resource_version()?.parse().ok()
}
