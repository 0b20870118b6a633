//! What changes: each step edits a file or two, as people and machines do all day.

use std::{net::SocketAddr, sync::Arc};

use novaedge_bench::world::{self, Backends, Route, Spread};

use crate::{
    authority::Authority,
    edge::File,
    manifests::{Transport, documents, endpoints, gateway, route, service},
    random::Random,
    site::{EXTRA, HOST, Listeners, Origins, SERVICE},
};

/// Routes beside the live one, each with a Service of its own.
const ROUTES: usize = 100;
/// Of these, so many are always there: load may ask for them.
pub const STEADY: usize = 50;

/// Kinds of listeners that come and go, the last of them over UDP.
const KINDS: usize = 4;

/// The state of everything that changes.
pub struct Steps {
    at: Arc<Listeners>,
    origins: Origins,
    authority: Authority,
    random: Random,
    number: u64,
    serial: u64,
    live: Live,
    routes: Vec<Slot>,
    extra: Vec<Presence>,
}

#[derive(Clone, Copy, Debug)]
struct Live {
    version: u64,
    endpoints: usize,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    route: Route,
    presence: Presence,
    endpoints: usize,
}

/// Whether something is there now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is.
    There,
    /// It is not, and may come again.
    Gone,
}

impl From<bool> for Presence {
    fn from(there: bool) -> Self {
        if there { Self::There } else { Self::Gone }
    }
}

impl Presence {
    fn other(self) -> Self {
        match self {
            Self::There => Self::Gone,
            Self::Gone => Self::There,
        }
    }
}

impl Steps {
    /// As everything is at first.
    pub fn new(at: Arc<Listeners>, origins: Origins, authority: Authority) -> Self {
        let mut steps = Self {
            at,
            origins,
            authority,
            random: Random::new(1),
            number: 0,
            serial: 0,
            live: Live {
                version: 1,
                endpoints: 1,
            },
            routes: Vec::new(),
            extra: Vec::new(),
        };
        steps.restore();
        steps
    }

    /// Back to what was at first.
    pub fn restore(&mut self) {
        let slot = |index| Slot {
            route: Route {
                version: 1,
                ..Route::new(index, Spread::Hosts, Backends::Own)
            },
            presence: Presence::There,
            endpoints: 1,
        };
        self.live = Live {
            version: 1,
            endpoints: 1,
        };
        self.routes = (0..ROUTES).map(slot).collect();
        self.extra = vec![Presence::Gone; EXTRA];
    }

    /// All files as they are now.
    pub fn initial(&self) -> anyhow::Result<Vec<File>> {
        let mut files = vec![self.live_route(), self.live_endpoints(), self.secret()?];
        for index in 0..ROUTES {
            files.extend(
                [self.route_file(index), self.service_file(index)]
                    .into_iter()
                    .flatten(),
            );
        }
        files.extend((0..EXTRA).filter_map(|index| self.extra_file(index)));
        Ok(files)
    }

    /// Hosts that come and go or change, with the version that they show while they are there.
    pub fn hosts(&self) -> Vec<(String, Option<u64>)> {
        let live = (HOST.to_owned(), Some(self.live.version));
        let slots = self.routes.iter().map(|slot| {
            let there = slot.presence == Presence::There;
            (slot.route.host(), there.then_some(slot.route.version))
        });
        [live].into_iter().chain(slots).collect()
    }

    /// Listeners over TCP that come and go.
    pub fn listeners(&self) -> Vec<(SocketAddr, Presence)> {
        let all = self.at.extra.iter().zip(&self.extra).enumerate();
        let over_tcp = all.filter(|(index, _)| index % KINDS != KINDS - 1);
        over_tcp
            .map(|(_, (address, presence))| (*address, *presence))
            .collect()
    }

