//! Properties of the scan of HTTP/2 frames, for any bytes of a client. The result does not depend
//! on how the bytes are split into packets, and a second decoder finds the same incomplete frame.

use monoceros_engine::fuzzing::{Flood, FrameScanner};
use monoceros_engine::pressure::settings::Settings;

/// What the scanner knows after the input: whether a header block is open, the stream of an
/// incomplete DATA frame, and whether settings were acknowledged.
type Scan = Result<(bool, Option<u32>, bool), Flood>;

/// Checks one input.
pub fn check(input: &[u8]) {
    let whole = scan(input, input.len().max(1));
    // The last size comes from the input, so that the fuzzer can choose it.
    let chosen = usize::from(input.last().copied().unwrap_or_default()).max(1);
    for piece in [1, 2, 7, chosen] {
        assert_eq!(scan(input, piece), whole, "pieces of {piece}");
    }
    if let Ok((_, stream, _)) = whole {
        assert_eq!(stream, open_data_stream(input));
    }
}

fn scan(input: &[u8], piece: usize) -> Scan {
    let settings = Settings { http2_max_idle_frames: 20, ..Settings::default() };
    let mut scanner = FrameScanner::default();
    for chunk in input.chunks(piece) {
        scanner.scan(chunk, 0, &settings)?;
    }
    let (is_open, stream) = (scanner.is_in_header_block(), scanner.current_data_stream());
    Ok((is_open, stream, scanner.take_settings_ack()))
}

/// Returns the stream of a DATA frame at the end whose payload is incomplete (RFC 9113 section
/// 4.1).
fn open_data_stream(input: &[u8]) -> Option<u32> {
    let mut rest = input.get(PREFACE_BYTES..)?;
    while let Some(&[a, b, c, kind, _, d, e, f, g]) = rest.first_chunk::<9>() {
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let Some(next) = rest.get(9 + length..) else {
            return (kind == 0).then_some(u32::from_be_bytes([d, e, f, g]) & 0x7fff_ffff);
        };
        rest = next;
    }
    None
}

const PREFACE_BYTES: usize = 24;
