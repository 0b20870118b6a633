//! One listener: what it takes, what it refers to, and what the data plane gets of it.

use novaedge_api::gateway::{
    FromNamespaces, GROUP, Listener, ProtocolType, RouteGroupKind, TlsModeType,
};
use novaedge_api::meta::{Kind, ObjectId, ObjectKey};
use novaedge_api::native::{
    NamespacedRef, ProxyListener, ProxyListenerTls, ProxyProtocol, ProxyTlsMode,
};

use super::certificates::{self, Permitted};
use super::client_validation::Validation;
use super::{ListenerDetail, NativeListener};
use crate::config::Mode;
use crate::diagnostic::Diagnostic;
use crate::layout::{Entry, Layout, port_owner, transport};
use crate::plan::{AllowedNamespaces, ListenerOwner, ListenerPlan};
use crate::view::View;

/// What all listeners of a Gateway are planned with.
pub(super) struct Scope<'a, 'v> {
    pub(super) view: &'a View<'v>,
    pub(super) gateway: &'a ObjectKey,
    pub(super) layout: &'a Layout,
    pub(super) validation: &'a Validation,
}

/// A reason and a message of a condition.
type Said = (&'static str, String);

/// Where findings about a listener go.
struct Findings<'a> {
    owner: ObjectId,
    /// Path of the listener in its owner.
    field: String,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Findings<'_> {
    /// Notes an error, and gives what a condition says of it.
    fn error(&mut self, below: &str, reason: &'static str, message: &str) -> Said {
        let field = format!("{}{below}", self.field);
        let said = (reason, format!("{field}: {message}"));
        let finding = Diagnostic::error(self.owner.clone(), field, reason, message);
        self.diagnostics.push(finding);
        said
    }
}

/// Plans a listener. The native one is absent when the listener cannot be served.
pub(super) fn plan(
    scope: &Scope<'_, '_>,
    entry: &Entry,
    spec: &Listener,
    diagnostics: &mut Vec<Diagnostic>,
) -> (ListenerDetail, Option<NativeListener>) {
    let owner = owner_id(scope, entry);
    let mut findings = Findings {
        owner: owner.clone(),
        field: format!("spec.listeners[{}]", entry.index),
        diagnostics,
    };
    let (kinds, bad_kinds) = kinds(spec);
    let mut unresolved: Option<Said> = None;
    for (index, message) in bad_kinds {
        let below = format!(".allowedRoutes.kinds[{index}]");
        let said = findings.error(&below, "InvalidRouteKinds", &message);
        unresolved.get_or_insert(said);
    }
    let secrets = secrets(scope.view, spec, &mut findings, &mut unresolved);
    let mut refusal = refusal(scope, entry, spec).map(|(reason, message)| {
        let fault = entry.fault.as_ref();
        let below = fault.map_or(".port".to_owned(), |fault| format!(".{}", fault.field));
        findings.error(&below, reason, &message)
    });
    let conflict = entry.conflict.as_ref();
    let conflict: Option<Said> = conflict.map(|c| findings.error("", c.reason, &c.message));
    let https = spec.protocol == ProtocolType::Https;
    let validation = scope.validation.of_port(spec.port).filter(|_| https);
    let client_validation = validation.and_then(|validation| validation.native.clone());
    if let Some(validation) = validation {
        if let Some((reason, message)) = &validation.fault {
            unresolved.get_or_insert((reason, message.clone()));
        }
        if validation.native.is_none() {
            let text = validation.fault.as_ref().map(|(_, text)| text.clone());
            refusal.get_or_insert(("NoValidCACertificate", text.unwrap_or_default()));
        }
    }
    let terminates = tls_mode(spec) == Some(ProxyTlsMode::Terminate);
    let accepted = refusal.is_none() && conflict.is_none();
    let usable =
        accepted && scope.layout.unserved().is_none() && !(terminates && secrets.is_empty());
    let plan = ListenerPlan {
        name: entry.name.clone(),
        section_name: spec.name.clone(),
        owner: entry.owner.clone(),
        owner_namespace: owner.key.namespace.clone(),
        port: spec.port,
        protocol: spec.protocol.as_str().to_owned(),
        hostname: hostname(spec),
        tls_mode: tls_mode(spec),
        allowed_kinds: kinds.clone(),
        allowed_namespaces: allowed_namespaces(spec),
        usable,
        accepted,
    };
    let native = usable.then(|| {
        let mut native = native(entry, spec, &plan, &secrets, client_validation)?;
        scope.layout.options.apply(&spec.protocol, &mut native);
        Some(native)
    });
    let supported_kinds = kinds.iter().map(|kind| RouteGroupKind {
        group: GROUP.to_owned(),
        kind: kind.as_str().to_owned(),
    });
    let detail = ListenerDetail {
        index: entry.index,
        plan,
        supported_kinds: supported_kinds.collect(),
        refusal,
        conflict,
        unresolved,
        overlapping: None,
    };
    (detail, native.flatten())
}

