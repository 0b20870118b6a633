//! What a unit may look at. Every look is recorded.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use novaedge_api::gateway::ReferenceGrant;
use novaedge_api::k8s_openapi::api::discovery::v1::EndpointSlice;
use novaedge_api::meta::{Kind, Object, ObjectId, ObjectKey, Typed};
use novaedge_api::native::{self, CaRef, NamespacedRef};
use novaedge_proto::v1;
use novaedge_store::Store;
use novaedge_translate::grant::{self, Referent, Referrer};

use crate::name;
use crate::port::PortSource;
use crate::tls;
use crate::unit::{Attachable, Carries, Computed, Input, Outcome, Unit};

/// Where a native object comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The translation made it and has judged its references.
    Generated,
    /// A user wrote it.
    Written,
}

/// What stays the same during an update.
pub(crate) struct Inputs<'a> {
    pub generated: &'a BTreeMap<ObjectId, Object>,
    pub store: &'a Store,
    pub ports: &'a PortSource,
    pub outcomes: &'a BTreeMap<Unit, Outcome>,
}

/// The view of one unit.
pub(crate) struct View<'a> {
    inputs: &'a Inputs<'a>,
    reads: RefCell<BTreeSet<Input>>,
    /// Certificates and trust bundles that were asked for here first.
    fresh: RefCell<BTreeMap<Unit, (Computed, BTreeSet<Input>)>>,
}

/// What a view recorded.
pub(crate) struct Seen {
    pub reads: BTreeSet<Input>,
    pub fresh: BTreeMap<Unit, (Computed, BTreeSet<Input>)>,
}

impl<'a> View<'a> {
    pub fn new(inputs: &'a Inputs<'a>) -> Self {
        Self {
            inputs,
            reads: RefCell::default(),
            fresh: RefCell::default(),
        }
    }

    pub fn into_seen(self) -> Seen {
        Seen {
            reads: self.reads.into_inner(),
            fresh: self.fresh.into_inner(),
        }
    }

    fn record(&self, input: Input) {
        self.reads.borrow_mut().insert(input);
    }

    /// An object of the store.
    pub fn get<K: Typed>(&self, key: &ObjectKey) -> Option<&'a Arc<K>> {
        self.record(Input::Object(ObjectId {
            kind: K::KIND,
            key: key.clone(),
        }));
        self.inputs.store.get::<K>(key)
    }

    /// A native object: the generated one goes before the one that a user wrote.
    pub fn native<K: Typed>(&self, key: &ObjectKey) -> Option<(&'a Arc<K>, Origin)> {
        let id = ObjectId {
            kind: K::KIND,
            key: key.clone(),
        };
        if let Some(object) = self.inputs.generated.get(&id) {
            return Some((K::of(object)?, Origin::Generated));
        }
        let written = self.inputs.store.get::<K>(key)?;
        (!is_projection(written.as_ref())).then_some((written, Origin::Written))
    }

    /// The EndpointSlices of a Service.
    pub fn slices_of(&self, service: &ObjectKey) -> Vec<&'a Arc<EndpointSlice>> {
        self.record(Input::Slices(service.clone()));
        let store = self.inputs.store;
        store
            .slices_of(service)
            .filter_map(|key| self.get::<EndpointSlice>(key))
            .collect()
    }

    /// Whether a native object that a user wrote may refer to an object of another namespace.
    pub fn permits(&self, from: &ObjectId, to: Kind, key: &ObjectKey) -> bool {
        if from.key.namespace == key.namespace || key.namespace.is_empty() {
            return true;
        }
        self.record(Input::Grants(key.namespace.clone()));
        let grants: Vec<Arc<ReferenceGrant>> = self
            .inputs
            .store
            .grants_in(&key.namespace)
            .cloned()
            .collect();
        let referrer = Referrer {
            group: from.kind.group(),
            kind: from.kind.as_str(),
            namespace: &from.key.namespace,
        };
        let referent = Referent {
            group: to.group(),
            kind: to.as_str(),
            name: &key.name,
        };
        grant::permits(&grants, &referrer, &referent)
    }

    /// The local port of a listener.
    pub fn bind_port(
        &self,
        gateway: &ObjectKey,
        port: u16,
        protocol: native::ProxyProtocol,
    ) -> Option<u16> {
        if !self.binds_addresses() {
            self.record(Input::Ports(gateway.clone()));
        }
        self.inputs.ports.bind_port(gateway, port, protocol)
    }

    /// Whether agents bind the addresses of gateways, or every one.
    pub fn binds_addresses(&self) -> bool {
        matches!(self.inputs.ports, PortSource::Fixed(_))
    }

    /// The listeners of a ProxyGateway that were compiled.
    pub fn listeners(&self, gateway: &ObjectKey) -> Option<Arc<[Attachable]>> {
        match self.outcome(Unit::Gateway(gateway.clone())) {
            Some(Outcome::Listeners(listeners)) => Some(Arc::clone(listeners)),
            _ => None,
        }
    }

    /// What a ProxyBackend may carry; none when there is no such backend.
    pub fn backend(&self, key: &ObjectKey) -> Option<Carries> {
        match self.outcome(Unit::Backend(key.clone())) {
            Some(Outcome::Backend(carries)) => Some(*carries),
            _ => None,
        }
    }

    fn outcome(&self, unit: Unit) -> Option<&'a Outcome> {
        let outcome = self.inputs.outcomes.get(&unit);
        self.record(Input::Unit(unit));
        outcome
    }

    /// Resource name of a Secret's certificate, or why there is none.
    pub fn certificate(&self, secret: &ObjectKey) -> Result<String, Arc<str>> {
        self.demand(Unit::Certificate(secret.clone()), |view| {
            tls::certificate(view, secret)
        })?;
        Ok(name::certificate(secret))
    }

    /// Resource name of a trust bundle, or why there is none.
    pub fn trust(&self, id: &ObjectId) -> Result<String, Arc<str>> {
        self.demand(Unit::Trust(id.clone()), |view| tls::trust(view, id))?;
        Ok(name::trust(id.kind, &id.key))
    }

    fn demand(
        &self,
        unit: Unit,
        compute: impl FnOnce(&View<'_>) -> Computed,
    ) -> Result<(), Arc<str>> {
        self.record(Input::Unit(unit.clone()));
        let mut fresh = self.fresh.borrow_mut();
        let outcome = if let Some(outcome) = self.inputs.outcomes.get(&unit) {
            outcome
        } else {
            let (computed, _) = fresh.entry(unit).or_insert_with(|| {
                let view = View::new(self.inputs);
                let computed = compute(&view);
                (computed, view.into_seen().reads)
            });
            &computed.outcome
        };
        match outcome {
            Outcome::Unusable(reason) => Err(Arc::clone(reason)),
            _ => Ok(()),
        }
    }
}

