//! The wire contract between the NovaEdge control plane and its agents.
//!
//! Source: `proto/novaedge/v1/*.proto`, compiled by `build.rs` without protoc.

pub mod digest;

/// The bytes that a message in either direction does not exceed, unless one entry of it is larger.
///
/// Both ends keep buffers of this size for as long as a stream is open.
pub const MAX_MESSAGE_BYTES: usize = 64 << 10;

/// Package `novaedge.v1`.
pub mod v1 {
    #![allow(missing_docs, clippy::all, clippy::pedantic, unused_qualifications)]
    #![allow(rustdoc::invalid_html_tags)] // the comments are for readers of the .proto files
    tonic::include_proto!("novaedge.v1");

    impl std::fmt::Debug for Certificate {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("Certificate")
                .field("fingerprint", &self.fingerprint)
                .finish_non_exhaustive()
        }
    }
}

/// The encoded `FileDescriptorSet` of the package, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/novaedge.v1.binpb"));
