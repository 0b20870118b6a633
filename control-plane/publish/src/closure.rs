//! The part of a snapshot that belongs to a scope: its Gateways, and what they bring along. No IO, no clock.
//!
//! References are counted, so a change costs as much as what it moves into a scope or out of it, not as the
//! snapshot.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use novaedge_proto::v1::{self, resource::Body};

use crate::{
    encoded::EncodedResource,
    references::{Layer, References},
    scope::Scope,
    serves::body,
};

/// A resource that changed; `None`: it is gone.
pub(crate) type Changed = (Arc<str>, Option<Arc<EncodedResource>>);

/// Who brings whom along in the whole snapshot.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    nodes: HashMap<Arc<str>, Node>,
}

/// A resource, or a name that others refer to.
#[derive(Debug, Default)]
struct Node {
    resource: Option<Arc<EncodedResource>>,
    /// Edges that the resource itself tells of: to it, and from it.
    parents: BTreeSet<Arc<str>>,
    told: BTreeSet<Arc<str>>,
    /// All edges from it, whoever tells of them.
    children: BTreeSet<Arc<str>>,
    /// How many edges lead to it.
    uses: usize,
}

/// What changed in a [`Graph`].
#[derive(Debug, Default)]
pub(crate) struct Moves {
    /// Names of the resources that changed, came or went.
    changed: Vec<Arc<str>>,
    cut: Vec<Edge>,
    drawn: Vec<Edge>,
}

/// From whom to whom.
type Edge = (Arc<str>, Arc<str>);

/// The resources of one scope.
#[derive(Debug)]
pub(crate) struct Members {
    scope: Scope,
    held: HashSet<Arc<str>>,
    /// How many members bring each name along.
    counts: HashMap<Arc<str>, usize>,
}

/// What an update does to the resources of a scope. Some of `upserts` may be as they were.
#[derive(Debug, Default)]
pub(crate) struct Update {
    pub(crate) upserts: Vec<Arc<EncodedResource>>,
    pub(crate) removed: Vec<Arc<str>>,
}

impl Graph {
    /// Takes in what changed.
    pub(crate) fn apply(&mut self, changes: Vec<Changed>) -> Moves {
        let mut moves = Moves::default();
        for (name, resource) in changes {
            let references = resource.as_deref().and_then(References::of);
            // What is neither one thing nor the other belongs to nobody.
            let resource = resource.filter(|_| references.is_some());
            let references = references.unwrap_or_default();
            let parents = self.intern(references.parents);
            let told = self.intern(references.children);
            let node = self.nodes.entry(Arc::clone(&name)).or_default();
            node.resource = resource;
            let old_parents = std::mem::replace(&mut node.parents, parents.clone());
            let old_told = std::mem::replace(&mut node.told, told.clone());
            let to_it = |parent: &Arc<str>| (Arc::clone(parent), Arc::clone(&name));
            let from_it = |child: &Arc<str>| (Arc::clone(&name), Arc::clone(child));
            let cut = old_parents.difference(&parents).map(to_it);
            let cut = cut.chain(old_told.difference(&told).map(from_it));
            let drawn = parents.difference(&old_parents).map(to_it);
            let drawn = drawn.chain(told.difference(&old_told).map(from_it));
            let (cut, drawn): (Vec<Edge>, Vec<Edge>) = (cut.collect(), drawn.collect());
            for edge in &drawn {
                self.draw(edge);
            }
            for edge in &cut {
                self.cut(edge);
            }
            self.forget(&name);
            moves.cut.extend(cut);
            moves.drawn.extend(drawn);
            moves.changed.push(name);
        }
        moves
    }

    fn intern(&self, names: BTreeSet<String>) -> BTreeSet<Arc<str>> {
        let names = names.into_iter();
        names
            .map(|name| match self.nodes.get_key_value(name.as_str()) {
                Some((known, _)) => Arc::clone(known),
                None => name.into(),
            })
            .collect()
    }

    fn draw(&mut self, (from, to): &Edge) {
        let node = self.nodes.entry(Arc::clone(from)).or_default();
        node.children.insert(Arc::clone(to));
        self.nodes.entry(Arc::clone(to)).or_default().uses += 1;
    }

    fn cut(&mut self, (from, to): &Edge) {
        if let Some(node) = self.nodes.get_mut(from) {
            node.children.remove(to);
        }
        if let Some(node) = self.nodes.get_mut(to) {
            node.uses -= 1;
        }
        self.forget(from);
        self.forget(to);
    }

