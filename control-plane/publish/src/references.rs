//! What a resource refers to. No IO, no clock.
//!
//! Whom a Gateway brings along follows its references: listeners name their Gateway, routes their
//! listeners, endpoints their backend; Gateways and listeners name certificates, routes backends, backends
//! authorities. Each leads to a later [`Layer`], so there is no ring.

use std::collections::BTreeSet;

use novaedge_proto::v1::{self, filter, resource::Body, weighted_backend::Target};

use crate::{encoded::EncodedResource, serves::body};

/// The types of resources, in an order in which all references lead forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layer {
    Gateway,
    Listener,
    Route,
    Backend,
    Endpoints,
    Certificate,
    Trust,
}

/// What a resource has to do with others, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct References {
    /// Those that bring it along: any one of them suffices.
    pub(crate) parents: BTreeSet<String>,
    /// Those that it brings along.
    pub(crate) children: BTreeSet<String>,
}

impl Layer {
    /// Of the resource with a name; `None` for names of no known type.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name.split_once('/')?.0 {
            "gateway" => Self::Gateway,
            "listener" => Self::Listener,
            "route" => Self::Route,
            "backend" => Self::Backend,
            "endpoints" => Self::Endpoints,
            "certificate" => Self::Certificate,
            "trust" => Self::Trust,
            _ => return None,
        })
    }

    const fn of_body(body: &Body) -> Self {
        match body {
            Body::Gateway(_) => Self::Gateway,
            Body::Listener(_) => Self::Listener,
            Body::Route(_) => Self::Route,
            Body::Backend(_) => Self::Backend,
            Body::Endpoints(_) => Self::Endpoints,
            Body::Certificate(_) => Self::Certificate,
            Body::TrustBundle(_) => Self::Trust,
        }
    }
}

impl References {
    /// Reads them off a resource; `None` for one whose name and content are of different types. References
    /// to names of the wrong type do not count.
    pub(crate) fn of(resource: &EncodedResource) -> Option<Self> {
        let body = body(resource)?;
        if Layer::of(resource.name()) != Some(Layer::of_body(&body)) {
            return None;
        }
        let mut references = Self::default();
        match body {
            Body::Gateway(gateway) => {
                references.bring(Layer::Certificate, [gateway.backend_client_certificate]);
            }
            Body::Listener(listener) => {
                references.follow(Layer::Gateway, [listener.gateway]);
                references.bring(Layer::Certificate, listener.certificates);
                let validation = listener.client_validation;
                let bundles = validation.map(|validation| validation.trust_bundles);
                references.bring(Layer::Trust, bundles.unwrap_or_default());
            }
            Body::Route(route) => references.read_route(route),
            Body::Backend(backend) => {
                let bundles = backend.tls.map(|tls| tls.trust_bundles);
                references.bring(Layer::Trust, bundles.unwrap_or_default());
            }
            Body::Endpoints(endpoints) => {
                references.follow(Layer::Backend, [endpoints.backend]);
            }
            Body::Certificate(_) | Body::TrustBundle(_) => {}
        }
        Some(references)
    }

    fn read_route(&mut self, route: v1::Route) {
        let listeners = route.bindings.into_iter().map(|binding| binding.listener);
        self.follow(Layer::Listener, listeners);
        self.bring(Layer::Backend, mirrors(route.filters));
        for backend in route.backends {
            self.bring(Layer::Backend, mirrors(backend.filters));
            if let Some(Target::Backend(name)) = backend.target {
                self.bring(Layer::Backend, [name]);
            }
        }
    }

    fn follow(&mut self, layer: Layer, names: impl IntoIterator<Item = String>) {
        let names = names.into_iter();
        self.parents
            .extend(names.filter(|name| Layer::of(name) == Some(layer)));
    }

    fn bring(&mut self, layer: Layer, names: impl IntoIterator<Item = String>) {
        let names = names.into_iter();
        self.children
            .extend(names.filter(|name| Layer::of(name) == Some(layer)));
    }
}

/// The backends that filters send copies to.
fn mirrors(filters: Vec<v1::Filter>) -> impl Iterator<Item = String> {
    filters.into_iter().filter_map(|filter| match filter.kind {
        Some(filter::Kind::Mirror(mirror)) => Some(mirror.backend),
        _ => None,
    })
}