    /// The files of the next step.
    pub fn next(&mut self) -> anyhow::Result<Vec<File>> {
        let kind = self.number % 8;
        self.number += 1;
        let any = self.below(ROUTES);
        let file = match kind {
            0 => self.change(any, |slot, _| slot.route.version += 1),
            1 => self.change(any, |slot, random| {
                slot.route.canary = u32::try_from(random.between(0, 50)).unwrap_or(0);
            }),
            2 => {
                self.change(any, |slot, random| {
                    slot.endpoints = usize::try_from(random.between(1, 4)).unwrap_or(1);
                });
                self.service_file(any)
            }
            3 => {
                self.serial += 1;
                Some(self.secret()?)
            }
            4 => {
                let index = self.below(EXTRA);
                if let Some(presence) = self.extra.get_mut(index) {
                    *presence = presence.other();
                }
                self.extra_file(index)
            }
            5 => {
                let index = STEADY + self.below(ROUTES - STEADY);
                self.change(index, |slot, _| slot.presence = slot.presence.other())
            }
            6 => {
                self.live.endpoints = 3 - self.live.endpoints;
                Some(self.live_endpoints())
            }
            _ => {
                self.live.version += 1;
                Some(self.live_route())
            }
        };
        Ok(file.into_iter().collect())
    }

    fn below(&mut self, count: usize) -> usize {
        let last = u64::try_from(count).unwrap_or(1).saturating_sub(1);
        usize::try_from(self.random.between(0, last)).unwrap_or(0)
    }

    fn change(
        &mut self,
        index: usize,
        change: impl FnOnce(&mut Slot, &mut Random),
    ) -> Option<File> {
        change(self.routes.get_mut(index)?, &mut self.random);
        self.route_file(index)
    }

    fn live_route(&self) -> File {
        let version = format!(
            "    filters: [{{type: ResponseHeaderModifier, responseHeaderModifier: {{set: [{{name: \
             {}, value: \"{}\"}}]}}}}]",
            world::VERSION_HEADER,
            self.live.version
        );
        let text = format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: \
             live}}\nspec:\n  parentRefs: [{{name: gw}}]\n  hostnames: [{HOST}]\n  rules:\n  - \
             backendRefs: [{{name: {SERVICE}, port: 80}}]\n{version}\n"
        );
        ("live-route.yaml".to_owned(), Some(text))
    }

    fn live_endpoints(&self) -> File {
        let addresses = self.origins.http.get(..self.live.endpoints);
        let text = endpoints(SERVICE, Transport::Tcp, addresses.unwrap_or_default());
        ("live-endpoints.yaml".to_owned(), Some(text))
    }

    fn secret(&self) -> anyhow::Result<File> {
        let identity = self.authority.issue(self.serial)?;
        let text = world::secret(&identity.certificate, &identity.key);
        Ok(("secret.yaml".to_owned(), Some(text)))
    }

    fn route_file(&self, index: usize) -> Option<File> {
        let slot = self.routes.get(index)?;
        let text = (slot.presence == Presence::There).then(|| slot.route.yaml());
        Some((format!("route-{index:03}.yaml"), text))
    }

    fn service_file(&self, index: usize) -> Option<File> {
        let slot = self.routes.get(index)?;
        let name = format!("s{index}");
        let addresses = self.origins.http.get(..slot.endpoints)?;
        let text = documents([
            service(&name, Transport::Tcp),
            endpoints(&name, Transport::Tcp, addresses),
        ]);
        Some((format!("service-{index:03}.yaml"), Some(text)))
    }

    /// A Gateway with a listener and a route, of a kind that goes by its number.
    fn extra_file(&self, index: usize) -> Option<File> {
        let port = self.at.extra.get(index)?.port();
        let there = *self.extra.get(index)? == Presence::There;
        let (listener, kind, host, service) = match index % KINDS {
            0 => ("protocol: HTTP", "HTTPRoute", Some(HOST), SERVICE),
            1 => (
                "protocol: HTTPS, tls: {certificateRefs: [{name: tls}]}",
                "HTTPRoute",
                Some(HOST),
                SERVICE,
            ),
            2 => ("protocol: TCP", "TCPRoute", None, "tcp"),
            _ => ("protocol: UDP", "UDPRoute", None, "udp"),
        };
        let text = there.then(|| {
            let name = format!("extra-{index}");
            let listener = format!("name: extra, port: {port}, {listener}");
            documents([
                gateway(&name, &[listener]),
                route(kind, &name, &name, host, service),
            ])
        });
        Some((format!("extra-{index:02}.yaml"), text))
    }
}

/// The host of a route that is always there.
pub fn steady_host(index: usize) -> String {
    Route::new(index % STEADY, Spread::Hosts, Backends::Own).host()
}
