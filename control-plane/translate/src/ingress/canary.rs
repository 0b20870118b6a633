//! Canaries: Ingresses that take a part of another one's traffic.

use novaedge_api::native::{ProxyBackendRef, ProxyMatchType, ProxyValueMatch};

use super::settings::Canary;

/// A share of the requests to a place: those with these headers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Share {
    pub(super) headers: Vec<ProxyValueMatch>,
    pub(super) backends: Vec<ProxyBackendRef>,
}

/// How the requests to a place are shared out. The header decides before the weight: its value leads to the canary;
/// without one, `always` does, and `never` leads away from it.
pub(super) fn shares(
    main: ProxyBackendRef,
    canary: Option<(&Canary, ProxyBackendRef)>,
) -> Vec<Share> {
    let Some((canary, other)) = canary else {
        return vec![Share {
            headers: Vec::new(),
            backends: vec![main],
        }];
    };
    let mut shares = Vec::new();
    let mut decided = |name: &str, value: &str, backend: &ProxyBackendRef| {
        shares.push(Share {
            headers: vec![ProxyValueMatch {
                type_: ProxyMatchType::Exact,
                name: name.to_owned(),
                value: value.to_owned(),
            }],
            backends: vec![backend.clone()],
        });
    };
    match (&canary.header, &canary.value) {
        (Some(name), Some(value)) => decided(name, value, &other),
        (Some(name), None) => {
            decided(name, "always", &other);
            decided(name, "never", &main);
        }
        (None, _) => {}
    }
    let weighted = |backend: ProxyBackendRef, weight| ProxyBackendRef { weight, ..backend };
    let backends = match canary.weight {
        0 => vec![main],
        weight @ 1..100 => vec![weighted(main, 100 - weight), weighted(other, weight)],
        _ => vec![other],
    };
    shares.push(Share {
        headers: Vec::new(),
        backends,
    });
    shares
}
