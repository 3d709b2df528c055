//! What must hold for the guard, whatever a client sends: it never panics, it releases nothing that was not sent, in
//! its order, and it reads the same however the bytes are cut into packets.

use monoceros_engine::exchange::request_head::RequestHead;
use monoceros_engine::guard::{Guard, Progress, Refusal};
use monoceros_engine::pressure::limits::Limits;

/// What a guard made of a connection's bytes.
#[derive(Debug, Eq, PartialEq)]
pub struct Reading {
    /// How each message begins: method, target, number of fields.
    pub heads: Vec<(Vec<u8>, Vec<u8>, usize)>,
    /// Messages that were released whole.
    pub complete: usize,
    /// Why the rest was refused.
    pub refusal: Option<Refusal>,
    /// All heads and bodies, as one.
    pub released: Vec<u8>,
    /// Bytes that belong to them.
    pub taken: usize,
}

/// Checks all of it for one input.
pub fn check(input: &[u8]) {
    let whole = read(input, input.len().max(1));
    assert!(is_within(&whole.released, input), "released what was not sent");
    // The last piece's size comes from the input, so that a fuzzer can choose it.
    let chosen = usize::from(input.last().copied().unwrap_or_default()).max(1);
    for piece in [1, 2, 7, chosen] {
        compare(&read(input, piece), &whole, input, &format!("pieces of {piece}"));
    }
    let at = chosen.min(input.len());
    compare(&read_cut(input, at), &whole, input, &format!("two at {at}"));
}

/// Checks an input that is cut in two, at every place there is.
pub fn check_every_cut(input: &[u8]) {
    let whole = read(input, input.len().max(1));
    for at in 1..input.len() {
        compare(&read_cut(input, at), &whole, input, &format!("two at {at}"));
    }
}

fn compare(cut: &Reading, whole: &Reading, input: &[u8], how: &str) {
    assert!(is_within(&cut.released, input), "released what was not sent, in {how}");
    assert_eq!(cut.heads, whole.heads, "other heads in {how}");
    assert_eq!(cut.complete, whole.complete, "other messages in {how}");
    assert_eq!(cut.refusal.is_some(), whole.refusal.is_some(), "refused one way only in {how}");
    // Before a refusal, small pieces of a body may have gone through already.
    if whole.refusal.is_none() {
        assert_eq!(cut.released, whole.released, "released otherwise in {how}");
        assert_eq!(cut.taken, whole.taken, "took otherwise in {how}");
    }
}

/// Whether `part` is what is left of `whole` when something is left out of it.
fn is_within(part: &[u8], whole: &[u8]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|byte| rest.any(|other| other == byte))
}

/// Reads an input that arrives in pieces of one size.
pub fn read(input: &[u8], piece: usize) -> Reading {
    read_pieces(input.chunks(piece.max(1)))
}

fn read_cut(input: &[u8], at: usize) -> Reading {
    let (first, second) = input.split_at(at);
    read_pieces([first, second].into_iter())
}

fn read_pieces<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Reading {
    let limits = Limits::default();
    let mut reading =
        Reading { heads: Vec::new(), complete: 0, refusal: None, released: Vec::new(), taken: 0 };
    let mut guard = Guard::new();
    let (mut head, mut gate, mut waiting) = (RequestHead::default(), Vec::new(), Vec::new());
    for chunk in pieces {
        waiting.extend_from_slice(chunk);
        loop {
            match guard.advance(&waiting, &mut gate, &mut head, &limits) {
                Err(refusal) => {
                    reading.refusal = Some(refusal);
                    reading.released.append(&mut gate);
                    return reading;
                }
                Ok((taken, progress)) => {
                    if progress == Progress::Head {
                        let (method, target) = (head.method.of(&gate), head.target.of(&gate));
                        reading.heads.push((method.into(), target.into(), head.fields.len()));
                    }
                    reading.released.append(&mut gate);
                    waiting.drain(..taken);
                    reading.taken += taken;
                    if guard.is_complete() {
                        reading.complete += 1;
                        guard.start_next_message();
                    } else if taken == 0 || progress == Progress::More {
                        break;
                    }
                    if waiting.is_empty() {
                        break;
                    }
                }
            }
        }
    }
    reading.released.append(&mut gate);
    reading
}
