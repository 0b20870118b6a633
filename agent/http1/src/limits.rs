//! What a message may take.

/// Limits of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes from the first of the start line to the empty line.
    pub bytes: usize,
    /// Field lines.
    pub fields: usize,
}

/// Limits of what surrounds the content of a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// Bytes of a line with a chunk's size and extensions.
    pub chunk_line: usize,
    /// Bytes of all chunk extensions of a body: they are ignored, so there is no reason for many.
    pub extensions: usize,
    /// Limits of the trailer section.
    pub trailers: HeadLimits,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            bytes: 60 * 1024,
            fields: 100,
        }
    }
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            chunk_line: 256,
            extensions: 16 * 1024,
            trailers: HeadLimits {
                bytes: 16 * 1024,
                fields: 100,
            },
        }
    }
}
