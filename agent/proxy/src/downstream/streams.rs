//! The requests of an HTTP/2 connection, as tasks.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;

use hyper::rt::Executor;
use novaedge_turns::{Turns, in_turn};
use tokio_util::task::TaskTracker;

/// The first requests of a connection.
const YOUNG: u32 = 128;

/// Requests of a young connection that are under way at once without a turn to begin.
const FREE: u32 = 4;

/// Runs the requests of an HTTP/2 connection as tasks of the worker, which take turns like connections.
///
/// Many may begin at once, with nothing to say for their client: as long as the connection is young, those beyond a few
/// under way wait for a turn to begin. Most of what a client takes back at once is gone by then.
#[derive(Clone)]
pub(super) struct Streams {
    turns: Turns,
    /// Owns the tasks.
    tasks: TaskTracker,
    begun: Rc<Cell<u32>>,
    under_way: Rc<Cell<u32>>,
}

impl Streams {
    pub(super) fn new(turns: &Turns, tasks: &TaskTracker) -> Self {
        Self {
            turns: turns.clone(),
            tasks: tasks.clone(),
            begun: Rc::default(),
            under_way: Rc::default(),
        }
    }
}

impl<F: Future + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        self.begun.set(self.begun.get().saturating_add(1));
        let under_way = UnderWay::new(&self.under_way);
        let waits = self.begun.get() <= YOUNG && self.under_way.get() > FREE;
        let turns = self.turns.clone();
        self.tasks.spawn_local(async move {
            let _under_way = under_way;
            let stream = pin!(in_turn(turns.clone(), stream));
            if waits {
                turns.next().await.begin(stream).await;
            } else {
                stream.await;
            }
        });
    }
}

/// Counts a request while it is under way.
struct UnderWay(Rc<Cell<u32>>);

impl UnderWay {
    fn new(count: &Rc<Cell<u32>>) -> Self {
        count.set(count.get() + 1);
        Self(Rc::clone(count))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Notify;
    use tokio::task::{LocalSet, yield_now};

    use super::*;

    /// Begins so many requests at once, which last: how many have begun at each look that others have meanwhile.
    async fn looks(streams: &Streams, requests: u32) -> Vec<u32> {
        let (begun, end): (Rc<Cell<u32>>, Rc<Notify>) = <_>::default();
        for _ in 0..requests {
            let (begun, end) = (Rc::clone(&begun), Rc::clone(&end));
            streams.execute(async move {
                begun.set(begun.get() + 1);
                end.notified().await;
            });
        }
        let mut looks = vec![0];
        while begun.get() < requests {
            yield_now().await;
            looks.push(begun.get());
        }
        end.notify_waiters();
        while streams.under_way.get() > 0 {
            yield_now().await;
        }
        looks
    }

    #[tokio::test]
    async fn many_requests_of_a_young_connection_begin_one_by_one() {
        let tasks = LocalSet::new();
        let all = tasks.run_until(async {
            let streams = Streams::new(&Turns::new(), &TaskTracker::new());
            let first = looks(&streams, 100).await;
            // The first few at once, and at most one at a look then.
            let mut steps = first.windows(2).map(|pair| pair[1] - pair[0]);
            assert!(steps.next() <= Some(FREE + 1), "{first:?}");
            assert!(steps.all(|step| step <= 1), "{first:?}");
            let few = looks(&streams, FREE).await;
            assert!(few.len() <= 3, "{few:?}");
            // It is young no more.
            looks(&streams, YOUNG - 100 - FREE).await;
            let later = looks(&streams, 100).await;
            assert!(later.len() <= 3, "{later:?}");
        });
        all.await;
    }
}
