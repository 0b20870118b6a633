//! The entrance of an IngressClass: the ProxyGateway that all of its Ingresses share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::networking::v1::IngressClass;
use novaedge_api::gateway::ProtocolType;
use novaedge_api::meta::{Kind, ObjectId, ObjectKey, Typed as _};
use novaedge_api::native::{
    NamespacedRef, ProxyGateway, ProxyGatewaySpec, ProxyListener, ProxyListenerTls, ProxyProtocol,
    ProxyTlsMode,
};

use super::claim::TlsClaim;
use super::class::IngressClassPlan;
use super::index::Crowd;
use crate::clash;
use crate::config::Mode;
use crate::diagnostic::Diagnostic;
use crate::layout::{Claim, PortClaims, port_owner};
use crate::names;
use crate::read::Transport;
use crate::view::View;

/// Hosts with TLS of one class: with the listener for HTTP as many as a ProxyGateway has listeners.
const MAX_HOSTS: usize = 4095;

/// What the entrance of a class of ours comes to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entrance {
    /// Key of the ProxyGateway, whether there is one or not.
    pub(crate) key: ObjectKey,
    pub(crate) https_port: u16,
    pub(crate) native: Option<Arc<ProxyGateway>>,
    /// Why nothing is served, if so: what to look at.
    pub(crate) unserved: Option<String>,
    /// Hosts with TLS that are one too many.
    pub(crate) left_out: BTreeSet<String>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Ports that a class claims from Gateways on the same machine; none when it is not ours.
pub(crate) fn plan_ports(view: &View<'_>, key: &ObjectKey) -> Option<PortClaims> {
    let class = view.ingress_class(key)?;
    let mut ports = BTreeSet::new();
    if view.config().mode != Mode::Standalone || !class.accepted {
        return Some(ports);
    }
    let Some(crowd) = view.crowd(key) else {
        return Some(ports);
    };
    let claim = Claim {
        created: class.created,
        gateway: class_id(key),
        addresses: Vec::new(),
    };
    ports.insert(((class.http_port, Transport::Tcp), claim.clone()));
    if certified(crowd).next().is_some() {
        ports.insert(((class.https_port, Transport::Tcp), claim));
    }
    Some(ports)
}

/// Plans an entrance; none when the class is not ours. It is there as long as some Ingress is of the class.
pub(crate) fn plan_entrance(view: &View<'_>, key: &ObjectKey) -> Option<Entrance> {
    let class = view.ingress_class(key)?;
    let object = view.get::<IngressClass>(key)?;
    let mut entrance = Entrance {
        key: names::ingress_gateway(&view.config().namespace, &key.name),
        https_port: class.https_port,
        native: None,
        unserved: None,
        left_out: BTreeSet::new(),
        diagnostics: Vec::new(),
    };
    if !class.accepted {
        let why = format!("IngressClass {} cannot be used; see its problems", key.name);
        entrance.unserved = Some(why);
        return Some(entrance);
    }
    let Some(crowd) = view.crowd(key) else {
        return Some(entrance);
    };
    if view.layout(&entrance.key).is_some() {
        let gateway = &entrance.key;
        let why = format!(
            "Gateway {gateway} has the name of the ProxyGateway of IngressClass {}; rename the Gateway",
            key.name
        );
        entrance.refuse(key, "metadata.name", "NameTaken", why.clone());
        entrance.unserved = Some(why);
        return Some(entrance);
    }
    let listeners = entrance.listeners(view, key, &class, crowd);
    if listeners.is_empty() {
        let why = format!(
            "no port of IngressClass {} can be used; see its problems",
            key.name
        );
        entrance.unserved = Some(why);
        return Some(entrance);
    }
    let metadata =
        names::native_metadata(entrance.key.clone(), Kind::IngressClass, &object.metadata);
    let native = ProxyGateway {
        metadata,
        spec: ProxyGatewaySpec {
            listeners,
            ..ProxyGatewaySpec::default()
        },
        status: None,
    };
    let clash = clash::check::<ProxyGateway>(view, &native.object_key(), &class_id(key));
    entrance.diagnostics.extend(clash);
    entrance.native = Some(Arc::new(native));
    Some(entrance)
}