    /// Forgets a name that is nothing to anybody.
    fn forget(&mut self, name: &Arc<str>) {
        let is_idle =
            |node: &Node| node.resource.is_none() && node.uses == 0 && node.children.is_empty();
        if self.nodes.get(name).is_some_and(is_idle) {
            self.nodes.remove(name);
        }
    }
}

impl Members {
    /// The members of a scope in a snapshot, and all of them as an update.
    pub(crate) fn of(scope: Scope, graph: &Graph) -> (Self, Update) {
        let mut members = Self {
            scope,
            held: HashSet::new(),
            counts: HashMap::new(),
        };
        let gateways = graph.nodes.keys();
        let gateways = gateways.filter(|name| Layer::of(name) == Some(Layer::Gateway));
        let update = members.settle(
            graph,
            gateways.cloned().map(|n| (Layer::Gateway, n)).collect(),
        );
        (members, update)
    }

    /// Follows a change of the snapshot.
    pub(crate) fn apply(&mut self, graph: &Graph, moves: &Moves) -> Update {
        let mut touched = BTreeSet::new();
        let mut touch = |name: &Arc<str>| {
            if let Some(layer) = Layer::of(name) {
                touched.insert((layer, Arc::clone(name)));
            }
        };
        moves.changed.iter().for_each(&mut touch);
        // Both as of before: what follows from members that come and go is counted when they do.
        let of_member = |(from, _): &&Edge| self.held.contains(from);
        for (_, to) in moves.drawn.iter().filter(of_member) {
            touch(to);
            count(&mut self.counts, to);
        }
        for (_, to) in moves.cut.iter().filter(of_member) {
            touch(to);
            release(&mut self.counts, to);
        }
        self.settle(graph, touched)
    }

    /// Judges the touched names, and all that follow from them. References lead to later layers, so each
    /// is judged when all that it depends on has been.
    fn settle(&mut self, graph: &Graph, mut touched: BTreeSet<(Layer, Arc<str>)>) -> Update {
        let mut update = Update::default();
        while let Some((layer, name)) = touched.pop_first() {
            let node = graph.nodes.get(&name);
            let wanted = self.counts.contains_key(&name)
                || (layer == Layer::Gateway && self.scope.has(namespace(&name)));
            let resource = node.and_then(|node| node.resource.as_ref());
            let resource = resource.filter(|_| wanted);
            let was_held = self.held.contains(&name);
            if was_held != resource.is_some() {
                for child in node.iter().flat_map(|node| &node.children) {
                    if was_held {
                        release(&mut self.counts, child);
                    } else {
                        count(&mut self.counts, child);
                    }
                    touched.extend(Layer::of(child).map(|layer| (layer, Arc::clone(child))));
                }
            }
            match (node, resource) {
                (Some(node), Some(resource)) => {
                    self.held.insert(name);
                    update.upserts.push(self.view(node, resource));
                }
                _ => update.removed.extend(self.held.take(&name)),
            }
        }
        update
    }

    /// A resource as it is within the scope: a route without the listeners that are not.
    fn view(&self, node: &Node, resource: &Arc<EncodedResource>) -> Arc<EncodedResource> {
        if node.parents.iter().all(|parent| self.held.contains(parent)) {
            return Arc::clone(resource);
        }
        let Some(Body::Route(mut route)) = body(resource) else {
            return Arc::clone(resource);
        };
        route
            .bindings
            .retain(|binding| self.held.contains(binding.listener.as_str()));
        let cut = v1::Resource {
            body: Some(Body::Route(route)),
            ..v1::Resource::default()
        };
        // It is smaller than what was encoded before.
        EncodedResource::encode(resource.name(), cut)
            .map_or_else(|_| Arc::clone(resource), Arc::new)
    }
}

fn count(counts: &mut HashMap<Arc<str>, usize>, name: &Arc<str>) {
    *counts.entry(Arc::clone(name)).or_default() += 1;
}

fn release(counts: &mut HashMap<Arc<str>, usize>, name: &Arc<str>) {
    if let Some(count) = counts.get_mut(name) {
        *count -= 1;
        if *count == 0 {
            counts.remove(name);
        }
    }
}

/// The namespace in the name of a Gateway.
fn namespace(gateway: &str) -> &str {
    gateway.split('/').nth(1).unwrap_or_default()
}

#[cfg(test)]
mod tests;