fn owner_id(scope: &Scope<'_, '_>, entry: &Entry) -> ObjectId {
    match &entry.owner {
        ListenerOwner::Gateway => ObjectId {
            kind: Kind::Gateway,
            key: scope.gateway.clone(),
        },
        ListenerOwner::ListenerSet(set) => ObjectId {
            kind: Kind::ListenerSet,
            key: set.clone(),
        },
    }
}

/// Why the listener is not accepted, apart from conflicts.
fn refusal(scope: &Scope<'_, '_>, entry: &Entry, spec: &Listener) -> Option<Said> {
    if let Some(fault) = &entry.fault {
        return Some((fault.reason, fault.message.clone()));
    }
    if scope.view.config().mode != Mode::Standalone || entry.conflict.is_some() {
        return None;
    }
    let claims = scope.view.claims(spec.port, transport(spec));
    let gateway = ObjectId {
        kind: Kind::Gateway,
        key: scope.gateway.clone(),
    };
    let owner = port_owner(&claims, &gateway)?;
    let message = format!(
        "{} port {} is taken by {} {}, and all Gateways share this machine's addresses; use another port, or give both Gateways spec.addresses of their own",
        transport(spec).as_str(),
        spec.port,
        owner.gateway.kind,
        owner.gateway.key
    );
    Some(("PortUnavailable", message))
}

/// Kinds of the protocol, cut to `allowedRoutes.kinds`, and what is wrong with which of those.
fn kinds(spec: &Listener) -> (Vec<Kind>, Vec<(usize, String)>) {
    let fitting: &[Kind] = match spec.protocol {
        ProtocolType::Http | ProtocolType::Https => &[Kind::HttpRoute, Kind::GrpcRoute],
        ProtocolType::Tls => &[Kind::TlsRoute],
        ProtocolType::Tcp => &[Kind::TcpRoute],
        ProtocolType::Udp => &[Kind::UdpRoute],
        ProtocolType::Other(_) => &[],
    };
    let given = &spec.allowed_routes.kinds;
    if given.is_empty() {
        return (fitting.to_vec(), Vec::new());
    }
    let fits: Vec<&str> = fitting.iter().map(|kind| kind.as_str()).collect();
    let fits = if fits.is_empty() {
        "a supported protocol".to_owned()
    } else {
        fits.join(" or ")
    };
    let mut found = Vec::new();
    let mut bad = Vec::new();
    for (index, kind) in given.iter().enumerate() {
        match fitting
            .iter()
            .find(|k| k.group() == kind.group && k.as_str() == kind.kind)
        {
            Some(kind) if found.contains(kind) => {}
            Some(kind) => found.push(*kind),
            None => {
                let message = format!(
                    "{}.{} cannot attach to a listener of protocol {}; use {fits}",
                    kind.kind, kind.group, spec.protocol
                );
                bad.push((index, message));
            }
        }
    }
    (found, bad)
}

