//! Certificates, keys and authorities, as users give them.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};
use novaedge_proto::v1::{self, resource::Body};
use novaedge_proxy::tls::TlsConfigs;
use novaedge_router::TablesBuilder;
use novaedge_translate::certificate::{
    TLS_CERT, TLS_KEY, TlsSecret, check_ca_pem, check_tls_secret,
};
use pem::Pem;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

/// What the control plane takes the agent can serve, and what it trusts the agent can trust.
pub fn run(bytes: &[u8]) {
    let (chain, rest) = part(bytes);
    let (key, rest) = part(rest);
    let chain = in_pem("CERTIFICATE", chain);
    let data = BTreeMap::from([
        (TLS_CERT.to_owned(), ByteString(chain.clone())),
        (TLS_KEY.to_owned(), ByteString(in_pem("PRIVATE KEY", key))),
    ]);
    let secret = Secret {
        data: Some(data),
        ..Secret::default()
    };
    let secret = check_tls_secret(&secret).ok();
    let authorities = check_ca_pem(&in_pem("CERTIFICATE", rest)).ok();
    let mut resources = vec![gateway(), listener()];
    resources.extend(secret.clone().map(certificate));
    resources.extend(authorities.map(trust_bundle));
    let mut builder = TablesBuilder::new();
    let (tables, refused) = builder.apply(resources, &[]);
    assert!(refused.is_empty(), "{refused:?}");
    let (configs, refused) = TlsConfigs::build(&tables, &TlsConfigs::default());
    assert!(refused.is_empty(), "{refused:?}");
    let is_served = configs.server("listener/d/g/l").is_some();
    assert_eq!(is_served, secret.is_some(), "{secret:?}");
    // The agent is not to trust that somebody has looked before.
    let unchecked = v1::Certificate {
        chain_pem: chain.into(),
        private_key_pem: key.to_vec().into(),
        fingerprint: String::new(),
    };
    let unchecked = resource("certificate/d/c", Body::Certificate(unchecked));
    let bundle = trust_bundle(rest.to_vec());
    let (tables, _) = builder.apply(vec![unchecked, bundle], &[]);
    let _ = TlsConfigs::build(&tables, &configs);
}

/// Chains and keys of two kinds, alone, with an authority, and of each other's.
pub fn seeds() -> anyhow::Result<Vec<Vec<u8>>> {
    let mut found = vec![Vec::new()];
    let mut pairs = Vec::new();
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519] {
        let key = KeyPair::generate_for(algorithm)?;
        let mut params =
            CertificateParams::new(["a.example".to_owned(), "*.b.example".to_owned()])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key)?;
        found.push(joined(
            certificate.der(),
            key.serialized_der(),
            certificate.der(),
        )?);
        let (chain, text) = (certificate.pem().repeat(2), key.serialize_pem());
        found.push(joined(chain.as_bytes(), text.as_bytes(), chain.as_bytes())?);
        pairs.push((certificate, key));
    }
    if let [(first, _), (second, key)] = pairs.as_slice() {
        found.push(joined(first.der(), key.serialized_der(), second.der())?);
    }
    Ok(found)
}

fn joined(chain: &[u8], key: &[u8], authorities: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for counted in [chain, key] {
        bytes.extend(u16::try_from(counted.len())?.to_be_bytes());
        bytes.extend(counted);
    }
    bytes.extend(authorities);
    Ok(bytes)
}

/// The first part, after its length in two bytes, and the rest.
fn part(bytes: &[u8]) -> (&[u8], &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk() else {
        return (bytes, &[]);
    };
    let length = usize::from(u16::from_be_bytes(*length));
    rest.split_at(length.min(rest.len()))
}

/// Text as it is; other bytes within a block of PEM, so that what is inside need not be found by its base64.
fn in_pem(label: &str, bytes: &[u8]) -> Vec<u8> {
    if bytes.is_empty() || bytes.starts_with(b"-") {
        return bytes.to_vec();
    }
    pem::encode(&Pem::new(label, bytes)).into_bytes()
}

fn resource(name: &str, body: Body) -> v1::Resource {
    v1::Resource {
        name: name.to_owned(),
        version: "1".to_owned(),
        body: Some(body),
    }
}

fn gateway() -> v1::Resource {
    resource("gateway/d/g", Body::Gateway(v1::Gateway::default()))
}

fn listener() -> v1::Resource {
    let listener = v1::Listener {
        gateway: "gateway/d/g".to_owned(),
        section_name: "l".to_owned(),
        port: 443,
        bind_port: 443,
        protocol: v1::Protocol::Https.into(),
        tls_mode: v1::TlsMode::Terminate.into(),
        certificates: vec!["certificate/d/c".to_owned()],
        ..v1::Listener::default()
    };
    resource("listener/d/g/l", Body::Listener(listener))
}

fn certificate(secret: TlsSecret) -> v1::Resource {
    let certificate = v1::Certificate {
        chain_pem: secret.chain_pem.into(),
        private_key_pem: secret.private_key_pem.into(),
        fingerprint: secret.fingerprint,
    };
    resource("certificate/d/c", Body::Certificate(certificate))
}

fn trust_bundle(pem: Vec<u8>) -> v1::Resource {
    let bundle = v1::TrustBundle { ca_pem: pem.into() };
    resource("trust/d/t", Body::TrustBundle(bundle))
}
