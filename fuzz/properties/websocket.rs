//! Properties of the search for WebSocket frames, for any bytes that an application writes. The
//! boundaries do not depend on how the bytes are split into writes, and a second decoder finds the
//! same.

use monoceros_engine::fuzzing::WebSocketFrames;

/// Checks one input.
pub fn check(input: &[u8]) {
    let expected = decode(input);
    // The last size comes from the input, so that the fuzzer can choose it.
    let chosen = usize::from(input.last().copied().unwrap_or_default()).max(1);
    for piece in [1, 2, 7, chosen, input.len().max(1)] {
        assert_eq!(read(input, piece), expected, "pieces of {piece}");
    }
}

/// Returns the ends of the frames, and whether the header of a close frame is complete.
fn read(input: &[u8], piece: usize) -> (Vec<usize>, bool) {
    let (mut frames, mut ends, mut at) = (WebSocketFrames::default(), Vec::new(), 0);
    for mut part in input.chunks(piece) {
        while !part.is_empty() {
            // From a boundary, the first byte begins a frame.
            let first = frames.advance(&part[..1], false);
            assert_eq!(first, 1, "a byte is left out");
            let count = first + frames.advance(&part[first..], true);
            at += count;
            part = &part[count..];
            assert!(part.is_empty() || frames.is_at_boundary(), "stopped inside a frame");
            if frames.is_at_boundary() {
                ends.push(at);
            }
        }
    }
    (ends, frames.is_closed())
}

/// Decodes all frames at once (RFC 6455 section 5.2).
fn decode(input: &[u8]) -> (Vec<usize>, bool) {
    let (mut ends, mut at, mut is_closed) = (Vec::new(), 0_usize, false);
    while let Some(&[first, second]) = input.get(at..).and_then(|rest| rest.first_chunk::<2>()) {
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let payload = at + 2 + extended + if second & 0x80 == 0 { 0 } else { 4 };
        if payload > input.len() {
            break;
        }
        is_closed |= first & 0x0f == 8;
        let length = match extended {
            0 => u64::from(second & 0x7f),
            _ => input[at + 2..at + 2 + extended]
                .iter()
                .fold(0, |length, &byte| length << 8 | u64::from(byte)),
        };
        if length > (input.len() - payload) as u64 {
            break;
        }
        at = payload + length as usize;
        ends.push(at);
    }
    (ends, is_closed)
}
