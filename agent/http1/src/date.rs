//! Moments as HTTP writes them (RFC 9110 section 5.6.7).

use std::time::{Duration, UNIX_EPOCH};

use http::header::HeaderValue;

/// The last second of the year 9999, after which HTTP has no dates.
const LAST: u64 = 253_402_300_799;

/// The value of `Date` so many seconds after the beginning of 1970.
#[must_use]
pub fn date(seconds: u64) -> HeaderValue {
    let moment = UNIX_EPOCH + Duration::from_secs(seconds.min(LAST));
    // Digits, letters and blanks are valid in a value.
    HeaderValue::try_from(httpdate::fmt_http_date(moment)).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_the_specification_does() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(date(seconds), text);
        }
    }
}
