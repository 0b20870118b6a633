//! Decides when a path that changed may be looked at, so that nobody reads half a save.
//!
//! The system tells when a writer closes a file and when a rename puts one into place: both are
//! complete at once. Everything else may be the middle of a save, and waits until it is either
//! completed by one of these or has stayed as it is for a while.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use super::scan::Stamp;

/// Files that are saved together are mostly read together; a second save follows a first.
const COALESCE: Duration = Duration::from_millis(2);
/// Editors move a file away and write it anew, or create it and then begin to write: nothing of that
/// takes as long as this without another event.
const REST: Duration = Duration::from_millis(25);
/// A file that somebody has open is complete when it is closed, and that is told. It is read without
/// only for writers that never close it.
const PATIENCE: Duration = Duration::from_secs(1);
/// Paths that may wait; with more of them the whole folder is looked at instead.
pub(super) const MAX_PENDING: usize = 10_000;

/// What is known of a path that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// It was written and closed, or renamed into place: it is complete.
    Closed,
    /// Somebody has it open and writes.
    Open,
    /// It is new. Links and folders are complete, files are about to be written.
    New,
    /// It is gone, or as good as: an emptied file.
    Gone,
    /// Its rights or times changed.
    Touched,
    /// Links in this folder may lead elsewhere now.
    Links,
    /// It is not as it was, though no event said so; this is how it looked.
    Seen(Stamp),
}

impl Mark {
    fn wait(self) -> Duration {
        match self {
            Self::Closed | Self::Touched | Self::Links => COALESCE,
            Self::New | Self::Gone | Self::Seen(_) => REST,
            Self::Open => PATIENCE,
        }
    }

    /// Whether it says less than any mark that is there already.
    fn is_weak(self) -> bool {
        matches!(self, Self::Touched | Self::Links | Self::Seen(_))
    }
}

/// Paths that wait to be looked at.
#[derive(Debug, Default)]
pub(super) struct Settling {
    pending: BTreeMap<PathBuf, (Mark, Instant)>,
    everything: bool,
}

impl Settling {
    /// Takes in what happened to a path.
    pub fn note(&mut self, path: PathBuf, mark: Mark, now: Instant) {
        if self.everything && self.pending.len() >= MAX_PENDING {
            return;
        }
        let due = now + mark.wait();
        let full = self.pending.len() >= MAX_PENDING;
        match self.pending.get_mut(&path) {
            Some(_) if mark.is_weak() => {}
            // A file that is saved all the time is read all the same.
            Some((Mark::Closed, _)) if mark == Mark::Closed => {}
            Some(pending) => *pending = (mark, due),
            None if full => self.everything = true,
            None => {
                self.pending.insert(path, (mark, due));
            }
        }
    }

    /// Asks for a look at the whole folder.
    pub fn note_everything(&mut self) {
        self.everything = true;
    }

    /// Whether the whole folder is to be looked at; asked once.
    pub fn take_everything(&mut self) -> bool {
        std::mem::take(&mut self.everything)
    }

    /// When the next path is due.
    pub fn next(&self) -> Option<Instant> {
        self.pending.values().map(|(_, due)| *due).min()
    }

    /// Takes the paths that are due.
    pub fn due(&mut self, now: Instant) -> Vec<(PathBuf, Mark)> {
        let due = self.pending.extract_if(.., |_, (_, due)| *due <= now);
        due.map(|(path, (mark, _))| (path, mark)).collect()
    }

    /// Whether something new is known of a path.
    pub fn waits(&self, path: &std::path::Path) -> bool {
        self.pending.contains_key(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes marks at milliseconds; tells what is due at which millisecond, in order.
    fn check(notes: &[(u64, Mark)], expect: &[(u64, Mark)]) {
        let start = Instant::now();
        let mut settling = Settling::default();
        let mut notes = notes.iter().peekable();
        let mut found = Vec::new();
        for ms in 0..3_000 {
            let now = start + Duration::from_millis(ms);
            while let Some((_, mark)) = notes.next_if(|(at, _)| *at == ms) {
                settling.note("a.yaml".into(), *mark, now);
            }
            found.extend(settling.due(now).into_iter().map(|(_, mark)| (ms, mark)));
        }
        assert_eq!(found, expect);
    }

    #[test]
    fn a_close_ends_the_wait() {
        use Mark::{Closed, New, Open};
        check(&[(0, New), (1, Open), (1, Closed)], &[(3, Closed)]);
        check(&[(0, Open), (300, Open), (600, Closed)], &[(602, Closed)]);
    }

    #[test]
    fn a_file_moved_away_and_written_anew_was_never_gone() {
        use Mark::{Closed, Gone, New, Open};
        check(
            &[(0, Gone), (5, New), (6, Open), (900, Closed)],
            &[(902, Closed)],
        );
        check(&[(0, Gone)], &[(25, Gone)]);
    }

    #[test]
    fn a_writer_that_never_closes_is_read_when_it_rests() {
        use Mark::Open;
        check(&[(0, Open), (500, Open)], &[(1_500, Open)]);
    }

    #[test]
    fn a_save_after_the_close_waits_for_its_own_close() {
        use Mark::{Closed, Open};
        check(&[(0, Closed), (1, Open), (40, Closed)], &[(42, Closed)]);
    }

    #[test]
    fn constant_saves_do_not_starve_the_reader() {
        let notes: Vec<_> = (0..10).map(|ms| (ms, Mark::Closed)).collect();
        let expect: Vec<_> = [2, 5, 8, 11].map(|ms| (ms, Mark::Closed)).into();
        check(&notes, &expect);
    }

    #[test]
    fn too_many_paths_become_a_look_at_everything() {
        let mut settling = Settling::default();
        for n in 0..=MAX_PENDING {
            settling.note(n.to_string().into(), Mark::Closed, Instant::now());
        }
        assert!(settling.take_everything());
        assert!(!settling.take_everything());
    }
}
