//! How many bytes a `_bulk` request may have: halved when one fails, doubled again while they succeed. Pure.

/// Not below this: smaller requests only cost more.
const BYTES_MIN: usize = 16 << 10;

/// The size of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    now: usize,
    max: usize,
}

impl Size {
    pub fn new(max: usize) -> Size {
        let max = max.max(BYTES_MIN);
        Size { now: max, max }
    }

    pub fn bytes(self) -> usize {
        self.now
    }

    /// A request of this many bytes got its answer.
    pub fn went_well(&mut self, bytes: usize) {
        // A small request proves nothing about larger ones.
        if bytes >= self.now / 2 {
            self.now = (self.now * 2).min(self.max);
        }
    }

    /// The server was busy or silent.
    pub fn halve(&mut self) {
        self.now = (self.now / 2).max(BYTES_MIN);
    }

    /// The server takes no request of this many bytes, and never will.
    pub fn too_large(&mut self, bytes: usize) {
        self.max = (bytes / 2).clamp(BYTES_MIN, self.max);
        self.now = self.now.min(self.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_follows_what_becomes_of_the_requests() {
        let mut size = Size::new(1 << 20);
        size.halve();
        size.halve();
        assert_eq!(size.bytes(), 256 << 10);
        size.went_well(1000);
        assert_eq!(size.bytes(), 256 << 10, "a small one proves nothing");
        size.went_well(200 << 10);
        assert_eq!(size.bytes(), 512 << 10);
        size.too_large(500 << 10);
        assert_eq!(size.bytes(), 250 << 10);
        (0..5).for_each(|_| size.went_well(size.bytes()));
        assert_eq!(size.bytes(), 250 << 10, "what was too large once is not tried again");
        (0..50).for_each(|_| size.halve());
        assert_eq!(size.bytes(), BYTES_MIN);
    }
}
