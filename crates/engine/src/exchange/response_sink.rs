//! The interface between the commands that JavaScript writes into the ring and the HTTP versions.

use bytes::Bytes;

use crate::bridge::ring::ResponseHead;

/// Receives the commands of JavaScript for one exchange. HTTP/1 and HTTP/2 implement it.
pub(crate) trait ResponseSink {
    /// Sends an interim response (1xx).
    fn send_interim(&self, head: &ResponseHead<'_>);
    /// Sends the head of the final response. `length` is the length of the body, if it is known.
    fn send_head(&self, head: &ResponseHead<'_>, length: Option<u64>);
    /// Sends a part of the body, or bytes of a tunnel.
    fn send_data(&self, bytes: &[u8]);
    /// Sends a large part of the body without copying it.
    fn send_large(&self, bytes: Bytes);
    /// Sends a buffer that belongs to JavaScript, like `send_large`. It needs no memory here.
    fn send_borrowed(&self, bytes: Bytes) {
        self.send_large(bytes);
    }
    /// Adds trailer lines, to be sent after the body.
    fn add_trailers(&self, fields: &[u8]);
    /// Completes the response. `discard` means that the rest of the request body is not wanted.
    fn end(&self, discard: bool);
    /// Aborts the exchange at once, whatever has been sent.
    fn abort(&self);
    /// Allows `bytes` more bytes of the request body to be passed to JavaScript.
    fn grant_credit(&self, bytes: u32);
    /// Notifies JavaScript once all bytes have been sent.
    fn notify_when_sent(&self);
    /// Decides about an upgrade. `taken` means that the application takes over the connection.
    fn decide_upgrade(&self, taken: bool);
    /// Returns the flags that the head of an error response of the engine needs: for HEAD, and for
    /// an upgrade that JavaScript has not decided about.
    fn error_flags(&self) -> u8;
    /// Records the number of response bytes that JavaScript holds. HTTP/1 ignores it: no other
    /// request waits for the response.
    fn set_buffered_in_js(&self, _bytes: usize) {}
}