/// The Secrets that can be shown to clients.
fn secrets(
    view: &View<'_>,
    spec: &Listener,
    findings: &mut Findings<'_>,
    unresolved: &mut Option<Said>,
) -> Vec<ObjectKey> {
    if tls_mode(spec) != Some(ProxyTlsMode::Terminate) {
        return Vec::new();
    }
    let references = spec.tls.iter().flat_map(|tls| &tls.certificate_refs);
    let mut found = Vec::new();
    let mut none = true;
    for (index, reference) in references.enumerate() {
        none = false;
        let below = format!(".tls.certificateRefs[{index}]");
        match certificates::resolve(view, &findings.owner, reference) {
            Ok(certificate) => {
                let field = format!("{}{below}", findings.field);
                let timing = certificate.timing(view, &findings.owner, &field);
                findings.diagnostics.extend(timing);
                found.push(certificate.secret);
            }
            Err(fault) => {
                let reason = match fault.permitted {
                    Permitted::Yes => "InvalidCertificateRef",
                    Permitted::No => "RefNotPermitted",
                };
                let said = findings.error(&below, reason, &fault.message);
                unresolved.get_or_insert(said);
            }
        }
    }
    if none && spec.tls.is_some() {
        let message = "there is no certificate; add a Secret to tls.certificateRefs";
        let said = findings.error(".tls.certificateRefs", "InvalidCertificateRef", message);
        unresolved.get_or_insert(said);
    }
    found
}

fn tls_mode(spec: &Listener) -> Option<ProxyTlsMode> {
    if !matches!(spec.protocol, ProtocolType::Https | ProtocolType::Tls) {
        return None;
    }
    Some(match spec.tls.as_ref().map(|tls| tls.mode) {
        Some(TlsModeType::Passthrough) => ProxyTlsMode::Passthrough,
        _ => ProxyTlsMode::Terminate,
    })
}

fn hostname(spec: &Listener) -> Option<String> {
    let streams = matches!(spec.protocol, ProtocolType::Tcp | ProtocolType::Udp);
    let given = spec
        .hostname
        .as_deref()
        .filter(|host| !host.is_empty() && !streams);
    given.map(str::to_ascii_lowercase)
}

fn allowed_namespaces(spec: &Listener) -> AllowedNamespaces {
    let namespaces = &spec.allowed_routes.namespaces;
    match namespaces.from {
        FromNamespaces::All => AllowedNamespaces::All,
        FromNamespaces::Same => AllowedNamespaces::Same,
        FromNamespaces::None => AllowedNamespaces::None,
        // Without a selector nobody is meant, rather than everybody.
        FromNamespaces::Selector => namespaces
            .selector
            .clone()
            .map_or(AllowedNamespaces::None, AllowedNamespaces::Selector),
    }
}

fn native(
    entry: &Entry,
    spec: &Listener,
    plan: &ListenerPlan,
    secrets: &[ObjectKey],
    client_validation: Option<novaedge_api::native::ProxyClientValidation>,
) -> Option<ProxyListener> {
    let protocol = match spec.protocol {
        ProtocolType::Http => ProxyProtocol::HTTP,
        ProtocolType::Https => ProxyProtocol::HTTPS,
        ProtocolType::Tls => ProxyProtocol::TLS,
        ProtocolType::Tcp => ProxyProtocol::TCP,
        ProtocolType::Udp => ProxyProtocol::UDP,
        ProtocolType::Other(_) => return None,
    };
    // The ProxyGateway lies beside the Gateway, so references of a ListenerSet are written in full.
    let set = match &entry.owner {
        ListenerOwner::Gateway => None,
        ListenerOwner::ListenerSet(set) => Some(NamespacedRef {
            namespace: set.namespace.clone(),
            name: set.name.clone(),
        }),
    };
    let home = if set.is_some() {
        ""
    } else {
        plan.owner_namespace.as_str()
    };
    let tls = plan.tls_mode.map(|mode| ProxyListenerTls {
        mode,
        certificate_refs: secrets
            .iter()
            .map(|key| certificates::native_ref(key, home))
            .collect(),
        client_validation,
    });
    Some(ProxyListener {
        name: plan.name.clone(),
        listener_set_ref: set,
        section_name: if plan.name == plan.section_name {
            String::new()
        } else {
            plan.section_name.clone()
        },
        port: plan.port,
        protocol,
        hostname: plan.hostname.clone(),
        tls,
        ..ProxyListener::default()
    })
}
