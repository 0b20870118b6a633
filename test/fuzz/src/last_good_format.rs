//! The file of the last good snapshot, however damaged.

use novaedge_router::TablesBuilder;
use novaedge_subscribe::{
    Upsert,
    format::{self, Snapshot},
};
use sha2::{Digest as _, Sha256};

use crate::snapshot_decode::ask;

/// A file is read or refused; what was read can be written and reads the same.
pub fn run(bytes: &[u8]) {
    let _ = format::read(&bytes.to_vec().into());
    // No fuzzer finds a checksum, so it is given one.
    let Ok((version, resources)) = format::read(&honest(bytes).into()) else {
        return;
    };
    let mut snapshot = Snapshot {
        version: version.clone(),
        ..Snapshot::default()
    };
    for resource in &resources {
        let name = resource.name().to_owned();
        snapshot.resources.insert(name, resource.to_bytes());
    }
    let mut file = Vec::new();
    snapshot.write(&mut file).expect("memory takes all");
    let again = format::read(&file.into()).expect("what we wrote");
    assert_eq!(again.0, version);
    assert_eq!(again.1, by_name(&resources));
    let mut builder = TablesBuilder::new();
    builder.apply(resources.iter().map(Upsert::resource), &[]);
    ask(builder.tables());
}

/// `payload` as a file whose header is right.
pub fn honest(payload: &[u8]) -> Vec<u8> {
    let mut file = b"NOVASNAP".to_vec();
    file.extend(1_u32.to_le_bytes());
    file.extend((payload.len() as u64).to_le_bytes());
    file.extend(Sha256::digest(payload));
    file.extend(payload);
    file
}

/// The last of each name, sorted.
fn by_name(resources: &[Upsert]) -> Vec<Upsert> {
    let named = resources.iter().map(|resource| (resource.name(), resource));
    let unique: std::collections::BTreeMap<_, _> = named.collect();
    unique.into_values().cloned().collect()
}
