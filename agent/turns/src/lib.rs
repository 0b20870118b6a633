//! Turns of tasks that keep a worker's thread busy.
//!
//! An event loop runs tasks in the order in which they became ready, and looks for what the sockets have to say only now
//! and then. Each task has its share if none is much longer than the others. Those that are take turns here: one of them
//! for each turn of the event loop, first come, first served, so that they delay each other instead of everybody else.

use std::cell::Cell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{spawn_local, yield_now};

thread_local! {
    /// Whether the task that runs has given way, or gives way next time.
    static GAVE_WAY: Cell<bool> = const { Cell::new(false) };
}

/// The turns of one worker. A clone gives the same turns.
#[derive(Clone, Debug)]
pub struct Turns {
    free: Arc<Semaphore>,
    waiting: Rc<Cell<usize>>,
}

/// The right to keep the thread busy for a while.
#[derive(Debug)]
pub struct Turn {
    permit: OwnedSemaphorePermit,
}

/// The place of a task among those that take turns: it needs none until it gives way.
pub struct Place {
    turns: Turns,
    needs_turn: bool,
    waiting: Option<Pin<Box<dyn Future<Output = Turn>>>>,
}

/// Ends what a task does now, in the middle of it: it is polled again after the other tasks, and after the event loop has
/// looked for what came meanwhile. A task that has a [`Place`] needs a turn then.
pub fn give_way<T>(cx: &mut Context<'_>) -> Poll<T> {
    GAVE_WAY.set(true);
    // The runtime keeps the waker, so the future itself is not needed.
    let waits = pin!(yield_now()).poll(cx).is_pending();
    debug_assert!(waits, "a turn is given away at once");
    Poll::Pending
}

/// What the task waits for comes in small pieces, so that many tasks like it may be ready at once, with little to do each. A
/// task that has a [`Place`] needs a turn when it is polled next.
pub fn comes_in_pieces() {
    GAVE_WAY.set(true);
}

/// Lets others before, as [`give_way`] does.
pub async fn let_others_before() {
    let mut gave_way = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut gave_way, true) {
            Poll::Ready(())
        } else {
            give_way(cx)
        }
    })
    .await;
}

/// A future that needs a turn after it has given way.
pub async fn in_turn<F: Future>(turns: Turns, future: F) -> F::Output {
    let (mut place, mut future) = (Place::new(turns), pin!(future));
    poll_fn(|cx| place.poll(cx, |cx| future.as_mut().poll(cx))).await
}

// === impl Turns ===

impl Turns {
    /// Of a worker that is new.
    #[must_use]
    pub fn new() -> Self {
        Self {
            free: Arc::new(Semaphore::new(1)),
            waiting: Rc::default(),
        }
    }

    /// Waits for a turn.
    ///
    /// # Panics
    ///
    /// Never: turns do not end.
    pub async fn next(&self) -> Turn {
        let _waiting = Waiting::new(&self.waiting);
        let permit = Arc::clone(&self.free).acquire_owned().await;
        Turn {
            permit: permit.expect("the semaphore is never closed"),
        }
    }

    /// How many wait for a turn now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.get()
    }
}

/// Counts one that waits.
struct Waiting<'a>(&'a Cell<usize>);

