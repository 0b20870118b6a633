//! Moments as text, without a time zone but UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECONDS_OF_DAY: u64 = 86_400;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A moment in the calendar.
struct Calendar {
    year: u64,
    /// From 1.
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    micros: u32,
}

impl Calendar {
    /// A clock before 1970 is read as 1970.
    fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = since.as_secs();
        let (days, rest) = (seconds / SECONDS_OF_DAY, seconds % SECONDS_OF_DAY);
        // Years begin in March here, so that the leap day is the last one; eras have 400 years.
        let shifted = days + 719_468;
        let (era, of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * of_year + 2) / 153;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        Self {
            year: year_of_era + era * 400 + u64::from(month <= 2),
            month,
            day: of_year - (153 * shifted_month + 2) / 5 + 1,
            hour: rest / 3_600,
            minute: rest / 60 % 60,
            second: rest % 60,
            micros: since.subsec_micros(),
        }
    }
}

/// RFC 3339, with microseconds.
pub(crate) fn rfc3339(out: &mut Vec<u8>, time: SystemTime) {
    let at = Calendar::of(time);
    digits::<4>(out, at.year);
    for (before, value) in [
        (b'-', at.month),
        (b'-', at.day),
        (b'T', at.hour),
        (b':', at.minute),
        (b':', at.second),
    ] {
        out.push(before);
        digits::<2>(out, value);
    }
    out.push(b'.');
    digits::<6>(out, at.micros.into());
    out.push(b'Z');
}

/// As in the common log format: `01/Dec/2026:04:21:02 +0000`.
pub(crate) fn common(out: &mut Vec<u8>, time: SystemTime) {
    let at = Calendar::of(time);
    let month = usize::try_from(at.month)
        .ok()
        .and_then(|month| MONTHS.get(month - 1));
    digits::<2>(out, at.day);
    out.push(b'/');
    out.extend_from_slice(month.unwrap_or(&"???").as_bytes());
    out.push(b'/');
    digits::<4>(out, at.year);
    for value in [at.hour, at.minute, at.second] {
        out.push(b':');
        digits::<2>(out, value);
    }
    out.extend_from_slice(b" +0000");
}

/// Seconds with six digits behind the point.
pub(crate) fn seconds(out: &mut Vec<u8>, time: Duration) {
    out.extend_from_slice(itoa::Buffer::new().format(time.as_secs()).as_bytes());
    out.push(b'.');
    digits::<6>(out, time.subsec_micros().into());
}

/// The last `N` digits of a number, with zeros in front.
fn digits<const N: usize>(out: &mut Vec<u8>, value: u64) {
    let mut text = [b'0'; N];
    let mut rest = value;
    for digit in text.iter_mut().rev() {
        *digit += u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
    }
    out.extend_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(seconds: u64, micros: u64) -> [String; 2] {
        let time = UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(micros);
        [rfc3339, common].map(|write| {
            let mut out = Vec::new();
            write(&mut out, time);
            String::from_utf8(out).unwrap()
        })
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (seconds, micros, expect) in [
            (
                0,
                0,
                ["1970-01-01T00:00:00.000000Z", "01/Jan/1970:00:00:00 +0000"],
            ),
            (
                951_782_400,
                7,
                ["2000-02-29T00:00:00.000007Z", "29/Feb/2000:00:00:00 +0000"],
            ),
            (
                1_796_098_862,
                1,
                ["2026-12-01T04:21:02.000001Z", "01/Dec/2026:04:21:02 +0000"],
            ),
            (
                4_107_542_399,
                0,
                ["2100-02-28T23:59:59.000000Z", "28/Feb/2100:23:59:59 +0000"],
            ),
            (
                4_107_542_400,
                0,
                ["2100-03-01T00:00:00.000000Z", "01/Mar/2100:00:00:00 +0000"],
            ),
        ] {
            assert_eq!(both(seconds, micros), expect, "{seconds}");
        }
    }

    #[test]
    fn durations_are_seconds_with_microseconds() {
        for (time, expect) in [
            (Duration::ZERO, "0.000000"),
            (Duration::from_nanos(1_234_567), "0.001234"),
            (Duration::from_millis(61_020), "61.020000"),
        ] {
            let mut out = Vec::new();
            seconds(&mut out, time);
            assert_eq!(String::from_utf8(out).unwrap(), expect);
        }
    }
}
