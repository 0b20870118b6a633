//! The time is an input like any other, and the translation says when it next matters.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::collections::BTreeSet;

use novaedge_api::decode::decode;
use novaedge_api::meta::ObjectId;
use novaedge_store::Change;
use novaedge_translate::certificate::check_tls_secret;
use novaedge_translate::{Delta, TranslateConfig, Translator};
use serde_json::Value;

const CASE: &str =
    include_str!("golden/certificate/expired-certificate-is-served-with-a-warning.yaml");

fn translator() -> Translator {
    let values: Vec<Value> = serde_saphyr::from_multiple(CASE).unwrap();
    let objects = values.into_iter().map(|value| decode(value).unwrap());
    let mut translator = Translator::new(TranslateConfig::cluster(BTreeSet::new()));
    translator.update(objects.map(Change::Upsert).collect());
    translator
}

fn reasons(delta: &Delta) -> Vec<&str> {
    let found = delta.diagnostics.iter().flat_map(|(_, found)| found);
    found.map(|finding| finding.reason.as_str()).collect()
}

#[test]
fn a_certificate_matters_when_it_begins_nears_its_end_and_ends() {
    let mut translator = translator();
    let (_, secret) = translator.store().iter().next().unwrap();
    let validity = check_tls_secret(secret).unwrap().validity;
    assert_eq!(translator.next_clock(), Some(0), "nobody told the time yet");

    let early = translator.set_clock(1);
    assert_eq!(reasons(&early), ["CertificateNotYetValid"]);
    assert_eq!(translator.next_clock(), Some(validity.not_before));

    let just_before = translator.set_clock(validity.not_before - 1);
    assert!(just_before.is_empty(), "{just_before:?}");
    let begun = translator.set_clock(validity.not_before);
    assert_eq!(begun.diagnostics.len(), 1);
    assert!(reasons(&begun).is_empty(), "the finding is gone");
    assert_eq!(translator.next_clock(), Some(validity.warn_at() + 1));

    let near = translator.set_clock(validity.warn_at() + 1);
    assert_eq!(reasons(&near), ["CertificateExpiring"]);
    assert_eq!(translator.next_clock(), Some(validity.not_after + 1));

    let over = translator.set_clock(validity.not_after + 1);
    assert_eq!(reasons(&over), ["CertificateExpired"]);
    assert_eq!(translator.next_clock(), None);

    let back = translator.set_clock(validity.not_before);
    assert!(reasons(&back).is_empty(), "a clock may be set back");
}

#[test]
fn without_certificates_no_time_matters() {
    let mut translator = translator();
    translator.set_clock(1);
    let id = ObjectId::new(novaedge_api::meta::Kind::Gateway, "infra", "gw");
    translator.update(vec![Change::Delete(id)]);
    assert_eq!(translator.next_clock(), None);
}
