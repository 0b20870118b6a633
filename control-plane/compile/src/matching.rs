//! Matches of rules.

use novaedge_api::native::{
    ProxyMatch, ProxyMatchType, ProxyPathMatch, ProxyPathMatchType, ProxyValueMatch,
};
use novaedge_proto::v1;

pub(crate) fn http(native: &ProxyMatch) -> v1::HttpMatch {
    v1::HttpMatch {
        path: native.path.as_ref().map(path),
        headers: native.headers.iter().map(value).collect(),
        query_params: native.query_params.iter().map(value).collect(),
        method: native.method.clone().unwrap_or_default(),
    }
}

pub(crate) fn grpc(native: &ProxyMatch) -> v1::GrpcMatch {
    let method = native.grpc_method.clone().unwrap_or_default();
    v1::GrpcMatch {
        r#type: string_type(method.type_).into(),
        service: method.service.unwrap_or_default(),
        method: method.method.unwrap_or_default(),
        headers: native.headers.iter().map(value).collect(),
    }
}

fn path(native: &ProxyPathMatch) -> v1::PathMatch {
    let kind = match native.type_ {
        ProxyPathMatchType::Exact => v1::PathMatchType::Exact,
        ProxyPathMatchType::PathPrefix => v1::PathMatchType::Prefix,
        ProxyPathMatchType::RegularExpression => v1::PathMatchType::RegularExpression,
    };
    v1::PathMatch {
        r#type: kind.into(),
        value: native.value.clone(),
    }
}

fn value(native: &ProxyValueMatch) -> v1::NameValueMatch {
    v1::NameValueMatch {
        r#type: string_type(native.type_).into(),
        name: native.name.clone(),
        value: native.value.clone(),
    }
}

fn string_type(native: ProxyMatchType) -> v1::StringMatchType {
    match native {
        ProxyMatchType::Exact => v1::StringMatchType::Exact,
        ProxyMatchType::RegularExpression => v1::StringMatchType::RegularExpression,
    }
}