impl<'a> Waiting<'a> {
    fn new(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Turn ===

impl Turn {
    /// Begins with a future, gives the turn away, and goes on with the future to its end.
    pub async fn begin<F: Future>(self, mut future: Pin<&mut F>) -> F::Output {
        let begun = poll_fn(|task| Poll::Ready(future.as_mut().poll(task))).await;
        // Until the event loop has looked for what came meanwhile.
        yield_now().await;
        drop(self.permit);
        match begun {
            Poll::Ready(output) => output,
            Poll::Pending => future.await,
        }
    }

    /// The next one comes when the event loop has looked for what came meanwhile.
    fn end(self) {
        drop(spawn_local(async move {
            yield_now().await;
            drop(self.permit);
        }));
    }
}

// === impl Place ===

impl Place {
    /// Of a task that does not need a turn yet.
    #[must_use]
    pub fn new(turns: Turns) -> Self {
        Self {
            turns,
            needs_turn: false,
            waiting: None,
        }
    }

    /// Runs the task if it needs no turn, or when it has one.
    pub fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        run: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let turn = if self.needs_turn {
            Some(ready!(self.poll_turn(cx)))
        } else {
            None
        };
        GAVE_WAY.set(false);
        let polled = run(cx);
        self.needs_turn = GAVE_WAY.get();
        if let Some(turn) = turn {
            turn.end();
        }
        polled
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        let waiting = self.waiting.get_or_insert_with(|| {
            let turns = self.turns.clone();
            Box::pin(async move { turns.next().await })
        });
        let turn = ready!(waiting.as_mut().poll(cx));
        self.waiting = None;
        Poll::Ready(turn)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("needs_turn", &self.needs_turn)
            .field("waits", &self.waiting.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use tokio::task::LocalSet;

    use super::*;

    #[tokio::test]
    async fn others_have_their_turn_between_two_beginnings() {
        let tasks = LocalSet::new();
        let (turns, begun, looked) = (Rc::new(Turns::new()), Rc::default(), Rc::default());
        for _ in 0..10 {
            let (turns, begun): (_, Rc<Cell<u32>>) = (Rc::clone(&turns), Rc::clone(&begun));
            tasks.spawn_local(async move {
                let busy = pin!(async {
                    begun.set(begun.get() + 1);
                    yield_now().await;
                });
                turns.next().await.begin(busy).await;
            });
        }
        let seen: (Rc<Cell<u32>>, Rc<Cell<u32>>) = (Rc::clone(&begun), Rc::clone(&looked));
        tasks
            .run_until(async move {
                spawn_local(async move {
                    let (begun, looked) = seen;
                    let mut before = begun.get();
                    while begun.get() < 10 {
                        assert!(begun.get() <= before + 1);
                        before = begun.get();
                        looked.set(looked.get() + 1);
                        yield_now().await;
                    }
                })
                .await
            })
            .await
            .unwrap();
        assert_eq!(begun.get(), 10);
        assert!(looked.get() >= 10, "{}", looked.get());
    }

    #[tokio::test]
    async fn who_has_given_way_waits_for_the_event_loop_and_for_others_like_it() {
        let tasks = LocalSet::new();
        let turns = Turns::new();
        let (busy, light): (Rc<Cell<u32>>, Rc<Cell<u32>>) = <_>::default();
        for _ in 0..8 {
            let (busy, turns) = (Rc::clone(&busy), turns.clone());
            tasks.spawn_local(async move {
                in_turn(turns, async {
                    for _ in 0..10 {
                        busy.set(busy.get() + 1);
                        let_others_before().await;
                    }
                })
                .await;
            });
        }
        let (seen, looked) = (Rc::clone(&busy), Rc::clone(&light));
        tasks.spawn_local(async move {
            let mut before = 8;
            while seen.get() < 80 {
                // The first time nobody knows of them.
                assert!(seen.get() <= before + 1, "{} {before}", seen.get());
                before = seen.get();
                looked.set(looked.get() + 1);
                yield_now().await;
            }
        });
        tasks.await;
        assert_eq!(busy.get(), 80);
        assert!(light.get() >= 70, "{}", light.get());
    }

    #[tokio::test]
    async fn what_comes_in_pieces_waits_for_the_event_loop() {
        let tasks = LocalSet::new();
        let turns = Turns::new();
        let (pieces, looked): (Rc<Cell<u32>>, Rc<Cell<u32>>) = <_>::default();
        let come = Rc::new(tokio::sync::Notify::new());
        for _ in 0..50 {
            let (pieces, come, turns) = (Rc::clone(&pieces), Rc::clone(&come), turns.clone());
            tasks.spawn_local(in_turn(turns, async move {
                let mut piece = pin!(come.notified());
                poll_fn(|cx| {
                    comes_in_pieces();
                    piece.as_mut().poll(cx)
                })
                .await;
                pieces.set(pieces.get() + 1);
            }));
        }
        let (seen, looks) = (Rc::clone(&pieces), Rc::clone(&looked));
        tasks.spawn_local(async move {
            yield_now().await;
            come.notify_waiters();
            let mut before = 0;
            while seen.get() < 50 {
                assert!(seen.get() <= before + 1, "{} {before}", seen.get());
                before = seen.get();
                looks.set(looks.get() + 1);
                yield_now().await;
            }
        });
        tasks.await;
        assert!(looked.get() >= 50, "{}", looked.get());
    }

    #[tokio::test]
    async fn who_gives_no_way_needs_no_turn() {
        let turns = Turns::new();
        let taken = turns.next().await;
        in_turn(turns, async {}).await;
        drop(taken);
    }
}
