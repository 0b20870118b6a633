//! Where fuzzing begins: made from the golden cases, so that nobody has to keep them.

use novaedge_api::meta::ObjectId;
use novaedge_compile::Compiler;
use novaedge_proto::v1;
use novaedge_publish::{
    encoded::EncodedResource,
    log::{LogLimits, SnapshotLog},
};
use novaedge_router::proxy_protocol::{Header, Inet, Version, encode};
use novaedge_store::Change;
use novaedge_translate::{TranslateConfig, Translator};
use prost::Message as _;

use crate::cases;

/// Golden cases of which snapshots are made; all of them would be slow to load and teach no more.
const EVERY: usize = 8;
/// The largest manifest that teaches a fuzzer anything.
const MAX_MANIFEST: usize = 16 * 1024;

/// Hellos of one record and of two, with and without the extensions that are read.
pub fn client_hellos() -> anyhow::Result<Vec<Vec<u8>>> {
    let names = [None, Some("a.example.com"), Some("*.b_.example.com.")];
    let mut seeds = vec![Vec::new(), b"\x01GET / HTTP/1.1\r\n\r\n".to_vec()];
    for name in names {
        let message = hello(name)?;
        for records in [1, 2] {
            let mut seed = vec![7];
            for fragment in message.chunks(message.len().div_ceil(records)) {
                seed.extend([22, 3, 1]);
                seed.extend(u16::try_from(fragment.len())?.to_be_bytes());
                seed.extend(fragment);
            }
            seeds.push(seed);
        }
    }
    Ok(seeds)
}

/// Headers of both versions, each kind of them, with bytes of the client behind, and one with TLVs.
pub fn proxy_headers() -> anyhow::Result<Vec<Vec<u8>>> {
    let mut headers = vec![Header::Local, Header::Unknown];
    for (source, destination) in [
        ("192.0.2.1:56324", "198.51.100.2:443"),
        ("[2001:db8::1]:56324", "[2001:db8::2]:443"),
    ] {
        let inet = Inet::stream(source.parse()?, destination.parse()?);
        headers.push(Header::Inet(inet));
    }
    let mut seeds = vec![Vec::new(), b"GET / HTTP/1.1\r\n\r\n".to_vec()];
    for version in [Version::V1, Version::V2] {
        for header in &headers {
            let mut seed = encode(version, header);
            seed.extend(b"GET /");
            seeds.push(seed);
        }
    }
    // TCP over IPv4, with the protocols of TLS, a padding and a checksum that is wrong.
    let mut seed =
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x1b\x01\x02\x03\x04\x05\x06\x07\x08\0\x01\0\x02".to_vec();
    seed.extend(b"\x01\0\x02h2\x04\0\0\x03\0\x04sums");
    seeds.push(seed);
    Ok(seeds)
}

/// A ClientHello (RFC 8446 section 4.1.2) with a server name and two protocols.
fn hello(name: Option<&str>) -> anyhow::Result<Vec<u8>> {
    let mut extensions = Vec::new();
    if let Some(name) = name {
        let host = [&[0], counted(name.as_bytes())?.as_slice()].concat();
        extension(&mut extensions, 0, &counted(&host)?)?;
    }
    extension(&mut extensions, 16, &counted(b"\x02h2\x08http/1.1")?)?;
    extension(&mut extensions, 43, &[2, 3, 4])?;
    let mut body = vec![3, 3];
    body.extend([9; 32]);
    // No session, two cipher suites, no compression.
    body.extend([0, 0, 4, 0x13, 1, 0x13, 2, 1, 0]);
    body.extend(counted(&extensions)?);
    let length = u32::try_from(body.len())?.to_be_bytes();
    Ok([&[1], &length[1..], body.as_slice()].concat())
}

fn extension(into: &mut Vec<u8>, kind: u16, content: &[u8]) -> anyhow::Result<()> {
    into.extend(kind.to_be_bytes());
    into.extend(counted(content)?);
    Ok(())
}

/// Bytes after their number in two bytes.
fn counted(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut counted = u16::try_from(bytes.len())?.to_be_bytes().to_vec();
    counted.extend(bytes);
    Ok(counted)
}

/// The golden cases, and what the end-to-end test breaks.
pub fn manifests() -> anyhow::Result<Vec<Vec<u8>>> {
    let mut texts = cases::broken()?;
    texts.extend(cases::golden()?);
    texts.retain(|text| text.len() <= MAX_MANIFEST);
    Ok(texts.into_iter().map(String::into_bytes).collect())
}

/// Snapshots of golden cases as one step each.
pub fn steps() -> anyhow::Result<Vec<Vec<u8>>> {
    let steps = logs()?.into_iter().map(|log| {
        let resources = log.resources().values();
        let step = v1::SnapshotStep {
            nonce: "1".to_owned(),
            version: Some(log.version().to_wire()),
            upserts: resources.filter_map(|resource| decoded(resource)).collect(),
            last: true,
            ..v1::SnapshotStep::default()
        };
        step.encode_to_vec()
    });
    Ok(steps.collect())
}

/// The same as payloads of files.
pub fn snapshots() -> anyhow::Result<Vec<Vec<u8>>> {
    let payloads = logs()?.into_iter().map(|log| {
        let mut payload = log.version().to_wire().encode_length_delimited_to_vec();
        for resource in log.resources().values().filter_map(|r| decoded(r)) {
            payload.extend(resource.encode_length_delimited_to_vec());
        }
        payload
    });
    Ok(payloads.collect())
}

/// Bytes that stand for choices: without a pattern, the same everywhere.
pub fn choices() -> anyhow::Result<Vec<Vec<u8>>> {
    let mut state = 1_u64;
    let mut byte = || {
        // Knuth's MMIX generator.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let [high, ..] = state.to_be_bytes();
        high
    };
    let lengths = (0..48).map(|seed| seed * 24);
    Ok(lengths
        .map(|length| (0..length).map(|_| byte()).collect())
        .collect())
}

fn decoded(resource: &EncodedResource) -> Option<v1::Resource> {
    v1::Resource::decode(resource.bytes().clone()).ok()
}

fn logs() -> anyhow::Result<Vec<SnapshotLog>> {
    let cases = cases::golden()?;
    Ok(cases.iter().step_by(EVERY).map(|case| log(case)).collect())
}

fn log(case: &str) -> SnapshotLog {
    let objects = cases::decoded(case).into_iter();
    let changes: Vec<Change> = objects.map(Change::Upsert).collect();
    let ids: Vec<ObjectId> = changes.iter().map(Change::id).collect();
    let mut translator = Translator::new(TranslateConfig::standalone());
    let delta = translator.update(changes);
    let compiled = Compiler::default().update(&delta.natives, translator.store(), &ids);
    let encoded = compiled.upserts.into_iter();
    let encoded = encoded.filter_map(|(name, body)| EncodedResource::encode(&name, body).ok());
    let mut log = SnapshotLog::new(LogLimits::default());
    log.apply(encoded.collect(), &[]);
    log
}
