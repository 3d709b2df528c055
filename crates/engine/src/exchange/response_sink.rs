//! Exchanges, the unit of the crossing: one request and its answer, whatever protocol carries them.

use bytes::Bytes;

use crate::bridge::ring::ResponseHead;

/// What a protocol does with JavaScript's side of an exchange. HTTP/1 is one implementation.
pub(crate) trait ResponseSink {
    fn inform(&self, head: &ResponseHead<'_>);
    fn head(&self, head: &ResponseHead<'_>, length: Option<u64>);
    fn data(&self, bytes: &[u8]);
    fn large(&self, bytes: Bytes);
    /// As `large`, with memory of JavaScript's: it costs nothing to hold.
    fn lend(&self, bytes: Bytes) {
        self.large(bytes);
    }
    fn trailers(&self, fields: &[u8]);
    fn end(&self, discard: bool);
    fn reset(&self);
    fn credit(&self, bytes: u32);
    fn notify(&self);
    fn tunnel(&self, taken: bool);
    /// JavaScript holds so many bytes of the answer. A connection of HTTP/1 has one, which nothing waits behind.
    fn held(&self, _bytes: usize) {}
}
