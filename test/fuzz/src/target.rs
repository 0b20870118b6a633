//! All targets by name.

use crate::{
    certificates, client_hello, http1_body, http1_head, http1_seeds, incremental_edits,
    last_good_format, manifest_to_snapshot, proxy_protocol, request_match, seeds, snapshot_decode,
};

/// A function that bytes from outside reach.
pub struct Target {
    /// Its name, also that of the fuzzer's binary.
    pub name: &'static str,
    /// Panics when something is wrong.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> anyhow::Result<Vec<Vec<u8>>>,
}

/// Every target.
pub const TARGETS: [Target; 10] = [
    Target {
        name: "client_hello",
        run: client_hello::run,
        seeds: seeds::client_hellos,
    },
    Target {
        name: "http1_head",
        run: http1_head::run,
        seeds: http1_seeds::heads,
    },
    Target {
        name: "http1_body",
        run: http1_body::run,
        seeds: http1_seeds::bodies,
    },
    Target {
        name: "proxy_protocol",
        run: proxy_protocol::run,
        seeds: seeds::proxy_headers,
    },
    Target {
        name: "certificates",
        run: certificates::run,
        seeds: certificates::seeds,
    },
    Target {
        name: "manifest_to_snapshot",
        run: manifest_to_snapshot::run,
        seeds: seeds::manifests,
    },
    Target {
        name: "snapshot_decode",
        run: snapshot_decode::run,
        seeds: seeds::steps,
    },
    Target {
        name: "last_good_format",
        run: last_good_format::run,
        seeds: seeds::snapshots,
    },
    Target {
        name: "request_match",
        run: request_match::run,
        seeds: seeds::choices,
    },
    Target {
        name: "incremental_edits",
        run: incremental_edits::run,
        seeds: seeds::choices,
    },
];
