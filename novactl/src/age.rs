//! Spans of time as kubectl prints them.

use k8s_openapi::jiff::Timestamp;

/// What stands where a time is not known.
pub const UNKNOWN: &str = "<unknown>";

/// How long ago `then` was: `42s`, `5m10s`, `3h`, `2d4h`. A time to come is `0s`.
pub fn since(then: Timestamp, now: Timestamp) -> String {
    human(now.as_second().saturating_sub(then.as_second()))
}

/// The same for milliseconds since 1970; 0 is no time.
pub fn since_ms(then_ms: i64, now: Timestamp) -> String {
    match Timestamp::from_millisecond(then_ms) {
        Ok(then) if then_ms != 0 => since(then, now),
        _ => UNKNOWN.to_owned(),
    }
}

/// A span of seconds with two units at most, the second one only while the first is small.
fn human(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => pair(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => pair(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => pair(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => pair(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

fn pair(first: i64, unit: &str, second: i64, small: &str) -> String {
    if second == 0 {
        format!("{first}{unit}")
    } else {
        format!("{first}{unit}{second}{small}")
    }
}

#[cfg(test)]
mod tests {
    use super::{human, since_ms};
    use k8s_openapi::jiff::Timestamp;

    #[test]
    fn spans_have_the_units_that_kubectl_prints() {
        let check = |seconds: i64, expect: &str| assert_eq!(human(seconds), expect, "{seconds}");
        check(-5, "0s");
        check(119, "119s");
        check(120, "2m");
        check(310, "5m10s");
        check(3_600, "60m");
        check(11_100, "3h5m");
        check(36_000, "10h");
        check(187_200, "2d4h");
        check(864_000, "10d");
        check(70_000_000, "2y80d");
        check(300_000_000, "9y");
    }

    #[test]
    fn no_time_is_unknown() {
        let now = Timestamp::from_second(100).expect("a time");
        assert_eq!(since_ms(0, now), "<unknown>");
        assert_eq!(since_ms(40_000, now), "60s");
    }
}
