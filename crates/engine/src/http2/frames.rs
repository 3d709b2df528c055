//! Scans the frame headers of a client (RFC 9113 section 4.1) before h2 reads the frames. It counts
//! frames that only cost work, and knows whether a header block or a body frame is incomplete. It
//! finds trailers that are malformed.

use super::trailer_scan::TrailerScan;
use crate::buffers::sizes::MIN_USEFUL_INCREMENT_BYTES;
use crate::pressure::limits::FLOOD_TIME;
use crate::pressure::settings::Settings;

/// Position of the scan in the client's frames, and the counters against floods.
#[derive(Default)]
pub struct FrameScanner {
    /// The current frame header.
    head: [u8; FRAME_HEAD_BYTES],
    /// Number of bytes of the frame header that have arrived.
    head_len: usize,
    /// Number of payload bytes that are still to arrive.
    payload_left: usize,
    /// Number of bytes of the connection preface that have arrived.
    preface_len: usize,
    /// Whether a header block is open: no other frame may precede its end (RFC 9113 section 4.3).
    is_block_open: bool,
    /// Whether the client has acknowledged our settings since the last call of
    /// [`Self::take_settings_ack`].
    has_settings_ack: bool,
    /// Value of the current `WINDOW_UPDATE` frame, as far as it has arrived.
    window_increment: u32,
    /// Frames without content.
    idle_frames: FloodCounter,
    /// Streams that the client has reset before their response was complete.
    resets: FloodCounter,
    /// Highest identifier of a stream that the client has opened.
    last_stream: u32,
    /// Scan of the trailers whose block is open, or was open last.
    trailers: Option<TrailerScan>,
    /// Streams with a pseudo-header field in their trailers, until they are reset.
    malformed_streams: Vec<u32>,
}

/// Error: the client has exceeded a limit on idle frames or resets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Flood;

impl FrameScanner {
    /// Scans bytes that have arrived from the client.
    pub fn scan(&mut self, mut input: &[u8], now: u64, settings: &Settings) -> Result<(), Flood> {
        let preface = (CLIENT_PREFACE.len() - self.preface_len).min(input.len());
        self.preface_len += preface;
        input = &input[preface..];
        while let Some(&byte) = input.first() {
            if self.payload_left > 0 {
                input = self.skip_payload(input);
                if self.payload_left == 0 {
                    self.on_frame_end(now, settings)?;
                }
                continue;
            }
            self.head[self.head_len] = byte;
            self.head_len += 1;
            input = &input[1..];
            if self.head_len == FRAME_HEAD_BYTES {
                self.head_len = 0;
                self.payload_left = self.payload_length();
                self.on_frame_head(now, settings)?;
                if self.payload_left == 0 {
                    self.on_frame_end(now, settings)?;
                }
            }
        }
        Ok(())
    }

    /// Counts a stream that the client has reset before its response was complete.
    pub fn count_reset(&mut self, now: u64, settings: &Settings) -> Result<(), Flood> {
        self.resets.count(now, settings.http2_max_resets)
    }

    /// Returns whether our settings have been acknowledged since the last call.
    pub fn take_settings_ack(&mut self) -> bool {
        std::mem::take(&mut self.has_settings_ack)
    }

    /// Returns whether a header block has begun and is incomplete.
    pub fn is_in_header_block(&self) -> bool {
        self.is_block_open
            || (self.payload_left > 0 && matches!(self.head[3], HEADERS | CONTINUATION))
    }

    /// Returns the identifier of the stream whose DATA frame is incomplete.
    pub fn current_data_stream(&self) -> Option<u32> {
        (self.payload_left > 0 && self.head[3] == DATA).then_some(self.stream_id())
    }

    /// Removes the streams with malformed trailers for which `reset` returns true. The others have
    /// not begun yet, or have closed.
    pub fn reset_malformed(&mut self, mut reset: impl FnMut(u32) -> bool) {
        self.malformed_streams.retain(|&id| !reset(id));
    }

    fn stream_id(&self) -> u32 {
        let bytes = [self.head[5], self.head[6], self.head[7], self.head[8]];
        u32::from_be_bytes(bytes) & 0x7fff_ffff
    }

    fn payload_length(&self) -> usize {
        usize::from(self.head[0]) << 16 | usize::from(self.head[1]) << 8 | usize::from(self.head[2])
    }

