//! What annotations say of rules.

use k8s_openapi::api::networking::v1::IngressBackend;
use novaedge_api::gateway::BackendObjectReference;
use novaedge_api::native::{
    ProxyFilter, ProxyHeaderModifier, ProxyMirror, ProxyRouteRule, ProxySessionPersistence,
    ProxySessionType, ProxyTimeouts, ProxyUrlRewrite,
};

use super::Rules;
use crate::backend::reference::Refs;
use crate::ingress::entry::Entry;
use crate::ingress::path::Rewrite;
use crate::ingress::settings::Settings;
use crate::route::session;

impl Rules<'_, '_> {
    /// What the annotations say of a rule that has backends.
    pub(super) fn with_settings(
        &self,
        rule: ProxyRouteRule,
        entry: &Entry<'_>,
        rewrite: Option<&Rewrite>,
    ) -> ProxyRouteRule {
        let settings = self.settings;
        let timeouts = settings.try_timeout_ms.map(|limit| ProxyTimeouts {
            request_ms: None,
            backend_request_ms: Some(limit),
        });
        let session_persistence = settings.session.as_ref().map(|session| {
            let seed = format!("{}/{}", self.id, service_name(entry.backend));
            let generated = || format!("novaedge-{}", session::short(&seed));
            ProxySessionPersistence {
                type_: ProxySessionType::Cookie,
                session_name: session.cookie.clone().unwrap_or_else(generated),
                absolute_timeout_ms: session.ttl_ms,
                idle_timeout_ms: None,
                permanent_cookie: session.ttl_ms.is_some(),
            }
        });
        ProxyRouteRule {
            filters: self.filters(rewrite),
            timeouts,
            retry: settings.retry.clone(),
            session_persistence,
            max_request_body_size: settings.max_body,
            ..rule
        }
    }

    fn filters(&self, rewrite: Option<&Rewrite>) -> Vec<ProxyFilter> {
        let settings = self.settings;
        let mut filters = Vec::new();
        filters.extend(settings.cors.clone().map(ProxyFilter::Cors));
        let (request, response) = (&settings.request_headers, &settings.response_headers);
        if *request != ProxyHeaderModifier::default() {
            filters.push(ProxyFilter::RequestHeaderModifier(request.clone()));
        }
        filters.extend(rewrite.map(|rewrite| {
            ProxyFilter::UrlRewrite(ProxyUrlRewrite {
                hostname: None,
                path: Some(rewrite.native()),
            })
        }));
        if *response != ProxyHeaderModifier::default() {
            filters.push(ProxyFilter::ResponseHeaderModifier(response.clone()));
        }
        let mirror = self.mirror.clone();
        filters.extend(mirror.map(ProxyFilter::RequestMirror));
        filters
    }
}

/// The copies that another backend gets; none where that cannot be used, which its reference tells.
pub(super) fn mirror(settings: &Settings, refs: &mut Refs<'_, '_>) -> Option<ProxyMirror> {
    let mirror = settings.mirror.as_ref()?;
    let reference = BackendObjectReference {
        name: mirror.service.clone(),
        port: Some(mirror.port),
        ..BackendObjectReference::default()
    };
    let field = "metadata.annotations[novaedge.io/mirror-backend]";
    Some(ProxyMirror {
        backend_ref: refs.backend(field, &reference).ok()?,
        numerator: mirror.percent,
        denominator: 100,
    })
}

fn service_name(backend: &IngressBackend) -> &str {
    let service = backend.service.as_ref();
    service.map_or("", |service| service.name.as_str())
}
