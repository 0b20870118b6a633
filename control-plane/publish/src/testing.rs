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

/// [`wire`], encoded.
pub(crate) fn resource(name: &str, content: u64) -> EncodedResource {
    EncodedResource::encode(name, wire(content)).unwrap()
}
