//! CRC32c (RFC 9260 appendix A), which a sender of version 2 may put into a TLV.

/// The polynomial, its bits reversed.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// The checksum of all parts, one behind the other. Headers are short and rarely have one, so a bit at a
/// time will do.
pub(super) fn crc32c<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let mut crc = u32::MAX;
    for byte in parts.into_iter().flatten() {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = crc & 1;
            crc = (crc >> 1) ^ (POLYNOMIAL * carry);
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_checksums() {
        // RFC 3720 section B.4, and the usual check value.
        assert_eq!(crc32c([&[0; 32][..]]), 0x8A91_36AA);
        assert_eq!(crc32c([&[0xFF; 32][..]]), 0x62A8_AB43);
        assert_eq!(crc32c([&b"12345"[..], b"6789"]), 0xE306_9283);
    }
}
