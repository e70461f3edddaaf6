//! A body as it comes: counted, and kept only if somebody wants it.

use bytes::{Bytes, BytesMut};

/// What is announced need not come: no more than this many bytes are reserved for it.
const MOST_RESERVED: u64 = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Gather {
    keep: bool,
    announced: u64,
    length: u64,
    /// Most bodies come in one piece, which is kept as it is.
    first: Bytes,
    all: BytesMut,
}

// === Gather ===

impl Gather {
    pub(super) fn new(keep: bool, announced: Option<u64>) -> Self {
        Self { keep, announced: announced.unwrap_or(0), ..Self::default() }
    }

    pub(super) fn push(&mut self, chunk: Bytes) {
        let is_first = self.length == 0;
        self.length += chunk.len() as u64;
        match (self.keep, is_first) {
            (false, _) => {}
            (true, true) => self.first = chunk,
            (true, false) => {
                if self.all.is_empty() {
                    self.all.reserve(self.announced.min(MOST_RESERVED) as usize);
                    self.all.extend_from_slice(&std::mem::take(&mut self.first));
                }
                self.all.extend_from_slice(&chunk);
            }
        }
    }

    /// Bytes so far, kept or not.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// What was kept.
    pub(super) fn finish(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_a_whole() {
        for pieces in [vec![], vec!["one"], vec!["", "one"], vec!["one", "", " two", " three"]] {
            for (keep, whole) in [(true, pieces.concat()), (false, String::new())] {
                // A length that was announced falsely changes nothing.
                let mut gather = Gather::new(keep, Some(u64::MAX));
                pieces.iter().for_each(|piece| gather.push(Bytes::from_static(piece.as_bytes())));
                assert_eq!((gather.length(), gather.finish()), (pieces.concat().len() as u64, Bytes::from(whole)));
            }
        }
    }
}
