//! Finds the frame boundaries in the bytes that an application writes to a WebSocket (RFC 6455
//! section 5.2), so that the engine can send a close frame between two frames. Payloads are not
//! inspected. Fragmented and compressed messages need no special care, because a control frame may
//! be between fragments (section 5.4).

/// Position in the stream of frames that an application sends.
#[derive(Default)]
pub struct WebSocketFrames {
    /// Header of the current frame. Its first `header_len` bytes have arrived.
    header: [u8; MAX_HEADER_BYTES],
    /// Number of header bytes that have arrived.
    header_len: usize,
    /// Number of payload bytes of the current frame that have not passed yet.
    payload_left: u64,
    /// Whether the application has sent the header of a close frame.
    has_close_frame: bool,
}

impl WebSocketFrames {
    /// Whether the next byte is the first of a frame.
    pub fn is_at_boundary(&self) -> bool {
        self.header_len == 0 && self.payload_left == 0
    }

    /// Whether the application has sent a close frame.
    pub fn is_closed(&self) -> bool {
        self.has_close_frame
    }

    /// Advances over bytes and returns their number. With `to_boundary`, stops at the end of the
    /// current frame.
    pub fn advance(&mut self, bytes: &[u8], to_boundary: bool) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            if to_boundary && self.is_at_boundary() {
                break;
            }
            if self.payload_left > 0 {
                let rest = (bytes.len() - at) as u64;
                let count = self.payload_left.min(rest);
                self.payload_left -= count;
                at += count as usize;
                continue;
            }
            self.header[self.header_len] = bytes[at];
            self.header_len += 1;
            at += 1;
            if self.header_len >= 2 && self.header_len == self.header_length() {
                self.has_close_frame |= self.header[0] & 0x0f == CLOSE;
                self.payload_left = self.payload_length();
                self.header_len = 0;
            }
        }
        at
    }

    /// Returns the header length of the current frame: two bytes, an extended length, and a mask,
    /// which a server does not use.
    fn header_length(&self) -> usize {
        let extended = match self.header[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + extended + if self.header[1] & 0x80 == 0 { 0 } else { 4 }
    }

    /// Returns the payload length from a complete header.
    fn payload_length(&self) -> u64 {
        let extended = |count: usize| {
            self.header[2..2 + count].iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
        };
        match self.header[1] & 0x7f {
            126 => extended(2),
            127 => extended(8),
            short => u64::from(short),
        }
    }
}

/// A close frame with code 1012, "Service Restart" (IANA registry of RFC 6455): the client may
/// reconnect at once.
pub(crate) const SERVICE_RESTART_FRAME: [u8; 4] = [0x88, 2, 0x03, 0xf4];
/// The opcode of a close frame.
const CLOSE: u8 = 8;
/// Maximum length of a frame header: 2 bytes, a length of 8 and a mask of 4.
const MAX_HEADER_BYTES: usize = 14;

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds a frame as a server sends it.
    fn frame(opcode: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![0x80 | opcode];
        match length {
            0..126 => frame.push(length as u8),
            126..0x1_0000 => {
                frame.push(126);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                frame.push(127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        // The payload looks like close frames, which the position must ignore.
        frame.extend((0..length).map(|at| if at % 2 == 0 { 0x88 } else { 0 }));
        frame
    }

    #[test]
    fn boundaries_are_found_for_every_size_of_writes() {
        let lengths = [0, 1, 125, 126, 127, 65_535, 65_536];
        let stream: Vec<u8> = lengths.iter().flat_map(|&length| frame(2, length)).collect();
        let mut boundaries = Vec::new();
        let mut end = 0;
        for length in lengths {
            end += frame(2, length).len();
            boundaries.push(end);
        }
        for step in [1, 2, 3, 7, 1_000, stream.len()] {
            let (mut frames, mut found, mut at) = (WebSocketFrames::default(), Vec::new(), 0);
            for mut part in stream.chunks(step) {
                // Advance from a boundary to the next one.
                while !part.is_empty() {
                    let first = frames.advance(&part[..1], false);
                    let count = first + frames.advance(&part[first..], true);
                    at += count;
                    part = &part[count..];
                    if frames.is_at_boundary() {
                        found.push(at);
                    }
                }
            }
            assert_eq!(found, boundaries, "writes of {step} bytes");
            assert!(!frames.is_closed());
        }
    }

    #[test]
    fn the_mask_is_part_of_a_frame_header() {
        let mut frames = WebSocketFrames::default();
        frames.advance(&[0x81, 0x83, 1, 2, 3, 4, 9, 9], false);
        assert!(!frames.is_at_boundary());
        frames.advance(&[9], false);
        assert!(frames.is_at_boundary());
    }

    #[test]
    fn a_close_frame_is_detected() {
        let mut frames = WebSocketFrames::default();
        frames.advance(&[0x81, 1, 0x88, 0x88], false);
        assert!(!frames.is_closed());
        frames.advance(&[2, 3, 0xe8], false);
        assert!(frames.is_closed() && frames.is_at_boundary());
    }
}
