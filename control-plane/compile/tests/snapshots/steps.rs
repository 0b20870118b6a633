//! Steps tell differences and nothing else.

use novaedge_api::meta::{Kind, ObjectId};
use novaedge_store::Change;

use crate::cases;
use crate::system::System;

const CASE: &str = "native/certificate-across-namespaces-with-a-grant";

#[test]
fn what_comes_and_goes_within_a_step_is_not_told() {
    let mut cases = cases::all().into_iter();
    let case = cases.find(|case| case.name == CASE).unwrap();
    let mut system = System::new(case.config());
    let is_secret = |object: &&novaedge_api::meta::Object| object.kind() == Kind::Secret;
    let secret = case.objects.iter().find(is_secret).unwrap().clone();
    let others = case.objects.iter().filter(|object| !is_secret(object));
    system.update(others.cloned().map(Change::Upsert).collect());
    let before = system.snapshot.clone();

    // The certificate appears, and in the same step nobody may use it any more.
    let grant = ObjectId::new(Kind::ReferenceGrant, "vault", "grant");
    let touched = system.touched;
    system.update(vec![Change::Upsert(secret), Change::Delete(grant)]);
    assert_eq!(system.snapshot.resources, before.resources);
    assert_eq!(system.touched, touched, "no agent hears of it");
}
