//! What a change of certificates, bundles and backends does to the configurations.

use novaedge_proto::v1::{self, resource::Body};
use novaedge_router::TablesBuilder;
use rcgen::{CertificateParams, CertifiedKey as Made, KeyPair, generate_simple_self_signed};

use super::*;

struct Bed {
    builder: TablesBuilder,
    tls: Arc<TlsConfigs>,
}

impl Bed {
    fn new(upserts: Vec<v1::Resource>) -> Self {
        let mut bed = Self {
            builder: TablesBuilder::new(),
            tls: Arc::default(),
        };
        let mut all = vec![resource(
            "gateway/d/g",
            Body::Gateway(v1::Gateway::default()),
        )];
        all.extend(upserts);
        let rejected = bed.apply(all);
        assert!(rejected.is_empty(), "{rejected:?}");
        bed
    }

    fn apply(&mut self, upserts: Vec<v1::Resource>) -> Vec<(String, String)> {
        let (tables, mut rejected) = self.builder.apply(upserts, &[]);
        let (tls, more) = TlsConfigs::build(&tables, &self.tls);
        self.tls = tls;
        rejected.extend(more);
        rejected
            .into_iter()
            .map(|one| (one.name, one.error))
            .collect()
    }

    fn server(&self) -> Option<Arc<ServerConfig>> {
        self.tls.server("listener/d/g/https")
    }
}

fn resource(name: &str, body: Body) -> v1::Resource {
    v1::Resource {
        name: name.into(),
        version: String::new(),
        body: Some(body),
    }
}

fn listener(certificates: &[&str], trust: Option<&str>) -> v1::Resource {
    let validation = trust.map(|name| v1::ClientValidation {
        mode: v1::client_validation::Mode::RequireValid.into(),
        trust_bundles: vec![name.into()],
    });
    resource(
        "listener/d/g/https",
        Body::Listener(v1::Listener {
            gateway: "gateway/d/g".into(),
            section_name: "https".into(),
            port: 443,
            bind_port: 8443,
            protocol: v1::Protocol::Https.into(),
            tls_mode: v1::TlsMode::Terminate.into(),
            certificates: certificates.iter().map(|name| (*name).into()).collect(),
            client_validation: validation,
            ..Default::default()
        }),
    )
}

fn certificate(name: &str, chain: &str, key: &str) -> v1::Resource {
    let body = v1::Certificate {
        chain_pem: chain.as_bytes().to_vec().into(),
        private_key_pem: key.as_bytes().to_vec().into(),
        fingerprint: String::new(),
    };
    resource(name, Body::Certificate(body))
}

fn made(name: &str, host: &str) -> v1::Resource {
    let Made { cert, signing_key } = generate_simple_self_signed([host.to_owned()]).unwrap();
    certificate(name, &cert.pem(), &signing_key.serialize_pem())
}

fn bundle(name: &str, pem: &str) -> v1::Resource {
    resource(
        name,
        Body::TrustBundle(v1::TrustBundle {
            ca_pem: pem.as_bytes().to_vec().into(),
        }),
    )
}

fn authority() -> String {
    generate_simple_self_signed(["ca".to_owned()])
        .unwrap()
        .cert
        .pem()
}

#[test]
fn an_unrelated_change_keeps_every_configuration() {
    let mut bed = Bed::new(vec![
        listener(&["certificate/d/a"], None),
        made("certificate/d/a", "a.example"),
    ]);
    let before = bed.server().unwrap();
    bed.apply(vec![made("certificate/d/b", "b.example")]);
    assert!(Arc::ptr_eq(&before, &bed.server().unwrap()));
}

#[test]
fn a_new_certificate_makes_a_new_configuration_with_the_old_ticket_keys() {
    let mut bed = Bed::new(vec![
        listener(&["certificate/d/a"], None),
        made("certificate/d/a", "a.example"),
    ]);
    let before = bed.server().unwrap();
    bed.apply(vec![made("certificate/d/a", "a.example")]);
    let after = bed.server().unwrap();
    assert!(!Arc::ptr_eq(&before, &after));
    assert!(Arc::ptr_eq(&before.ticketer, &after.ticketer));
}

#[test]
fn sessions_begun_without_client_validation_are_not_resumed_with_it() {
    let mut bed = Bed::new(vec![
        listener(&["certificate/d/a"], None),
        made("certificate/d/a", "a.example"),
        bundle("trust/ConfigMap/d/ca", &authority()),
    ]);
    let before = bed.server().unwrap();
    bed.apply(vec![listener(
        &["certificate/d/a"],
        Some("trust/ConfigMap/d/ca"),
    )]);
    assert!(!Arc::ptr_eq(
        &before.ticketer,
        &bed.server().unwrap().ticketer
    ));
}

