//! Brings one object to where it should be.

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::Shared;
use crate::{
    book::{Plan, Trouble, Work},
    error::{WriteError, is_conflict, is_namespace_ending, is_not_found},
    schedule::Outcome,
};

/// How often one object is read and written again before others get their turn.
const ATTEMPTS: u32 = 5;

impl Shared {
    /// Reads and writes until the object is as it should be.
    pub(super) async fn bring(&self, work: &Work) -> Outcome {
        let mut fresh = None;
        for _ in 0..ATTEMPTS {
            match self.attempt(work, fresh.take()).await {
                Ok(Progress::Finished(outcome)) => {
                    self.book().set_trouble(work, None);
                    return outcome;
                }
                Ok(Progress::Read(live)) => fresh = live,
                Err(error) if is_namespace_ending(&error) => {
                    let mut book = self.book();
                    book.ends(work.id());
                    book.set_trouble(work, None);
                    return Outcome::Done;
                }
                Err(error) => return self.fail(work, &error),
            }
        }
        Outcome::Failed
    }

    async fn attempt(&self, work: &Work, fresh: Option<Value>) -> Result<Progress, WriteError> {
        let plan = self.book().plan(work, fresh.as_ref(), &now());
        match plan {
            Plan::Nothing => Ok(Progress::Finished(Outcome::Done)),
            Plan::Refuse(error) => Err(error),
            Plan::Read(call) => self.gone_or(work, self.request(&call).await, Progress::found),
            Plan::Delete(call) => {
                let answer = self.request(&call).await;
                // Another object of that name is there: what it is the watch tells.
                if answer.as_ref().is_err_and(is_conflict) {
                    return Ok(Progress::Finished(Outcome::Failed));
                }
                self.gone_or(work, answer, |_| {
                    self.book().forget(work.id());
                    self.metrics.natives_deleted.add(1);
                    Progress::Finished(Outcome::Done)
                })
            }
            Plan::Write(write) => {
                let answer = self.request(&write.call).await;
                if answer.as_ref().is_err_and(is_conflict) {
                    return self.read_again(work).await;
                }
                self.gone_or(work, answer, |live| {
                    self.book().wrote(work, write.digest, &live);
                    match work {
                        Work::Status(_) => self.metrics.statuses_written.add(1),
                        Work::Native(_) => self.metrics.natives_applied.add(1),
                    }
                    // Who undoes what we write may do so again: look after a while, and later each time.
                    Progress::Finished(if write.repair {
                        Outcome::Failed
                    } else {
                        Outcome::Done
                    })
                })
            }
        }
    }

    async fn read_again(&self, work: &Work) -> Result<Progress, WriteError> {
        self.metrics.status_conflicts.add(1);
        let call = self.book().read_again(work.id());
        let Some(call) = call else {
            return Err(WriteError::NotServed(work.id().kind));
        };
        self.gone_or(work, self.request(&call).await, Progress::found)
    }

    /// What to do with an answer; an object that is gone needs nothing more.
    fn gone_or(
        &self,
        work: &Work,
        answer: Result<Value, WriteError>,
        then: impl FnOnce(Value) -> Progress,
    ) -> Result<Progress, WriteError> {
        match answer {
            Ok(live) => Ok(then(live)),
            Err(error) if is_not_found(&error) && !self.creates(work) => {
                self.book().forget(work.id());
                Ok(Progress::Finished(Outcome::Done))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the object should be made: one that is not found then means that its kind is missing.
    fn creates(&self, work: &Work) -> bool {
        matches!(work, Work::Native(id) if self.book().wants_native(id))
    }

    fn fail(&self, work: &Work, error: &WriteError) -> Outcome {
        match work {
            Work::Status(_) => self.metrics.status_errors.add(1),
            Work::Native(_) => self.metrics.native_errors.add(1),
        }
        let trouble = Trouble {
            object: work.id().clone(),
            reason: error.reason(),
            message: error.to_string(),
        };
        let news = self.book().set_trouble(work, Some(trouble));
        if news {
            tracing::warn!(%error, object = %work.id(), "an object cannot be written");
        }
        match error {
            // A change of the book brings it back.
            WriteError::NotServed(_) | WriteError::Taken => Outcome::Done,
            _ => Outcome::Failed,
        }
    }
}

/// How far one attempt came.
enum Progress {
    Finished(Outcome),
    /// The object, as it was read.
    Read(Option<Value>),
}

impl Progress {
    fn found(live: Value) -> Self {
        Self::Read(Some(live))
    }
}

/// The time of day in whole seconds, as Kubernetes has it.
fn now() -> String {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second())
        .unwrap_or(now)
        .to_string()
}
