//! The requests of an HTTP/2 connection: tasks of the worker, which begin when their connection has earned it.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;

use hyper::rt::Executor;
use novaedge_turns::{Turn, Turns, in_turn};
use tokio::task::yield_now;
use tokio_util::task::TaskTracker;

/// The first requests of a connection.
const YOUNG: u32 = 128;

/// Requests of a young connection that are under way at once without a turn to begin.
const FREE: u32 = 4;

/// When so many requests are counted, all counts are halved: what was long ago matters less.
const RECENT: u32 = 256;

/// Runs the requests of an HTTP/2 connection as tasks of the worker, which take turns like connections.
#[derive(Clone)]
pub(super) struct Streams {
    turns: Turns,
    /// Owns the tasks.
    tasks: TaskTracker,
}

impl Streams {
    pub(super) fn new(turns: &Turns, tasks: &TaskTracker) -> Self {
        Self {
            turns: turns.clone(),
            tasks: tasks.clone(),
        }
    }
}

impl<F: Future + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        self.tasks.spawn_local(in_turn(self.turns.clone(), stream));
    }
}

/// How the requests of a connection have begun and ended.
///
/// Many may come at once, with nothing to say for their client: as long as a connection is young, they begin when all that
/// has come is read, and those beyond a few under way wait for a turn. So do all of them where the client takes most of them
/// back before they are answered, or makes the agent give them up (CVE-2023-44487, CVE-2025-8671). The codec looks meanwhile
/// whether a request has been taken back, and such a one ends before it has cost anything.
#[derive(Debug, Default)]
pub(super) struct Manners {
    begun: Cell<u32>,
    recent: Cell<u32>,
    /// Those of the recent ones that ended before they were answered.
    taken_back: Cell<u32>,
}

/// A request from its head to the head of its answer.
pub(super) struct Beginning {
    manners: Rc<Manners>,
    when: When,
    is_answered: bool,
}

/// When a request begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Now,
    /// When the codec has read what has come: that may take it back.
    Soon,
    /// The same, and in a turn.
    InTurn,
}

impl Manners {
    /// One more request begins, beside so many others.
    pub(super) fn begin(self: &Rc<Self>, under_way: u32) -> Beginning {
        let is_young = self.begun.get() < YOUNG;
        let is_hasty = self.taken_back.get() * 2 > self.recent.get();
        let when = if is_hasty || (is_young && under_way > FREE) {
            When::InTurn
        } else if is_young {
            When::Soon
        } else {
            When::Now
        };
        if self.recent.get() >= RECENT {
            self.recent.set(self.recent.get() / 2);
            self.taken_back.set(self.taken_back.get() / 2);
        }
        self.begun.set(self.begun.get().saturating_add(1));
        self.recent.set(self.recent.get() + 1);
        Beginning {
            manners: Rc::clone(self),
            when,
            is_answered: false,
        }
    }
}

impl Beginning {
    /// Waits until it may begin: in a turn, if it needs one.
    pub(super) async fn turn(&self, turns: &Turns) -> Option<Turn> {
        if self.when != When::Now {
            yield_now().await;
        }
        match self.when {
            When::Now | When::Soon => None,
            When::InTurn => Some(turns.next().await),
        }
    }

    /// The head of its answer is there.
    pub(super) fn answered(&mut self) {
        self.is_answered = true;
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        if !self.is_answered {
            let taken_back = &self.manners.taken_back;
            taken_back.set(taken_back.get() + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::sync::Notify;
    use tokio::task::LocalSet;

    use super::*;

    /// Begins so many requests at once: how many have begun at each look that others have meanwhile. They are answered in
    /// the end, or taken back.
    async fn looks(manners: &Rc<Manners>, turns: &Turns, requests: u32, end: End) -> Vec<u32> {
        let tasks = TaskTracker::new();
        let streams = Streams::new(turns, &tasks);
        let (begun, over): (Rc<Cell<u32>>, Rc<Notify>) = <_>::default();
        for under_way in 0..requests {
            let mut beginning = manners.begin(under_way);
            let (begun, over, turns) = (Rc::clone(&begun), Rc::clone(&over), turns.clone());
            streams.execute(async move {
                let turn = beginning.turn(&turns).await;
                let request = pin!(async {
                    begun.set(begun.get() + 1);
                    over.notified().await;
                });
                match turn {
                    Some(turn) => turn.begin(request).await,
                    None => request.await,
                }
                if end == End::Answered {
                    beginning.answered();
                }
            });
        }
        let mut looks = vec![0];
        while begun.get() < requests {
            yield_now().await;
            looks.push(begun.get());
        }
        over.notify_waiters();
        tasks.close();
        tasks.wait().await;
        looks
    }

    #[derive(Clone, Copy, PartialEq, Eq)]
    enum End {
        Answered,
        TakenBack,
    }

    /// Whether at most `first` began at once, and one at a look then.
    fn is_one_by_one(looks: &[u32], first: u32) -> bool {
        let steps = looks.windows(2).map(|pair| pair[1] - pair[0]);
        let several: Vec<u32> = steps.filter(|step| *step > 1).collect();
        several.iter().all(|step| *step <= first) && several.len() <= 1
    }

    #[tokio::test]
    async fn many_requests_of_a_young_connection_begin_one_by_one() {
        let tasks = LocalSet::new();
        let all = tasks.run_until(async {
            let (manners, turns) = (Rc::new(Manners::default()), Turns::new());
            let first = looks(&manners, &turns, 100, End::Answered).await;
            assert!(is_one_by_one(&first, FREE + 1), "{first:?}");
            let few = looks(&manners, &turns, FREE, End::Answered).await;
            assert!(few.len() <= 4, "{few:?}");
            // It is young no more.
            looks(&manners, &turns, YOUNG - 100 - FREE, End::Answered).await;
            let later = looks(&manners, &turns, 100, End::Answered).await;
            assert!(later.len() <= 3, "{later:?}");
        });
        all.await;
    }

    #[tokio::test]
    async fn requests_of_who_takes_them_back_begin_one_by_one() {
        let tasks = LocalSet::new();
        let all = tasks.run_until(async {
            let (manners, turns) = (Rc::new(Manners::default()), Turns::new());
            for _ in 0..10 {
                looks(&manners, &turns, 100, End::Answered).await;
            }
            for _ in 0..4 {
                looks(&manners, &turns, 50, End::TakenBack).await;
            }
            let hasty = looks(&manners, &turns, 50, End::TakenBack).await;
            assert!(is_one_by_one(&hasty, 1), "{hasty:?}");
            // Manners may improve.
            for _ in 0..4 {
                looks(&manners, &turns, 100, End::Answered).await;
            }
            let better = looks(&manners, &turns, 100, End::Answered).await;
            assert!(better.len() <= 3, "{better:?}");
        });
        all.await;
    }

    #[tokio::test]
    async fn what_is_taken_back_while_it_waits_costs_no_turn() {
        let (manners, turns) = (Rc::new(Manners::default()), Turns::new());
        let taken = turns.next().await;
        let beginning = manners.begin(FREE + 1);
        {
            let mut waiting = pin!(beginning.turn(&turns));
            for _ in 0..3 {
                assert!(futures_util::poll!(&mut waiting).is_pending());
            }
            assert_eq!(turns.waiting(), 1);
        }
        assert_eq!(turns.waiting(), 0);
        drop((taken, beginning));
        assert_eq!(manners.taken_back.get(), 1);
    }
}