impl Entrance {
    fn refuse(&mut self, class: &ObjectKey, field: &str, reason: &str, message: String) {
        let finding = Diagnostic::error(class_id(class), field, reason, message);
        self.diagnostics.push(finding);
    }

    /// The listener for HTTP, then one for each host with a certificate.
    fn listeners(
        &mut self,
        view: &View<'_>,
        key: &ObjectKey,
        class: &IngressClassPlan,
        crowd: &Crowd,
    ) -> Vec<ProxyListener> {
        let mut listeners = Vec::new();
        if self.has_port(view, key, class.http_port) {
            let mut http = ProxyListener {
                name: "http".to_owned(),
                port: class.http_port,
                protocol: ProxyProtocol::HTTP,
                ..ProxyListener::default()
            };
            class.options.apply(&ProtocolType::Http, &mut http);
            listeners.push(http);
        }
        let mut hosts: Vec<(&TlsClaim, &String, NamespacedRef)> = certified(crowd).collect();
        if hosts.is_empty() || !self.has_port(view, key, class.https_port) {
            return listeners;
        }
        if hosts.len() > MAX_HOSTS {
            // Those that came last have to go.
            hosts.sort();
            let over = hosts.split_off(MAX_HOSTS);
            self.left_out = over.into_iter().map(|(_, host, _)| host.clone()).collect();
        }
        let certificates: BTreeMap<&String, NamespacedRef> = hosts
            .into_iter()
            .map(|(_, host, certificate)| (host, certificate))
            .collect();
        for (host, certificate) in certificates {
            let mut https = ProxyListener {
                name: https_listener(host),
                port: class.https_port,
                protocol: ProxyProtocol::HTTPS,
                hostname: (!host.is_empty()).then(|| host.clone()),
                tls: Some(ProxyListenerTls {
                    mode: ProxyTlsMode::Terminate,
                    certificate_refs: vec![certificate],
                    client_validation: None,
                }),
                ..ProxyListener::default()
            };
            class.options.apply(&ProtocolType::Https, &mut https);
            listeners.push(https);
        }
        listeners
    }

    /// Whether no Gateway on the same machine has the port.
    fn has_port(&mut self, view: &View<'_>, key: &ObjectKey, port: u16) -> bool {
        if view.config().mode != Mode::Standalone {
            return true;
        }
        let claims = view.claims(port, Transport::Tcp);
        let Some(owner) = port_owner(&claims, &class_id(key)) else {
            return true;
        };
        let text = format!(
            "TCP port {port} is taken by {} {}, and all Gateways and Ingresses share this machine's addresses; use another \
             port there, or here by the annotations novaedge.io/http-port and novaedge.io/https-port",
            owner.gateway.kind, owner.gateway.key
        );
        self.refuse(key, "metadata.annotations", "PortUnavailable", text);
        false
    }
}

/// Hosts with a certificate, each with the claim that comes first of those that have one.
fn certified(crowd: &Crowd) -> impl Iterator<Item = (&TlsClaim, &String, NamespacedRef)> {
    crowd.tls.iter().filter_map(|(host, claims)| {
        claims.iter().find_map(|claim| {
            let secret = claim.secret.as_ref()?;
            let reference = NamespacedRef {
                namespace: secret.namespace.clone(),
                name: secret.name.clone(),
            };
            Some((claim, host, reference))
        })
    })
}

/// Name of the listener for a host. No host holds an underscore.
pub(super) fn https_listener(host: &str) -> String {
    if host.is_empty() {
        return "https".to_owned();
    }
    names::listener_of_host(&format!("https-{}", host.replace('*', "_")))
}

fn class_id(key: &ObjectKey) -> ObjectId {
    ObjectId {
        kind: Kind::IngressClass,
        key: key.clone(),
    }
}
