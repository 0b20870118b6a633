//! Who wants to see requests while they happen, step by step.
//!
//! While nobody does, a request costs one look at a counter. Whoever does asks for a number of them, and gets those that match
//! when they are over; nothing waits for whoever asked.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::Stream;
use http::Request;
use novaedge_proto::v1;
use tokio::sync::mpsc;

mod filter;

pub use filter::FilterError;
pub(crate) use filter::{Filter, Seen};

/// Taps that may be open at one time.
const MAX_TAPS: usize = 16;

/// Requests that one tap may ask for.
const MAX_COUNT: u32 = 100;

/// All taps of a process. A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Taps(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    open: AtomicUsize,
    taps: Mutex<Vec<Arc<Tap>>>,
}

/// One wish to see requests.
pub(crate) struct Tap {
    pub(crate) filter: Filter,
    /// How many are wanted still.
    left: AtomicU32,
    /// Has room for all of them.
    sender: mpsc::Sender<v1::TracedRequest>,
}

/// The requests that were asked for, as they come. Nobody wants them any more when it is dropped.
#[derive(Debug)]
pub struct Tapped {
    taps: Taps,
    tap: Arc<Tap>,
    receiver: mpsc::Receiver<v1::TracedRequest>,
    left: u32,
}

/// Why requests cannot be seen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TapError {
    /// Too many want to.
    #[error("{MAX_TAPS} traces are open already: try again when one has ended")]
    Crowded,
    /// Too many are wanted.
    #[error("count {0}: at most {MAX_COUNT} requests can be traced at once")]
    Count(u32),
    /// It is not clear which.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

// === impl Taps ===

impl Taps {
    /// Asks for the next requests that match.
    pub fn open(&self, question: &v1::TraceQuestion) -> Result<Tapped, TapError> {
        let filter = Filter::new(question)?;
        let count = question.count.max(1);
        if count > MAX_COUNT {
            return Err(TapError::Count(count));
        }
        let (sender, receiver) = mpsc::channel(count as usize);
        let tap = Arc::new(Tap {
            filter,
            left: AtomicU32::new(count),
            sender,
        });
        let mut taps = self.all();
        if taps.len() >= MAX_TAPS {
            return Err(TapError::Crowded);
        }
        taps.push(Arc::clone(&tap));
        self.0.open.store(taps.len(), Ordering::Relaxed);
        drop(taps);
        Ok(Tapped {
            taps: self.clone(),
            tap,
            receiver,
            left: count,
        })
    }

    /// The taps that may want this request, as far as its head tells.
    pub(crate) fn wanting<B>(&self, request: &Request<B>) -> Vec<Arc<Tap>> {
        if self.0.open.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        let all = self.all();
        let wanting = all.iter().filter(|tap| tap.wants(request));
        wanting.cloned().collect()
    }

    fn close(&self, tap: &Arc<Tap>) {
        let mut taps = self.all();
        taps.retain(|one| !Arc::ptr_eq(one, tap));
        self.0.open.store(taps.len(), Ordering::Relaxed);
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Tap>>> {
        // Every change is whole before anything can panic.
        self.0.taps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Tap ===

impl Tap {
    fn wants<B>(&self, request: &Request<B>) -> bool {
        self.left.load(Ordering::Relaxed) > 0 && self.filter.matches_head(request)
    }

    /// Gives a request that matches, if one more is wanted.
    pub(crate) fn give(&self, request: v1::TracedRequest) {
        let one_less = |left: u32| left.checked_sub(1);
        let order = Ordering::Relaxed;
        if self.left.fetch_update(order, order, one_less).is_ok() {
            // There is room, unless nobody waits for it any more.
            let _ = self.sender.try_send(request);
        }
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap")
            .field("filter", &self.filter)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

// === impl Tapped ===

impl Stream for Tapped {
    type Item = v1::TracedRequest;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let next = this.receiver.poll_recv(cx);
        if let Poll::Ready(Some(_)) = &next {
            this.left -= 1;
        }
        next
    }
}

impl Drop for Tapped {
    fn drop(&mut self) {
        self.taps.close(&self.tap);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    fn question(count: u32) -> v1::TraceQuestion {
        v1::TraceQuestion {
            host: "shop.example".into(),
            count,
            ..v1::TraceQuestion::default()
        }
    }

    fn request(host: &str) -> Request<()> {
        Request::get(format!("http://{host}/")).body(()).unwrap()
    }

    fn traced(at: u64) -> v1::TracedRequest {
        v1::TracedRequest {
            began_at_us: at,
            steps: Vec::new(),
        }
    }

    #[tokio::test]
    async fn as_many_come_as_were_asked_for() {
        let taps = Taps::default();
        assert!(taps.wanting(&request("shop.example")).is_empty());
        let tapped = taps.open(&question(2)).unwrap();
        assert!(taps.wanting(&request("other.example")).is_empty());
        for at in 0..5 {
            let wanting = taps.wanting(&request("shop.example"));
            assert_eq!(wanting.len(), usize::from(at < 2), "{at}");
            for tap in wanting {
                tap.give(traced(at));
            }
        }
        let came: Vec<u64> = tapped.map(|one| one.began_at_us).collect().await;
        assert_eq!(came, [0, 1]);
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_not_wanted() {
        let taps = Taps::default();
        let tapped = taps.open(&question(0)).unwrap();
        let wanting = taps.wanting(&request("shop.example"));
        drop(tapped);
        for tap in wanting {
            tap.give(traced(1));
        }
        assert!(taps.wanting(&request("shop.example")).is_empty());
        assert_eq!(taps.0.open.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn taps_and_what_they_ask_for_are_bounded() {
        let taps = Taps::default();
        let open: Vec<Tapped> = (0..MAX_TAPS)
            .map(|_| taps.open(&question(1)).unwrap())
            .collect();
        assert_eq!(taps.open(&question(1)).unwrap_err(), TapError::Crowded);
        drop(open);
        assert_eq!(taps.open(&question(101)).unwrap_err(), TapError::Count(101));
        assert!(taps.open(&question(100)).is_ok());
    }
}
