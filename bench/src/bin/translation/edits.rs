//! The edits that are measured.

use std::net::SocketAddr;

use anyhow::Context as _;
use novaedge_api::meta::{Kind, ObjectId};
use novaedge_bench::world::{self, Backends, Route, Spread};
use novaedge_store::Change;

/// A kind of edit.
pub struct Kinds {
    /// Name in tables.
    pub name: &'static str,
    /// Makes the edit number `at`.
    pub make: Make,
}

/// Makes an edit by its number.
pub type Make = fn(&mut Edits, usize) -> anyhow::Result<Edit>;

/// One edit, and what brings back the state before, if that is not the next edit's start.
pub struct Edit {
    pub change: Change,
    pub undo: Option<Change>,
}

/// All kinds.
pub const EDITS: [Kinds; 5] = [
    Kinds {
        name: "route filter",
        make: Edits::route,
    },
    Kinds {
        name: "weight",
        make: Edits::weight,
    },
    Kinds {
        name: "new route",
        make: Edits::new_route,
    },
    Kinds {
        name: "endpoint",
        make: Edits::endpoint,
    },
    Kinds {
        name: "certificate",
        make: Edits::certificate,
    },
];

/// The world before the edits, and what has been edited in it.
pub struct Edits {
    routes: Vec<Route>,
    secrets: [String; 2],
    /// Routes that are edited in turn.
    turn: usize,
}

impl Edits {
    /// A world of `size` routes.
    pub fn new(size: usize) -> anyhow::Result<Self> {
        let route = |index| Route::new(index, Spread::Hosts, Backends::Own);
        Ok(Self {
            routes: (0..size).map(route).collect(),
            secrets: [secret()?, secret()?],
            turn: size,
        })
    }

    /// Edits only so many routes from now on.
    pub fn keep_to(&mut self, turn: usize) {
        self.turn = turn.min(self.routes.len());
    }

    /// All its objects.
    pub fn world(&self) -> anyhow::Result<Vec<Change>> {
        let mut texts = vec![world::gateway(80, 443), self.secrets[0].clone()];
        for route in &self.routes {
            texts.push(route.yaml());
            texts.push(world::service(route.index));
            texts.push(world::endpoints(route.index, address(0)));
        }
        world::changes(texts.iter().map(String::as_str))
    }

    fn route(&mut self, at: usize) -> anyhow::Result<Edit> {
        let route = self.pick(at)?;
        route.version += 1;
        edit(&route.yaml())
    }

    fn weight(&mut self, at: usize) -> anyhow::Result<Edit> {
        let route = self.pick(at)?;
        route.canary = route.canary % 90 + 1;
        edit(&route.yaml())
    }

    fn new_route(&mut self, at: usize) -> anyhow::Result<Edit> {
        let index = self.routes.len() + at;
        let route = Route::new(index, Spread::Hosts, Backends::Shared);
        let id = ObjectId::new(Kind::HttpRoute, "default", format!("r{index}"));
        Ok(Edit {
            undo: Some(Change::Delete(id)),
            ..edit(&route.yaml())?
        })
    }

    fn endpoint(&mut self, at: usize) -> anyhow::Result<Edit> {
        let index = self.pick(at)?.index;
        edit(&world::endpoints(index, address(at + 1)))
    }

    fn certificate(&mut self, at: usize) -> anyhow::Result<Edit> {
        let secret = self.secrets.get((at + 1) % 2).context("two secrets")?;
        edit(secret)
    }

    /// A route far from the one before.
    fn pick(&mut self, at: usize) -> anyhow::Result<&mut Route> {
        let index = at % self.turn * 7919 % self.routes.len();
        self.routes.get_mut(index).context("a world with routes")
    }
}

fn edit(yaml: &str) -> anyhow::Result<Edit> {
    let change = Change::Upsert(world::object(yaml)?);
    Ok(Edit { change, undo: None })
}

fn address(edit: usize) -> SocketAddr {
    let port = u16::try_from(edit % 60_000).unwrap_or(0) + 1;
    SocketAddr::from(([10, 0, 0, 1], port))
}

fn secret() -> anyhow::Result<String> {
    let identity = rcgen::generate_simple_self_signed(vec!["*.example.com".to_owned()])?;
    let (certificate, key) = (identity.cert.pem(), identity.signing_key.serialize_pem());
    Ok(world::secret(&certificate, &key))
}