/// Whether an object is a written copy of a generated one, as the API server holds it.
pub(crate) fn is_projection<K: Typed>(object: &K) -> bool {
    let annotations = object.object_meta().annotations.as_ref();
    annotations.is_some_and(|annotations| annotations.contains_key(native::OWNER))
}

/// The object that a native one stands for: the owner of a generated one, else itself.
pub(crate) fn source<K: Typed>(object: &K, origin: Origin) -> v1::ObjectRef {
    let own = || name::object_ref(K::KIND, &object.object_key());
    if origin == Origin::Written {
        return own();
    }
    let annotations = object.object_meta().annotations.as_ref();
    let owner = annotations.and_then(|annotations| annotations.get(native::OWNER));
    let parts: Option<Vec<&str>> = owner.map(|owner| owner.split('/').collect());
    match parts.as_deref() {
        Some([kind, namespace, name]) => v1::ObjectRef {
            kind: (*kind).to_owned(),
            namespace: (*namespace).to_owned(),
            name: (*name).to_owned(),
        },
        _ => own(),
    }
}

/// The key that a reference means, seen from an object in `holder`.
pub(crate) fn resolve(reference: &NamespacedRef, holder: &str) -> ObjectKey {
    key_in(&reference.namespace, &reference.name, holder)
}

/// A key, in the namespace of `holder` unless one is given.
pub(crate) fn key_in(namespace: &str, name: &str, holder: &str) -> ObjectKey {
    let namespace = if namespace.is_empty() {
        holder
    } else {
        namespace
    };
    ObjectKey::new(namespace, name)
}

/// The object that holds certificates of authorities. Nothing for kinds that cannot.
pub(crate) fn resolve_ca(reference: &CaRef, holder: &str) -> Option<ObjectId> {
    let kind = match reference.kind.as_str() {
        "ConfigMap" => Kind::ConfigMap,
        "Secret" => Kind::Secret,
        "ClusterTrustBundle" => {
            return Some(ObjectId::new(Kind::ClusterTrustBundle, "", &reference.name));
        }
        _ => return None,
    };
    Some(ObjectId {
        kind,
        key: key_in(&reference.namespace, &reference.name, holder),
    })
}
