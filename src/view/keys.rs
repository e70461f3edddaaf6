//! The keys of the terminal, read from standard input.
//!
//! crossterm's reader never returns once the terminal has hung up: it takes the end of its input and `EIO` for "not yet", and asks
//! again without a wait. So the input is read here: a terminal that is gone is an answer of its own.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// What somebody pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Char(char),
    CtrlC,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    /// One that means nothing here.
    Other,
}

/// What came within a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// None, if nobody pressed one.
    Keys(Vec<Key>),
    /// The terminal has hung up: nothing will come any more.
    Gone,
}

/// Reads keys. A sequence that is cut by the end of a read is kept for the next one.
#[derive(Debug, Default)]
pub struct Keyboard {
    started: Vec<u8>,
}

const ESCAPE: u8 = 0x1b;
/// No key sends a longer sequence.
const LONGEST: usize = 32;

impl Keyboard {
    /// What comes from standard input within `wait`.
    pub fn read(&mut self, wait: Duration) -> Input {
        self.read_from(io::stdin().as_fd(), wait)
    }

    fn read_from(&mut self, terminal: BorrowedFd<'_>, wait: Duration) -> Input {
        let limit = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
        match poll(&mut [PollFd::from_borrowed_fd(terminal, PollFlags::IN)], Some(&limit)) {
            Ok(0) => {
                // Nothing follows: it was the key Escape alone.
                let alone = !std::mem::take(&mut self.started).is_empty();
                return Input::Keys(if alone { vec![Key::Other] } else { Vec::new() });
            }
            Ok(_) => {}
            Err(Errno::INTR) => return Input::Keys(Vec::new()),
            Err(_) => return Input::Gone,
        }
        let mut bytes = [0; 256];
        match rustix::io::read(terminal, &mut bytes) {
            Ok(0) => Input::Gone,
            Ok(count) => Input::Keys(self.parse(&bytes[..count])),
            Err(Errno::INTR | Errno::AGAIN) => Input::Keys(Vec::new()),
            Err(_) => Input::Gone,
        }
    }

    fn parse(&mut self, bytes: &[u8]) -> Vec<Key> {
        let mut all = std::mem::take(&mut self.started);
        all.extend_from_slice(bytes);
        let (mut rest, mut keys) = (&all[..], Vec::new());
        while let [first, ..] = rest {
            let length = match sequence(rest) {
                Some(length) => length,
                None if rest.len() < LONGEST => {
                    self.started = rest.to_vec();
                    break;
                }
                None => rest.len(),
            };
            let (one, others) = rest.split_at(length);
            keys.push(match (first, one) {
                (0x03, _) => Key::CtrlC,
                (&ESCAPE, one) => named(one),
                (0x20..0x7f, _) => Key::Char(char::from(*first)),
                _ => Key::Other,
            });
            rest = others;
        }
        keys
    }
}

/// How many bytes the first key has; `None` if its last one is still to come.
fn sequence(bytes: &[u8]) -> Option<usize> {
    match bytes {
        // CSI: parameters, then a last byte.
        [ESCAPE, b'[', rest @ ..] => rest.iter().position(|byte| (0x40..0x7f).contains(byte)).map(|at| at + 3),
        [ESCAPE, b'O', _, ..] => Some(3),
        [ESCAPE] | [ESCAPE, b'O'] => None,
        // Alt and a key, or Escape and another one.
        [ESCAPE, ..] => Some(2),
        // A character beyond ASCII is one key.
        [first @ 0xc0..=0xff, rest @ ..] => {
            let more = first.leading_ones().saturating_sub(1) as usize;
            (rest.len() >= more).then_some(1 + more)
        }
        _ => Some(1),
    }
}

/// `CSI A`, `SS3 A`, and with modifiers `CSI 1;5A`.
fn named(sequence: &[u8]) -> Key {
    match sequence {
        [_, b'[' | b'O', .., b'A'] => Key::Up,
        [_, b'[' | b'O', .., b'B'] => Key::Down,
        [_, b'[' | b'O', .., b'H'] | [_, b'[', b'1' | b'7', .., b'~'] => Key::Home,
        [_, b'[' | b'O', .., b'F'] | [_, b'[', b'4' | b'8', .., b'~'] => Key::End,
        [_, b'[', b'5', .., b'~'] => Key::PageUp,
        [_, b'[', b'6', .., b'~'] => Key::PageDown,
        _ => Key::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_what_terminals_send_for_them() {
        use Key::{Char, CtrlC, Down, End, Home, Other, PageDown, PageUp, Up};
        let table: &[(&[u8], &[Key])] = &[
            (b"wS?", &[Char('w'), Char('S'), Char('?')]),
            (b"\x03q", &[CtrlC, Char('q')]),
            (b"\x1b[A\x1b[B\x1bOA\x1bOB", &[Up, Down, Up, Down]),
            (b"\x1b[1;5A", &[Up]),
            (b"\x1b[5~\x1b[6~", &[PageUp, PageDown]),
            (b"\x1b[H\x1b[1~\x1b[7~\x1bOH", &[Home; 4]),
            (b"\x1b[F\x1b[4~\x1b[8~\x1bOF", &[End; 4]),
            // Of none of these the last letter is a key.
            (b"\x1b[Zp", &[Other, Char('p')]),
            (b"\x1bq", &[Other]),
            ("ü".as_bytes(), &[Other]),
            (b"\r\x7f\x01", &[Other; 3]),
        ];
        for (bytes, keys) in table {
            assert_eq!(Keyboard::default().parse(bytes), *keys, "{bytes:?}");
            // However the reads cut them.
            let mut keyboard = Keyboard::default();
            let single: Vec<Key> = bytes.iter().flat_map(|byte| keyboard.parse(&[*byte])).collect();
            assert_eq!(single, *keys, "{bytes:?}, a byte at a time");
        }
        let mut keyboard = Keyboard::default();
        assert_eq!(keyboard.parse(&[b"\x1b[".as_slice(), &[b'1'; LONGEST]].concat()), [Other], "a sequence without an end ends");
    }

    #[test]
    fn an_input_that_is_over_is_gone_and_escape_is_a_key() {
        let (reader, writer) = io::pipe().unwrap();
        let (mut keyboard, wait) = (Keyboard::default(), Duration::from_millis(1));
        let mut read = || keyboard.read_from(reader.as_fd(), wait);
        assert_eq!(read(), Input::Keys(Vec::new()));
        rustix::io::write(&writer, b"\x1b").unwrap();
        assert_eq!([read(), read(), read()], [Vec::new(), vec![Key::Other], Vec::new()].map(Input::Keys));
        drop(writer);
        assert_eq!([read(), read()], [Input::Gone, Input::Gone]);
    }
}
