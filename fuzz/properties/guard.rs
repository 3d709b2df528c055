//! Properties of the guard, for any input. It never panics. Its output has only bytes that were
//! sent, in the same order. The result does not depend on how the bytes are split into packets.

use monoceros_engine::exchange::request_head::RequestHead;
use monoceros_engine::guard::{Guard, Progress, Refusal};
use monoceros_engine::pressure::limits::Limits;

/// Result of parsing the bytes of a connection.
#[derive(Debug, Eq, PartialEq)]
pub struct Reading {
    /// Method, target and number of fields of each message.
    pub heads: Vec<(Vec<u8>, Vec<u8>, usize)>,
    /// Number of complete messages.
    pub complete: usize,
    /// Reason for which the rest was refused.
    pub refusal: Option<Refusal>,
    /// All heads and bodies.
    pub output: Vec<u8>,
    /// Number of input bytes used.
    pub taken: usize,
}

/// Checks all properties for one input.
pub fn check(input: &[u8]) {
    let whole = read(input, input.len().max(1));
    assert!(is_subsequence(&whole.output, input), "has bytes that were not sent");
    // The last size comes from the input, so that the fuzzer can choose it.
    let chosen = usize::from(input.last().copied().unwrap_or_default()).max(1);
    for piece in [1, 2, 7, chosen] {
        assert_same(&read(input, piece), &whole, input, &format!("pieces of {piece}"));
    }
    let at = chosen.min(input.len());
    assert_same(&read_cut(input, at), &whole, input, &format!("two at {at}"));
}

/// Checks an input that is split in two, at every position.
pub fn check_every_cut(input: &[u8]) {
    let whole = read(input, input.len().max(1));
    for at in 1..input.len() {
        assert_same(&read_cut(input, at), &whole, input, &format!("two at {at}"));
    }
}

fn assert_same(cut: &Reading, whole: &Reading, input: &[u8], how: &str) {
    assert!(is_subsequence(&cut.output, input), "has bytes that were not sent, in {how}");
    assert_eq!(cut.heads, whole.heads, "different heads in {how}");
    assert_eq!(cut.complete, whole.complete, "different messages in {how}");
    assert_eq!(cut.refusal.is_some(), whole.refusal.is_some(), "refused in one way only, in {how}");
    // Before a refusal, small chunks of a body may already have been passed on.
    if whole.refusal.is_none() {
        assert_eq!(cut.output, whole.output, "different output in {how}");
        assert_eq!(cut.taken, whole.taken, "different number of bytes in {how}");
    }
}

/// Returns whether `part` is a subsequence of `whole`.
fn is_subsequence(part: &[u8], whole: &[u8]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|byte| rest.any(|other| other == byte))
}

/// Parses an input that arrives in chunks of one size.
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
        Reading { heads: Vec::new(), complete: 0, refusal: None, output: Vec::new(), taken: 0 };
    let mut guard = Guard::new();
    let (mut head, mut output, mut pending) = (RequestHead::default(), Vec::new(), Vec::new());
    for chunk in pieces {
        pending.extend_from_slice(chunk);
        loop {
            match guard.advance(&pending, &mut output, &mut head, &limits) {
                Err(refusal) => {
                    reading.refusal = Some(refusal);
                    reading.output.append(&mut output);
                    return reading;
                }
                Ok((taken, progress)) => {
                    if progress == Progress::Head {
                        let (method, target) = (head.method.of(&output), head.target.of(&output));
                        reading.heads.push((method.into(), target.into(), head.fields.len()));
                    }
                    reading.output.append(&mut output);
                    pending.drain(..taken);
                    reading.taken += taken;
                    if guard.is_complete() {
                        reading.complete += 1;
                        guard.start_next_message();
                    } else if taken == 0 || progress == Progress::More {
                        break;
                    }
                    if pending.is_empty() {
                        break;
                    }
                }
            }
        }
    }
    reading.output.append(&mut output);
    reading
}
