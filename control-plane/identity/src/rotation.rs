//! When authorities are made, used and dropped. Pure: the clock is an input.
//!
//! An authority is known by the time of its making, in seconds since 1970. It is announced before it
//! signs, and stays known until the last certificate of it has ended:
//!
//! ```text
//! old   |-- signs ------------------------------|.. known ..|
//! new                         |-- announced ----|-- signs ------------
//! ```

use std::{collections::BTreeSet, time::Duration};

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// The times of a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// How long an authority is valid. Default 365 days.
    pub authority_life: Duration,
    /// The age at which the next one is made. Default 240 days.
    pub authority_renewal: Duration,
    /// How long the next one is known before it signs, so that every agent has read of it. Default 1
    /// day.
    pub announcement: Duration,
    /// How long a certificate is valid; it is renewed at two thirds of that. Default 1 day.
    pub certificate_life: Duration,
    /// How far clocks may differ. Default 1 hour.
    pub clock_skew: Duration,
}

impl Default for Rotation {
    fn default() -> Self {
        Self {
            authority_life: Duration::from_secs(365 * DAY),
            authority_renewal: Duration::from_secs(240 * DAY),
            announcement: Duration::from_secs(DAY),
            certificate_life: Duration::from_secs(DAY),
            clock_skew: Duration::from_secs(HOUR),
        }
    }
}

/// What to do about the authorities that there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Whether a new one is due.
    pub make: bool,
    /// Those of no use any more.
    pub drop: BTreeSet<i64>,
    /// The one that signs; `None` until there is one.
    pub signer: Option<i64>,
}

impl Rotation {
    /// The plan for authorities made at the times `made`, at the time `now`.
    pub fn plan(&self, made: &BTreeSet<i64>, now: i64) -> Plan {
        let ended = |made: i64| now >= after(made, self.authority_life);
        let alive: Vec<i64> = made.iter().copied().filter(|made| !ended(*made)).collect();
        let signs = |made: &i64| after(*made, self.announcement) <= now;
        // The first one ever signs at once: nobody trusts anything yet.
        let signer = alive.iter().rfind(|made| signs(made)).or(alive.first());
        let mut drop: BTreeSet<i64> = made.iter().copied().filter(|made| ended(*made)).collect();
        for pair in alive.windows(2) {
            let [old, new] = pair else { continue };
            let last_certificate = after(*new, self.announcement);
            let overlap = self.certificate_life + self.clock_skew;
            if now >= after(last_certificate, overlap) {
                drop.insert(*old);
            }
        }
        let newest = alive.last();
        Plan {
            make: newest.is_none_or(|made| now >= after(*made, self.authority_renewal)),
            drop,
            signer: signer.copied(),
        }
    }

    /// When a certificate issued at `issued` is renewed.
    pub fn renewal(&self, issued: i64) -> i64 {
        after(issued, self.certificate_life * 2 / 3)
    }
}

/// `time` and so much later, in whole seconds.
pub(crate) fn after(time: i64, duration: Duration) -> i64 {
    time.saturating_add(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: i64 = 86_400;

    fn plan(made: &[i64], now: i64) -> (bool, Vec<i64>, Option<i64>) {
        let made = made.iter().map(|day| day * D).collect();
        let plan = Rotation::default().plan(&made, now);
        let dropped = plan.drop.into_iter().map(|made| made / D).collect();
        (plan.make, dropped, plan.signer.map(|made| made / D))
    }

    #[test]
    fn the_first_authority_signs_at_once() {
        assert_eq!(plan(&[], 0), (true, vec![], None));
        assert_eq!(plan(&[0], 0), (false, vec![], Some(0)));
        assert_eq!(plan(&[5], 0), (false, vec![], Some(5)), "a clock set back");
    }

    #[test]
    fn the_next_one_is_announced_before_it_signs_and_the_old_one_stays_known() {
        assert_eq!(plan(&[0], 240 * D - 1), (false, vec![], Some(0)));
        assert_eq!(plan(&[0], 240 * D), (true, vec![], Some(0)));
        assert_eq!(plan(&[0, 240], 241 * D - 1), (false, vec![], Some(0)));
        assert_eq!(plan(&[0, 240], 241 * D), (false, vec![], Some(240)));
        assert_eq!(plan(&[0, 240], 242 * D), (false, vec![], Some(240)));
        assert_eq!(
            plan(&[0, 240], 242 * D + 3_600),
            (false, vec![0], Some(240))
        );
    }

    #[test]
    fn after_a_long_sleep_there_is_a_usable_one_again() {
        assert_eq!(plan(&[0], 365 * D), (true, vec![0], None));
        assert_eq!(plan(&[0, 240], 500 * D), (true, vec![0], Some(240)));
        assert_eq!(plan(&[0, 500], 500 * D), (false, vec![0], Some(500)));
    }

    /// Walks through three years by the hour: no certificate in use is ever of an authority that was
    /// not known for the announcement's time, or that is not known any more.
    #[test]
    fn no_certificate_is_ever_of_an_unknown_authority() {
        let rotation = Rotation::default();
        let mut made = BTreeSet::new();
        let mut issued: Vec<(i64, i64)> = Vec::new();
        for now in (0..3 * 365 * D).step_by(3_600) {
            let plan = rotation.plan(&made, now);
            made.retain(|made| !plan.drop.contains(made));
            if plan.make {
                made.insert(now);
            }
            let signer = rotation.plan(&made, now).signer.unwrap();
            assert!(signer == 0 || now - signer >= D);
            issued.push((now, signer));
            issued.retain(|(at, _)| now < at + D);
            assert!(issued.iter().all(|(_, signer)| made.contains(signer)));
            assert!(made.len() <= 2);
        }
    }
}
