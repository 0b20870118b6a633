//! In a cluster a listener waits for its local port, and told ports give what they give from the beginning.

use std::collections::{BTreeMap, BTreeSet};

use novaedge_api::meta::{Object, ObjectKey};
use novaedge_api::native::{ProxyGateway, Transport};
use novaedge_compile::GatewayPorts;
use novaedge_proto::v1::resource::Body;
use novaedge_store::Change;
use novaedge_translate::TranslateConfig;

use crate::cases;
use crate::edit::{Edit, World};
use crate::pool::Pool;
use crate::rng::Rng;
use crate::seeds::for_each_seed;
use crate::system::System;

fn system() -> System {
    System::told(TranslateConfig::cluster(BTreeSet::new()))
}

/// Some of the ports of the Gateways that there are.
fn some_ports(system: &System, rng: &mut Rng) -> BTreeMap<ObjectKey, GatewayPorts> {
    let natives = system.translator.output().natives.values();
    let gateways = natives.filter_map(|native| match native {
        Object::ProxyGateway(gateway) => Some(gateway.as_ref()),
        _ => None,
    });
    let mut local = 10_240;
    let mut ports = BTreeMap::new();
    for gateway in gateways {
        let of = ports.entry(ObjectKey::of(&gateway.metadata)).or_default();
        local = tell(gateway, rng, local, of);
    }
    ports
}

fn tell(gateway: &ProxyGateway, rng: &mut Rng, mut local: u16, ports: &mut GatewayPorts) -> u16 {
    for listener in &gateway.spec.listeners {
        local += 1;
        if rng.below(3) > 0 {
            let port: (u16, Transport) = (listener.port, listener.protocol.transport());
            ports.insert(port, local);
        }
    }
    local
}

#[test]
fn ports_that_are_told_give_what_they_give_from_the_beginning() {
    let pool = Pool::load(&cases::folders());
    for_each_seed(&pool, |seed, edits| {
        let mut rng = Rng::new(seed);
        let mut world = World::default();
        let mut found = system();
        for edit in edits {
            world.apply(edit);
            if let Edit::Objects(changes) = edit {
                found.update(changes.clone());
            }
            let ports = some_ports(&found, &mut rng);
            found.set_bind_ports(ports.clone());
            let mut expected = system();
            expected.set_bind_ports(ports.clone());
            expected.update(
                world
                    .objects
                    .values()
                    .cloned()
                    .map(Change::Upsert)
                    .collect(),
            );
            if found.snapshot != expected.snapshot {
                return Err(format!("with {ports:?}"));
            }
            for resource in found.snapshot.resources.values() {
                match &resource.body {
                    Some(Body::Listener(listener)) if listener.bind_port < 10_240 => {
                        return Err(format!("not told: {listener:?}"));
                    }
                    Some(Body::Gateway(gateway)) if !gateway.bind_addresses.is_empty() => {
                        return Err(format!("addresses of Services are bound: {gateway:?}"));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    });
}
