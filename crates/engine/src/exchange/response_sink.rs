//! Exchanges, the unit of the crossing: one request and its answer, whatever protocol carries them.

use bytes::Bytes;

use crate::bridge::ring::ResponseHead;

/// What a protocol does with JavaScript's side of an exchange. HTTP/1 is one implementation.
pub(crate) trait ResponseSink {
    fn send_interim(&self, head: &ResponseHead<'_>);
    fn send_head(&self, head: &ResponseHead<'_>, length: Option<u64>);
    fn send_data(&self, bytes: &[u8]);
    fn send_large(&self, bytes: Bytes);
    /// As `large`, with memory of JavaScript's: it costs nothing to hold.
    fn send_borrowed(&self, bytes: Bytes) {
        self.send_large(bytes);
    }
    fn add_trailers(&self, fields: &[u8]);
    fn end(&self, discard: bool);
    fn abort(&self);
    fn grant_credit(&self, bytes: u32);
    fn notify_when_sent(&self);
    fn decide_upgrade(&self, taken: bool);
    /// JavaScript holds so many bytes of the answer. A connection of HTTP/1 has one, which nothing waits behind.
    fn set_buffered_in_js(&self, _bytes: usize) {}
}
