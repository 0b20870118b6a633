//! Filters of rules and of backend references.

use novaedge_api::native::{
    ProxyCors, ProxyFilter, ProxyHeader, ProxyHeaderModifier, ProxyMirror, ProxyPathModifier,
    ProxyRedirect, ProxyUrlRewrite,
};
use novaedge_proto::v1;
use novaedge_proto::v1::filter::Kind;

/// A filter on the wire. `backend` gives the resource name of a mirror's backend; a mirror without
/// one copies nothing and is left out.
pub(crate) fn compile(
    native: &ProxyFilter,
    backend: impl FnOnce(&ProxyMirror) -> Option<String>,
) -> Option<v1::Filter> {
    let kind = match native {
        ProxyFilter::RequestHeaderModifier(native) => Kind::RequestHeaders(headers(native)),
        ProxyFilter::ResponseHeaderModifier(native) => Kind::ResponseHeaders(headers(native)),
        ProxyFilter::RequestRedirect(native) => Kind::Redirect(redirect(native)),
        ProxyFilter::UrlRewrite(native) => Kind::UrlRewrite(rewrite(native)),
        ProxyFilter::RequestMirror(native) => Kind::Mirror(v1::Mirror {
            backend: backend(native)?,
            numerator: native.numerator,
            denominator: native.denominator,
        }),
        ProxyFilter::Cors(native) => Kind::Cors(cors(native)),
    };
    Some(v1::Filter { kind: Some(kind) })
}

fn headers(native: &ProxyHeaderModifier) -> v1::HeaderModifier {
    v1::HeaderModifier {
        set: native.set.iter().map(header).collect(),
        add: native.add.iter().map(header).collect(),
        remove: native.remove.clone(),
    }
}

fn header(native: &ProxyHeader) -> v1::Header {
    v1::Header {
        name: native.name.clone(),
        value: native.value.clone(),
    }
}

fn path(native: &ProxyPathModifier) -> v1::PathModifier {
    use v1::path_modifier::Kind;
    v1::PathModifier {
        kind: Some(match native {
            ProxyPathModifier::ReplaceFullPath(path) => Kind::ReplaceFullPath(path.clone()),
            ProxyPathModifier::ReplacePrefixMatch(path) => Kind::ReplacePrefixMatch(path.clone()),
        }),
    }
}

fn redirect(native: &ProxyRedirect) -> v1::Redirect {
    v1::Redirect {
        scheme: native.scheme.clone().unwrap_or_default(),
        hostname: native.hostname.clone().unwrap_or_default(),
        path: native.path.as_ref().map(path),
        port: native.port.map_or(0, u32::from),
        status_code: u32::from(native.status_code),
    }
}

fn rewrite(native: &ProxyUrlRewrite) -> v1::UrlRewrite {
    v1::UrlRewrite {
        hostname: native.hostname.clone().unwrap_or_default(),
        path: native.path.as_ref().map(path),
    }
}

fn cors(native: &ProxyCors) -> v1::Cors {
    v1::Cors {
        allow_origins: native.allow_origins.clone(),
        allow_methods: native.allow_methods.clone(),
        allow_headers: native.allow_headers.clone(),
        expose_headers: native.expose_headers.clone(),
        allow_credentials: native.allow_credentials,
        max_age: native.max_age,
    }
}
