//! Filters of HTTPRoutes, GRPCRoutes and listeners.

use super::place::At;
use super::refs;
use super::text::{HEADER_NAME, HEADER_VALUE, ORIGIN, SUBDOMAIN, URL_PATH};
use crate::gateway::{
    ExternalAuthProtocol, GrpcRouteFilter, HttpCorsFilter, HttpExternalAuthFilter, HttpHeader,
    HttpHeaderFilter, HttpMethodWithWildcard, HttpPathModifier, HttpRequestMirrorFilter,
    HttpRequestRedirectFilter, HttpRouteFilter, HttpRouteFilterType, OneOfError,
};

/// Filters of an HTTPRoute's rule or backend.
pub(super) fn http(at: At<'_>, filters: &[HttpRouteFilter]) {
    let at = at.field("filters");
    at.each(filters, 0..=16, http_filter);
    repeated(at, filters, |filter| &filter.type_);
    let has = |type_: &HttpRouteFilterType| filters.iter().any(|filter| filter.type_ == *type_);
    if has(&HttpRouteFilterType::RequestRedirect) && has(&HttpRouteFilterType::UrlRewrite) {
        at.error_with_fix(
            "may specify either RequestRedirect or URLRewrite, but not both",
            "put the rewrite's path and hostname into the redirect",
        );
    }
}

/// Filters of a GRPCRoute's rule or backend.
pub(super) fn grpc(at: At<'_>, filters: &[GrpcRouteFilter]) {
    let at = at.field("filters");
    at.each(filters, 0..=16, |at, filter| {
        one_of(at, filter.kind().map(|_| ()));
        headers(
            at,
            "requestHeaderModifier",
            filter.request_header_modifier.as_ref(),
        );
        headers(
            at,
            "responseHeaderModifier",
            filter.response_header_modifier.as_ref(),
        );
        mirror(at, filter.request_mirror.as_ref());
        if let Some(reference) = &filter.extension_ref {
            refs::local(at.field("extensionRef"), reference);
        }
    });
    repeated(at, filters, |filter| &filter.type_);
}

/// Mirrors, extensions and authorisation may be repeated; the others may not.
fn repeated<T>(at: At<'_>, filters: &[T], type_of: impl Fn(&T) -> &HttpRouteFilterType) {
    use HttpRouteFilterType as Type;
    for (index, filter) in filters.iter().enumerate() {
        let type_ = type_of(filter);
        let once = matches!(
            type_,
            Type::Cors
                | Type::RequestHeaderModifier
                | Type::ResponseHeaderModifier
                | Type::RequestRedirect
                | Type::UrlRewrite
        );
        if once
            && filters
                .iter()
                .take(index)
                .any(|other| type_of(other) == type_)
        {
            at.index(index).error_with_fix(
                format!("{type_} filter cannot be repeated"),
                "merge the two filters",
            );
        }
    }
}

/// A type and the field that belongs to it.
pub(super) fn one_of(at: At<'_>, outcome: Result<(), OneOfError>) {
    match outcome {
        Ok(()) => {}
        Err(error @ OneOfError::UnknownType(_)) => at.field("type").error(error.to_string()),
        Err(error @ (OneOfError::Missing { field, .. } | OneOfError::Foreign { field, .. })) => {
            at.field(field).error(error.to_string());
        }
    }
}

fn http_filter(at: At<'_>, filter: &HttpRouteFilter) {
    one_of(at, filter.kind().map(|_| ()));
    headers(
        at,
        "requestHeaderModifier",
        filter.request_header_modifier.as_ref(),
    );
    headers(
        at,
        "responseHeaderModifier",
        filter.response_header_modifier.as_ref(),
    );
    mirror(at, filter.request_mirror.as_ref());
    if let Some(redirect) = &filter.request_redirect {
        self::redirect(at.field("requestRedirect"), redirect);
    }
    if let Some(rewrite) = &filter.url_rewrite {
        let at = at.field("urlRewrite");
        host(at, rewrite.hostname.as_ref());
        path(at, rewrite.path.as_ref());
    }
    if let Some(cors) = &filter.cors {
        self::cors(at.field("cors"), cors);
    }
    if let Some(auth) = &filter.external_auth {
        external_auth(at.field("externalAuth"), auth);
    }
    if let Some(reference) = &filter.extension_ref {
        refs::local(at.field("extensionRef"), reference);
    }
}

fn headers(at: At<'_>, field: &'static str, filter: Option<&HttpHeaderFilter>) {
    let Some(filter) = filter else { return };
    let at = at.field(field);
    let each = |at: At<'_>, header: &HttpHeader| {
        at.field("name").text(&header.name, 1..=256, HEADER_NAME);
        at.field("value")
            .text(&header.value, 1..=4096, HEADER_VALUE);
    };
    for (field, list) in [("set", &filter.set), ("add", &filter.add)] {
        let at = at.field(field);
        at.each(list, 0..=16, each);
        at.unique_field(list, "header name", Some("name"), |header| {
            header.name.clone()
        });
    }
    let at = at.field("remove");
    at.count(filter.remove.len(), 0..=16);
    at.unique(&filter.remove, "header name", Clone::clone);
}

