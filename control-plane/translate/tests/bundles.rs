//! The bundle versions of CRDs are told while the translation runs.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::collections::BTreeSet;

use novaedge_api::decode::decode;
use novaedge_api::meta::{Kind, ObjectId};
use novaedge_store::Change;
use novaedge_translate::{DesiredStatus, TranslateConfig, Translator};

const CLASS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: novaedge}
spec: {controllerName: novaedge.io/gateway-controller}
";

fn supported(statuses: &[(ObjectId, Option<DesiredStatus>)]) -> Option<String> {
    let [(_, Some(DesiredStatus::GatewayClass(status)))] = statuses else {
        return None;
    };
    let mut conditions = status.conditions.iter();
    let condition = conditions.find(|condition| condition.type_ == "SupportedVersion")?;
    Some(condition.status.clone())
}

#[test]
fn classes_follow_the_bundles_that_are_found() {
    let bundles = |text: &str| BTreeSet::from([text.to_owned()]);
    let mut translator = Translator::new(TranslateConfig::cluster(bundles("v1.6.3")));
    let class = decode(serde_saphyr::from_str(CLASS).unwrap()).unwrap();
    let delta = translator.update(vec![Change::Upsert(class)]);
    assert_eq!(supported(&delta.statuses).as_deref(), Some("True"));

    let delta = translator.set_detected_bundles(bundles("v1.3.0"));
    assert_eq!(
        delta.statuses[0].0,
        ObjectId::new(Kind::GatewayClass, "", "novaedge")
    );
    assert_eq!(supported(&delta.statuses).as_deref(), Some("False"));

    let delta = translator.set_detected_bundles(bundles("v1.3.0"));
    assert!(delta.is_empty(), "nothing new was told");
}
