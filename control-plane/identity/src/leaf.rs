//! The certificate of one replica.

use std::net::IpAddr;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::{
    authority::{Authority, seconds, set_validity},
    error::IdentityError,
    rotation::{Rotation, after},
};

/// The names by which a replica is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// DNS names. The first one tells other replicas that it is a control plane.
    pub dns: Vec<String>,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
}

impl Names {
    /// The names of a Service, and the address of this replica's pod.
    pub fn of_service(service: &str, namespace: &str, pod: Option<IpAddr>) -> Self {
        Self {
            dns: vec![
                format!("{service}.{namespace}.svc"),
                format!("{service}.{namespace}.svc.cluster.local"),
                format!("{service}.{namespace}"),
                service.to_owned(),
                "localhost".to_owned(),
            ],
            addresses: [IpAddr::from([127, 0, 0, 1])]
                .into_iter()
                .chain(pod)
                .collect(),
        }
    }
}

/// A certificate with its key, for servers and clients.
#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// Issues a certificate with a new key, which stays in memory.
pub(crate) fn issue(
    authority: &Authority,
    names: &Names,
    rotation: &Rotation,
    now: i64,
) -> Result<Leaf, IdentityError> {
    let mut params = CertificateParams::new(names.dns.clone())?;
    let addresses = names.addresses.iter().copied().map(SanType::IpAddress);
    params.subject_alt_names.extend(addresses);
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "NovaEdge");
    params.distinguished_name = name;
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let begin = now.saturating_sub(seconds(rotation.clock_skew));
    // No certificate outlives its authority.
    let end = after(authority.made, rotation.authority_life);
    let end = after(now, rotation.certificate_life).min(end);
    set_validity(&mut params, begin, end);
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &authority.issuer()?)?;
    Ok(Leaf {
        chain: vec![certificate.der().clone()],
        key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
    })
}
