//! Choices that a fuzzer makes: bytes read one by one.

/// Bytes as choices. After the last byte every choice is the first.
#[derive(Debug)]
pub struct Choices<'b> {
    bytes: &'b [u8],
}

impl<'b> Choices<'b> {
    /// The choices that bytes stand for.
    pub fn new(bytes: &'b [u8]) -> Self {
        Self { bytes }
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// A number below `limit`, at most 256.
    pub fn below(&mut self, limit: usize) -> usize {
        let Some((first, rest)) = self.bytes.split_first() else {
            return 0;
        };
        self.bytes = rest;
        usize::from(*first) % limit.max(1)
    }

    /// One of `options`.
    ///
    /// # Panics
    ///
    /// When there are none.
    pub fn one<T: Copy>(&mut self, options: &[T]) -> T {
        let index = self.below(options.len());
        *options.get(index).expect("there are options")
    }

    /// At most `limit` values.
    pub fn some<T>(&mut self, limit: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(limit + 1)).map(|_| make(self)).collect()
    }

    /// Text of at most fifteen bytes, whatever they are.
    pub fn text(&mut self) -> String {
        let length = self.below(16).min(self.bytes.len());
        let (text, rest) = self.bytes.split_at(length);
        self.bytes = rest;
        String::from_utf8_lossy(text).into_owned()
    }
}