#[test]
fn a_broken_certificate_is_refused_by_name_and_the_last_good_one_stays() {
    let mut bed = Bed::new(vec![
        listener(&["certificate/d/a", "certificate/d/b"], None),
        made("certificate/d/a", "a.example"),
        made("certificate/d/b", "b.example"),
    ]);
    let before = bed.server().unwrap();
    let Made { cert, signing_key } = generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let (chain, key) = (cert.pem(), signing_key.serialize_pem());
    let other = KeyPair::generate().unwrap().serialize_pem();
    for (chain, key, error) in [
        (
            chain.as_str(),
            other.as_str(),
            "the private key does not match the certificate",
        ),
        (chain.as_str(), "junk", "the private key is not valid PEM"),
        (
            "junk",
            key.as_str(),
            "the certificate chain has no certificate",
        ),
        (
            "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
            key.as_str(),
            "the certificate chain is not valid PEM",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            key.as_str(),
            "the first certificate is not valid X.509",
        ),
    ] {
        let rejected = bed.apply(vec![certificate("certificate/d/a", chain, key)]);
        assert_eq!(rejected.len(), 1, "{rejected:?}");
        assert_eq!(rejected[0].0, "certificate/d/a");
        assert!(rejected[0].1.starts_with(error), "{rejected:?}");
        assert!(Arc::ptr_eq(&before, &bed.server().unwrap()), "{error}");
    }
    let rejected = bed.apply(vec![made("certificate/d/c", "c.example")]);
    assert_eq!(rejected[0].0, "certificate/d/a", "it is still refused");
    assert!(
        bed.apply(vec![certificate("certificate/d/a", &chain, &key)])
            .is_empty()
    );
    assert!(!Arc::ptr_eq(&before, &bed.server().unwrap()), "it heals");
}

#[test]
fn an_expired_certificate_is_served() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let chain = params.self_signed(&key).unwrap().pem();
    let bed = Bed::new(vec![
        listener(&["certificate/d/a"], None),
        certificate("certificate/d/a", &chain, &key.serialize_pem()),
    ]);
    assert!(bed.server().is_some());
}

#[test]
fn a_listener_that_cannot_check_its_clients_is_not_served() {
    let mut bed = Bed::new(vec![
        listener(&["certificate/d/a"], None),
        made("certificate/d/a", "a.example"),
    ]);
    let rejected = bed.apply(vec![
        listener(&["certificate/d/a"], Some("trust/ConfigMap/d/ca")),
        bundle("trust/ConfigMap/d/ca", "junk"),
    ]);
    assert_eq!(
        rejected,
        [(
            "trust/ConfigMap/d/ca".to_owned(),
            "the bundle has no usable certificate".to_owned()
        )]
    );
    assert!(bed.server().is_none());
    bed.apply(vec![bundle("trust/ConfigMap/d/ca", &authority())]);
    assert!(bed.server().is_some());
}

#[test]
fn what_is_refused_is_refused_again_when_the_same_step_comes_again() {
    let step = || {
        let mut step = vec![
            resource("gateway/d/g", Body::Gateway(v1::Gateway::default())),
            listener(&["certificate/d/a"], Some("trust/ConfigMap/d/ca")),
            certificate("certificate/d/a", "junk", "junk"),
            bundle("trust/ConfigMap/d/ca", "junk"),
            backend("trust/ConfigMap/d/ca"),
        ];
        for resource in &mut step {
            resource.version = "1".into();
        }
        step
    };
    let mut bed = Bed {
        builder: TablesBuilder::new(),
        tls: Arc::default(),
    };
    let first = bed.apply(step());
    let names: Vec<&str> = first.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["certificate/d/a", "trust/ConfigMap/d/ca", "backend/d/a"]
    );
    assert_eq!(bed.apply(step()), first);
    let mut healed = vec![bundle("trust/ConfigMap/d/ca", &authority())];
    healed.push(made("certificate/d/a", "a.example"));
    assert_eq!(bed.apply(healed), []);
}

fn backend(bundle: &str) -> v1::Resource {
    let tls = v1::BackendTls {
        server_name: "a.example".into(),
        trust_bundles: vec![bundle.into()],
        subject_alt_names: vec![],
    };
    resource(
        "backend/d/a",
        Body::Backend(v1::Backend {
            tls: Some(tls),
            ..Default::default()
        }),
    )
}

#[test]
fn a_backend_without_usable_roots_has_no_client() {
    let mut bed = Bed::new(vec![
        backend("trust/ConfigMap/d/ca"),
        bundle("trust/ConfigMap/d/ca", &authority()),
    ]);
    let before = bed.tls.backend("backend/d/a", None).unwrap();
    bed.apply(vec![bundle("trust/ConfigMap/d/other", &authority())]);
    assert!(Arc::ptr_eq(
        &before,
        &bed.tls.backend("backend/d/a", None).unwrap()
    ));
    let rejected = bed.apply(vec![backend("trust/ConfigMap/d/none")]);
    assert_eq!(rejected[0].0, "backend/d/a");
    assert!(bed.tls.backend("backend/d/a", None).is_none());
}
