//! Smooth weighted round robin: each has its turns at even distances, and a heavy one more often.
//!
//! A member with weight w has a turn at the times ½/w, 1½/w, 2½/w and so on; the next turn in time is the next choice. So
//! after k choices each has had its share of k, give or take little, and never two in a row for nothing. A heap keeps the
//! turns in order; equal weights need none.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

use crate::member::Member;

/// Time between two turns of weight 1.
const ROUND: u64 = 1 << 40;

/// The time is set back when it comes here.
const LATEST: u64 = 1 << 62;

/// Whose turn it is.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// Time of the next turn and index, the earliest on top. Empty: all weights are equal.
    queue: BinaryHeap<Reverse<(u64, u32)>>,
    now: u64,
    /// Where equal members continue.
    position: usize,
}

impl Turns {
    /// Turns that begin with the member at `position`, or as many turns later.
    pub(crate) fn starting_at(position: usize) -> Self {
        Self {
            position,
            ..Self::default()
        }
    }

    /// Takes the members at these indexes into the round, with the weights that they have now. Turns that are due stay.
    pub(crate) fn take<E: AsRef<Member>>(&mut self, at: &[u32], members: &[Rc<E>], equal: bool) {
        let mut queue = std::mem::take(&mut self.queue).into_vec();
        let first = queue.is_empty();
        queue.clear();
        if !equal {
            for &at in at {
                let Some(member) = member(members, at) else {
                    continue;
                };
                let stride = stride(member);
                let turn = member.turn.get();
                let due = if turn > self.now && turn <= self.now + stride {
                    turn
                } else {
                    self.now + stride / 2
                };
                member.turn.set(due);
                queue.push(Reverse((due, at)));
            }
        }
        self.queue = queue.into();
        if first && !equal {
            let skipped = self.position.checked_rem(at.len()).unwrap_or(0);
            for _ in 0..skipped {
                self.next(at, members, |_| false);
            }
        }
    }

    /// The next one that is not to be skipped.
    pub(crate) fn next<E: AsRef<Member>>(
        &mut self,
        at: &[u32],
        members: &[Rc<E>],
        skip: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        if self.queue.is_empty() {
            return self.next_of_equals(at, skip);
        }
        if self.now >= LATEST {
            self.set_back();
        }
        let mut earliest = None;
        loop {
            let &Reverse((due, at)) = self.queue.peek()?;
            let skipped = skip(at);
            if skipped && earliest.is_none() {
                // Those that are skipped wait until the turn of one that is not.
                let turns = self.queue.iter().map(|turn| turn.0);
                earliest = Some(turns.filter(|(_, at)| !skip(*at)).min()?.0);
            }
            let mut top = self.queue.peek_mut()?;
            let member = member(members, at)?;
            let after = due + stride(member);
            let next = match earliest {
                Some(earliest) if skipped => after.max(earliest + 1),
                _ => after,
            };
            top.0.0 = next;
            member.turn.set(next);
            drop(top);
            self.now = due;
            if !skipped {
                return Some(at);
            }
        }
    }

    fn next_of_equals(&mut self, at: &[u32], skip: impl Fn(u32) -> bool) -> Option<u32> {
        let start = self.position.checked_rem(at.len())?;
        let (before, from) = at.split_at_checked(start)?;
        let mut rotated = from.iter().chain(before).copied().enumerate();
        let (steps, chosen) = rotated.find(|(_, at)| !skip(*at))?;
        self.position = self.position.wrapping_add(steps + 1);
        Some(chosen)
    }

    fn set_back(&mut self) {
        let mut queue = std::mem::take(&mut self.queue).into_vec();
        for Reverse((due, _)) in &mut queue {
            *due = due.saturating_sub(self.now);
        }
        self.queue = queue.into();
        self.now = 0;
    }
}

fn member<E: AsRef<Member>>(members: &[Rc<E>], at: u32) -> Option<&Member> {
    members.get(at as usize).map(|member| (**member).as_ref())
}

fn stride(member: &Member) -> u64 {
    ROUND / u64::from(member.weight.get().max(1))
}