    fn skip_payload<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        let count = self.payload_left.min(input.len());
        if self.head[3] == WINDOW_UPDATE {
            for &byte in &input[..count] {
                self.window_increment = self.window_increment << 8 | u32::from(byte);
            }
        }
        self.payload_left -= count;
        if matches!(self.head[3], HEADERS | CONTINUATION)
            && let Some(trailers) = &mut self.trailers
            && trailers.scan(&input[..count], self.payload_left)
        {
            self.trailers = None;
            // h2 may never pass on the stream, and a client may send trailers again and again.
            self.malformed_streams.truncate(MAX_MALFORMED_STREAMS - 1);
            self.malformed_streams.push(self.stream_id());
        }
        &input[count..]
    }

    /// Handles a complete frame header.
    fn on_frame_head(&mut self, now: u64, settings: &Settings) -> Result<(), Flood> {
        let (kind, flags) = (self.head[3], self.head[4]);
        let is_empty = self.payload_left == 0;
        self.window_increment = 0;
        self.has_settings_ack |= kind == SETTINGS && flags & ACK != 0;
        let is_idle = match kind {
            DATA => is_empty && flags & END_STREAM == 0,
            HEADERS | CONTINUATION => {
                self.is_block_open = flags & END_HEADERS == 0;
                self.begin_block(kind, flags);
                kind == CONTINUATION && is_empty
            }
            WINDOW_UPDATE => false,
            _ => true,
        };
        if is_idle { self.idle_frames.count(now, settings.http2_max_idle_frames) } else { Ok(()) }
    }

    /// Begins the scan of trailers: a second header block of a stream (RFC 9113 section 8.1).
    fn begin_block(&mut self, kind: u8, flags: u8) {
        if kind == CONTINUATION {
            if let Some(trailers) = &mut self.trailers {
                trailers.begin_frame(0);
            }
            return;
        }
        let stream = self.stream_id();
        self.trailers = (stream <= self.last_stream).then(|| {
            let mut trailers = TrailerScan::default();
            trailers.begin_frame(flags);
            trailers
        });
        self.last_stream = self.last_stream.max(stream);
    }

    /// Handles the last byte of a frame.
    fn on_frame_end(&mut self, now: u64, settings: &Settings) -> Result<(), Flood> {
        // Tiny window updates make the server send the response in many tiny frames
        // (CVE-2019-9511).
        if self.head[3] == WINDOW_UPDATE && self.window_increment < MIN_USEFUL_INCREMENT_BYTES {
            return self.idle_frames.count(now, settings.http2_max_idle_frames);
        }
        Ok(())
    }
}

/// Counts events in windows of [`FLOOD_TIME`].
#[derive(Default)]
struct FloodCounter {
    /// Start of the current window, in milliseconds.
    window_start: u64,
    count: u32,
}

impl FloodCounter {
    fn count(&mut self, now: u64, max_count: u32) -> Result<(), Flood> {
        if now >= self.window_start + FLOOD_TIME.as_millis() as u64 {
            *self = Self { window_start: now, count: 0 };
        }
        self.count += 1;
        if self.count > max_count { Err(Flood) } else { Ok(()) }
    }
}

/// The connection preface of a client (RFC 9113 section 3.4).
pub(crate) const CLIENT_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Most streams with malformed trailers that wait to be reset. One more replaces the
/// last, which is served without the field.
const MAX_MALFORMED_STREAMS: usize = 256;
const FRAME_HEAD_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u32).to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn settings() -> Settings {
        Settings { http2_max_idle_frames: 3, http2_max_resets: 1, ..Settings::default() }
    }

    /// Scans frames in steps of `step` bytes.
    fn scan_in_steps(frames: &[Vec<u8>], step: usize) -> Result<FrameScanner, Flood> {
        let all = [CLIENT_PREFACE, &frames.concat()].concat();
        let mut scanner = FrameScanner::default();
        for piece in all.chunks(step) {
            scanner.scan(piece, 0, &settings())?;
        }
        Ok(scanner)
    }

    #[test]
    fn idle_frames_are_counted_however_bytes_are_split() {
        let ping = frame(6, 0, &[0; 8]);
        let settings = frame(4, 1, b"");
        let empty = frame(DATA, 0, b"");
        let crumb = frame(WINDOW_UPDATE, 0, &[0, 0, 0, 1]);
        for idle in [ping, settings, empty, crumb] {
            for step in [1, 2, 9, 1_000] {
                assert!(scan_in_steps(&vec![idle.clone(); 3], step).is_ok());
                assert!(scan_in_steps(&vec![idle.clone(); 4], step).is_err());
            }
        }
    }

    #[test]
    fn bodies_window_updates_and_ends_are_no_flood() {
        let data = frame(DATA, 0, b"x");
        let end = frame(DATA, END_STREAM, b"");
        let window = frame(WINDOW_UPDATE, 0, &[0, 0, 0x40, 0]);
        for useful in [data, end, window] {
            assert!(scan_in_steps(&vec![useful; 100], 7).is_ok());
        }
    }

    #[test]
    fn an_incomplete_block_or_body_is_detected() {
        let head = frame(HEADERS, 0, b"abc");
        assert!(scan_in_steps(std::slice::from_ref(&head), 5).unwrap().is_in_header_block());
        let whole = [head, frame(CONTINUATION, END_HEADERS, b"def")];
        assert!(!scan_in_steps(&whole, 5).unwrap().is_in_header_block());
        let mut body = frame(DATA, 0, b"abc");
        body.pop();
        assert_eq!(scan_in_steps(&[body], 5).unwrap().current_data_stream(), Some(1));
    }

    #[test]
    fn a_count_restarts_after_its_window() {
        let mut frames = FrameScanner::default();
        let end = FLOOD_TIME.as_millis() as u64;
        assert!(frames.count_reset(0, &settings()).is_ok());
        assert!(frames.count_reset(end - 1, &settings()).is_err());
        assert!(frames.count_reset(end, &settings()).is_ok());
    }
}
