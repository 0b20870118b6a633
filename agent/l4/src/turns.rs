//! Turns at what keeps the processor busy.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One turn for each turn of the event loop, first come, first served.
///
/// The start of a TLS handshake takes as long as some ten requests. Begun one by one, many handshakes at once delay each
/// other instead of everybody else.
#[derive(Debug)]
pub(crate) struct Turns(Arc<Semaphore>);

/// The right to begin something.
#[derive(Debug)]
pub struct Turn {
    permit: OwnedSemaphorePermit,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }

    /// Waits for a turn.
    pub(crate) async fn next(&self) -> Turn {
        let permit = Arc::clone(&self.0).acquire_owned().await;
        Turn {
            permit: permit.expect("the semaphore is never closed"),
        }
    }
}

impl Turn {
    /// Begins with a future, gives the turn away, and goes on with the future to its end.
    pub async fn begin<F: Future>(self, mut future: Pin<&mut F>) -> F::Output {
        let begun = poll_fn(|task| Poll::Ready(future.as_mut().poll(task))).await;
        // Until the event loop has looked for what came meanwhile.
        tokio::task::yield_now().await;
        drop(self.permit);
        match begun {
            Poll::Ready(output) => output,
            Poll::Pending => future.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::pin;
    use std::rc::Rc;

    use tokio::task::{LocalSet, spawn_local};

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
                    tokio::task::yield_now().await;
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
                        tokio::task::yield_now().await;
                    }
                })
                .await
            })
            .await
            .unwrap();
        assert_eq!(begun.get(), 10);
        assert!(looked.get() >= 10, "{}", looked.get());
    }
}
