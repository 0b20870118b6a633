//! Small resources for tests.

use novaedge_proto::v1;

use crate::encoded::EncodedResource;

/// A resource whose content is told apart by a number.
pub(crate) fn wire(content: u64) -> v1::Resource {
    v1::Resource {
        body: Some(v1::resource::Body::Route(v1::Route {
            hostnames: vec![format!("{content}.example")],
            ..v1::Route::default()
        })),
        ..v1::Resource::default()
    }
}

/// A Gateway of a generation.
pub(crate) fn gateway_resource(generation: i64) -> v1::Resource {
    v1::Resource {
        body: Some(v1::resource::Body::Gateway(v1::Gateway {
            generation,
            ..v1::Gateway::default()
        })),
        ..v1::Resource::default()
    }
}

/// A TCP listener of a Gateway.
pub(crate) fn listener_resource(gateway: &str, bind_port: u32) -> v1::Resource {
    v1::Resource {
        body: Some(v1::resource::Body::Listener(v1::Listener {
            gateway: gateway.into(),
            bind_port,
            protocol: v1::Protocol::Http.into(),
            ..v1::Listener::default()
        })),
        ..v1::Resource::default()
    }
}

/// [`wire`], encoded.
pub(crate) fn resource(name: &str, content: u64) -> EncodedResource {
    EncodedResource::encode(name, wire(content)).unwrap()
}