fn mirror(at: At<'_>, mirror: Option<&HttpRequestMirrorFilter>) {
    let Some(mirror) = mirror else { return };
    let at = at.field("requestMirror");
    refs::backend_object(at.field("backendRef"), &mirror.backend_ref);
    if mirror.percent.is_some() && mirror.fraction.is_some() {
        at.error_with_fix(
            "only one of percent or fraction may be specified",
            "remove one of the two",
        );
    }
    if mirror.percent.is_some_and(|percent| percent > 100) {
        at.field("percent").error("must be from 0 to 100");
    }
    if let Some(fraction) = &mirror.fraction {
        let at = at.field("fraction");
        if fraction.denominator == 0 {
            at.field("denominator").error("must be at least 1");
        } else if fraction.numerator > fraction.denominator {
            at.error("numerator must be less than or equal to denominator");
        }
    }
}

fn redirect(at: At<'_>, redirect: &HttpRequestRedirectFilter) {
    host(at, redirect.hostname.as_ref());
    path(at, redirect.path.as_ref());
    if let Some(port) = redirect.port {
        at.field("port").port(port);
    }
    if !matches!(redirect.status_code, 301 | 302 | 303 | 307 | 308) {
        let message = format!(
            "must be 301, 302, 303, 307 or 308, is {}",
            redirect.status_code
        );
        at.field("statusCode").error(message);
    }
}

fn host(at: At<'_>, hostname: Option<&String>) {
    if let Some(hostname) = hostname {
        at.field("hostname").text(hostname, 1..=253, SUBDOMAIN);
    }
}

fn path(at: At<'_>, path: Option<&HttpPathModifier>) {
    let Some(path) = path else { return };
    let at = at.field("path");
    one_of(at, path.kind().map(|_| ()));
    for (field, text) in [
        ("replaceFullPath", &path.replace_full_path),
        ("replacePrefixMatch", &path.replace_prefix_match),
    ] {
        if let Some(text) = text {
            at.field(field).length(text, 0..=1024);
        }
    }
}

fn cors(at: At<'_>, cors: &HttpCorsFilter) {
    let origins = at.field("allowOrigins");
    origins.each(&cors.allow_origins, 0..=64, |at, origin| {
        at.text(origin, 1..=253, ORIGIN);
    });
    origins.unique(&cors.allow_origins, "origin", Clone::clone);
    alone(
        origins,
        cors.allow_origins.len(),
        cors.allow_origins.iter().any(|origin| origin == "*"),
    );
    let methods = at.field("allowMethods");
    methods.count(cors.allow_methods.len(), 0..=9);
    methods.unique(&cors.allow_methods, "method", |method| *method);
    alone(
        methods,
        cors.allow_methods.len(),
        cors.allow_methods.contains(&HttpMethodWithWildcard::Any),
    );
    let headers = at.field("allowHeaders");
    header_names(headers, &cors.allow_headers);
    alone(
        headers,
        cors.allow_headers.len(),
        cors.allow_headers.iter().any(|header| header == "*"),
    );
    header_names(at.field("exposeHeaders"), &cors.expose_headers);
    if cors.max_age == 0 {
        at.field("maxAge").error("must be at least 1");
    }
}

fn alone(at: At<'_>, count: usize, wildcard: bool) {
    if wildcard && count > 1 {
        at.error_with_fix(
            "cannot contain '*' alongside other values",
            "keep '*' alone, or remove it",
        );
    }
}

fn header_names(at: At<'_>, names: &[String]) {
    at.each(names, 0..=64, |at, name| {
        at.text(name, 1..=256, HEADER_NAME);
    });
    at.unique(names, "header name", Clone::clone);
}

/// An authorisation service and how it is asked.
pub(super) fn external_auth(at: At<'_>, auth: &HttpExternalAuthFilter) {
    refs::backend_object(at.field("backendRef"), &auth.backend_ref);
    let configs = [
        ("grpc", ExternalAuthProtocol::Grpc, auth.grpc.is_some()),
        ("http", ExternalAuthProtocol::Http, auth.http.is_some()),
    ];
    for (field, protocol, set) in configs {
        if auth.protocol == protocol && !set {
            at.field(field).error(format!(
                "{field} must be specified when protocol is set to '{protocol}'"
            ));
        } else if auth.protocol != protocol && set {
            at.field("protocol")
                .error(format!("protocol must be '{protocol}' when {field} is set"));
        }
    }
    let names = |at: At<'_>, names: &[String]| {
        at.count(names.len(), 0..=64);
        at.unique(names, "header name", Clone::clone);
    };
    if let Some(grpc) = &auth.grpc {
        names(
            at.field("grpc").field("allowedHeaders"),
            &grpc.allowed_headers,
        );
    }
    if let Some(http) = &auth.http {
        let at = at.field("http");
        names(at.field("allowedHeaders"), &http.allowed_headers);
        names(
            at.field("allowedResponseHeaders"),
            &http.allowed_response_headers,
        );
        if let Some(path) = &http.path {
            at.field("path").text(path, 0..=1024, URL_PATH);
        }
    }
}
