//! The chunked transfer coding (RFC 9112, 7.1), one piece at a time.
//!
//! ```text
//!  5;ext=1 CRLF hello CRLF   0 CRLF   trailer: x CRLF   CRLF
//!  Size Extension Data  DataCr  …     Trailer           End
//! ```
//!
//! Line ends are CRLF and nothing else: what is lax here is how responses are smuggled.

use std::mem::MaybeUninit;

/// Bytes of chunk extensions that one body may have: they carry nothing that anybody reads.
const MOST_EXTENSIONS: u32 = 16 << 10;
/// Bytes of trailers that one body may have.
const MOST_TRAILERS: usize = 16 << 10;
/// Trailers that one body may have.
pub(super) const MOST_FIELDS: usize = 100;

#[derive(Debug)]
pub(super) struct Chunked {
    state: State,
    /// The size that is being read, then what is left of the chunk.
    left: u64,
    extensions: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first digit.
    Start,
    Size,
    /// After the digits: blanks, until an extension or the end of the line.
    Blank,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the start of a line after the last chunk.
    Line,
    Trailer,
    TrailerLf,
    EndLf,
    Done,
}

/// What the next bytes were.
pub(super) struct Piece<'b> {
    /// Bytes that were taken.
    pub(super) used: usize,
    /// Those of them that belong to the body.
    pub(super) data: &'b [u8],
    /// That was all of it.
    pub(super) done: bool,
}

// === Chunked ===

impl Chunked {
    pub(super) fn new() -> Self {
        Self { state: State::Start, left: 0, extensions: 0 }
    }

    /// Takes framing up to the next data, or one run of data, or up to the end. `trailers` holds unfinished lines.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn next<'b>(&mut self, bytes: &'b [u8], trailers: &mut Vec<u8>) -> Result<Piece<'b>, &'static str> {
        if self.state == State::Data {
            let take = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= take as u64;
            if self.left == 0 {
                self.state = State::DataCr;
            }
            return Ok(Piece { used: take, data: &bytes[..take], done: false });
        }
        let mut used = 0;
        while used < bytes.len() && self.state != State::Data && self.state != State::Done {
            self.state = self.step(bytes[used], trailers)?;
            used += 1;
        }
        Ok(Piece { used, data: &[], done: self.state == State::Done })
    }

    fn step(&mut self, byte: u8, trailers: &mut Vec<u8>) -> Result<State, &'static str> {
        Ok(match (self.state, byte) {
            (State::Start | State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                let size = self.left.checked_mul(16).and_then(|size| size.checked_add(u64::from(digit)));
                self.left = size.ok_or("a chunk size that is too large")?;
                State::Size
            }
            (State::Start, _) => return Err("a chunk without a size"),
            (State::Size | State::Blank, b' ' | b'\t') => State::Blank,
            (State::Size | State::Blank, b';') => State::Extension,
            (State::Size | State::Blank | State::Extension, b'\r') => State::SizeLf,
            (State::Size | State::Blank, _) => return Err("a chunk size that is no number"),
            (State::Extension, b'\n') => return Err("a chunk extension with a bare line feed"),
            (State::Extension, _) => {
                self.extensions += 1;
                if self.extensions >= MOST_EXTENSIONS {
                    return Err("chunk extensions that are too long");
                }
                State::Extension
            }
            (State::SizeLf, b'\n') if self.left == 0 => State::Line,
            (State::SizeLf, b'\n') => State::Data,
            (State::SizeLf, _) => return Err("a chunk size without a line end"),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Start,
            (State::DataCr | State::DataLf, _) => return Err("a chunk that is longer than its size"),
            (State::Line, b'\r') => State::EndLf,
            (State::Line | State::Trailer, _) => {
                if trailers.len() >= MOST_TRAILERS {
                    return Err("trailers that are too long");
                }
                trailers.push(byte);
                if byte == b'\r' { State::TrailerLf } else { State::Trailer }
            }
            (State::TrailerLf, b'\n') => {
                trailers.push(byte);
                State::Line
            }
            (State::EndLf, b'\n') => {
                check_trailers(trailers)?;
                State::Done
            }
            (State::TrailerLf | State::EndLf, _) => return Err("a trailer without a line end"),
            (State::Data | State::Done, _) => self.state,
        })
    }
}

/// Trailers are nobody's here, but they must be header lines.
fn check_trailers(trailers: &mut Vec<u8>) -> Result<(), &'static str> {
    if trailers.is_empty() {
        return Ok(());
    }
    trailers.extend_from_slice(b"\r\n");
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    match httparse::parse_headers(trailers, &mut fields) {
        Ok(httparse::Status::Complete(_)) => Ok(()),
        Ok(httparse::Status::Partial) => Err("a trailer that is no header line"),
        Err(httparse::Error::TooManyHeaders) => Err("too many trailers"),
        Err(_) => Err("a trailer that is no header line"),
    }
}

/// Room for header lines on the stack, which costs nothing before they are there.
pub(super) fn room<'b>() -> [MaybeUninit<httparse::Header<'b>>; MOST_FIELDS] {
    [const { MaybeUninit::uninit() }; MOST_FIELDS]
}
