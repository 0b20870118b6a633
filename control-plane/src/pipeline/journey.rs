//! Changes on their way to the agents, as traces: translation, compilation, publication, and the acknowledgement of each
//! agent.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use novaedge_publish::Acks;
use novaedge_store::Change;
use novaedge_telemetry::{Kind, TraceSpan, Tracer};
use tokio::time::Instant;

/// Changes that are followed at a time; of more, the oldest is given up.
const UNDER_WAY: usize = 64;

/// How long agents may take to acknowledge a change that is followed.
const LONGEST: Duration = Duration::from_mins(1);

/// Objects that a span names.
const NAMED: usize = 8;

/// Follows changes.
pub(super) struct Journeys {
    tracer: Tracer,
    /// Numbers drawn for samples.
    drawn: u64,
    under_way: VecDeque<Journey>,
}

/// A change that has been published.
struct Journey {
    /// Ends with the journey.
    root: TraceSpan,
    sequence: u64,
    waiting: BTreeMap<Arc<str>, TraceSpan>,
    began: Instant,
}

/// Where the parts of a change's way are told; nowhere, if it is not followed.
#[derive(Clone, Copy, Default)]
pub(super) struct Stages<'a>(Option<(&'a Tracer, &'a TraceSpan)>);

impl Stages<'_> {
    /// A part of the way begins. It ends with what is returned.
    pub fn enter(&self, name: &'static str) -> Option<TraceSpan> {
        let (tracer, root) = self.0?;
        Some(tracer.child(root, name, Kind::Internal))
    }
}

// === impl Journeys ===

impl Journeys {
    pub fn new(tracer: Tracer) -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self {
            tracer,
            drawn: since.map_or(0, |since| u64::from(since.subsec_nanos())),
            under_way: VecDeque::new(),
        }
    }

    /// Changes have come in. `None`: they are not followed.
    pub fn begin(&mut self, changes: &[Change]) -> Option<TraceSpan> {
        let random = self.draw();
        if changes.is_empty() || !self.tracer.samples(None, random) {
            return None;
        }
        let root = self.tracer.begin("change", Kind::Internal, None);
        root.set(
            "novaedge.changes",
            i64::try_from(changes.len()).unwrap_or(i64::MAX),
        );
        let objects = changes
            .iter()
            .take(NAMED)
            .map(|change| change.id().to_string());
        root.set("novaedge.objects", objects.collect::<Vec<_>>().join(", "));
        Some(root)
    }

    pub fn stages<'a>(&'a self, root: Option<&'a TraceSpan>) -> Stages<'a> {
        Stages(root.map(|root| (&self.tracer, root)))
    }

    /// The change is in the snapshot of this sequence, which these agents are to acknowledge.
    pub fn published(&mut self, root: TraceSpan, sequence: u64, acks: &Acks) {
        root.set(
            "novaedge.sequence",
            i64::try_from(sequence).unwrap_or(i64::MAX),
        );
        let waiting = acks.agents.keys().map(|agent| {
            let span = self.tracer.child(&root, "acknowledge", Kind::Internal);
            span.set("novaedge.node", agent.to_string());
            (Arc::clone(agent), span)
        });
        let journey = Journey {
            waiting: waiting.collect(),
            root,
            sequence,
            began: Instant::now(),
        };
        if self.under_way.len() >= UNDER_WAY {
            self.under_way.pop_front();
        }
        self.under_way.push_back(journey);
        self.hear(acks);
    }

    /// Ends the parts of those agents that have acknowledged, and of those that are gone.
    pub fn hear(&mut self, acks: &Acks) {
        self.under_way.retain_mut(|journey| {
            let (sequence, root) = (journey.sequence, &journey.root);
            journey.waiting.retain(|agent, span| {
                let Some(ack) = acks.agents.get(agent) else {
                    span.fail("the agent is gone");
                    return false;
                };
                let there = ack.sequence() >= sequence;
                if there && !ack.rejected.is_empty() {
                    span.set(
                        "novaedge.rejected",
                        i64::try_from(ack.rejected.len()).unwrap_or(i64::MAX),
                    );
                    span.fail("the agent refuses resources");
                }
                !there
            });
            let is_late = journey.began.elapsed() > LONGEST;
            if is_late && !journey.waiting.is_empty() {
                root.fail("not acknowledged in time");
            }
            !is_late && !journey.waiting.is_empty()
        });
    }

    /// The next number of a sequence that looks random (SplitMix64, Steele 2014).
    fn draw(&mut self) -> u64 {
        self.drawn = self.drawn.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.drawn ^ (self.drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
