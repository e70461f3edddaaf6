//! The door for the fuzz target in `fuzz/`, which also a test goes through.

use super::super::Response;
use super::response::{Asked, LONGEST_HEAD, Parser, Progress, Wants, Wrong};

/// A body limit that inputs can reach.
const MAX_BODY: u64 = 4096;

/// What is compared: the status, the body, and how it ended.
type Outcome = (Option<u16>, Vec<u8>, Result<(), Wrong>);

/// Parses what follows the first two bytes in one piece and in many. The first byte chooses the request, the second how large
/// the pieces are.
///
/// # Panics
/// The results differ, or more was kept than may be.
pub fn response(data: &[u8]) {
    let [choice, step, bytes @ ..] = data else { return };
    let asked = Asked {
        is_head: choice & 1 != 0,
        is_connect: choice & 2 != 0,
        wants: Wants { always: choice & 4 != 0, cookies: choice & 8 != 0, redirects: choice & 16 != 0 },
        keep_body: choice & 32 != 0,
        max_body: MAX_BODY,
    };
    let whole = parse(asked, bytes.chunks(usize::MAX));
    assert_eq!(parse(asked, bytes.chunks(usize::from(*step) + 1)), whole, "in steps of {}", usize::from(*step) + 1);
    assert_eq!(parse(asked, bytes.chunks(1)), whole, "byte by byte");
}

fn parse<'b>(asked: Asked, pieces: impl Iterator<Item = &'b [u8]>) -> Outcome {
    let mut parser = Parser::new(asked);
    let mut ended = None;
    for piece in pieces {
        match parser.feed(piece) {
            Ok(Progress::More) => assert!(parser.held() <= LONGEST_HEAD),
            Ok(Progress::Done { unused }) => {
                assert!(unused <= piece.len());
                ended = Some(Ok(()));
            }
            Err(wrong) => ended = Some(Err(wrong)),
        }
        if ended.is_some() {
            break;
        }
    }
    let ended = ended.unwrap_or_else(|| parser.end());
    let status = parser.head().map(|head| head.status);
    let mut response = Response::default();
    parser.finish(&mut response);
    let mut body = response.body.unwrap_or_default().to_vec();
    assert!(body.len() as u64 <= MAX_BODY);
    if ended == Err(Wrong::TooLarge) {
        // How much of it was taken depends on the piece that was too much.
        body.clear();
    }
    (status, body, ended)
}
