//! The response of an exchange: what has been written of it, and what may follow.

/// State of a response.
#[derive(Default)]
pub(crate) struct Response {
    /// Status code; 0 before the head.
    pub(crate) status: u16,
    /// Whether the head has been written. No other response may follow.
    pub(crate) is_head_sent: bool,
    /// Whether the response has the chunked transfer coding (RFC 9112 section 7.1).
    pub(crate) is_chunked: bool,
    /// Whether the response must not have content, as for HEAD and 304 (RFC 9110 section 6.4.1).
    pub(crate) has_no_body: bool,
    /// Trailer field lines to send after the body.
    pub(crate) trailers: Vec<u8>,
    /// Number of body bytes written so far.
    pub(crate) sent_bytes: u64,
    /// Whether JavaScript has written the whole response.
    pub(crate) is_complete: bool,
    /// Whether JavaScript waits for the event that all written bytes have been sent.
    pub(crate) notifies_when_sent: bool,
}

/// How the head of a response frames its body.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ResponseFraming {
    pub has_no_body: bool,
    /// Whether the body is sent in chunks, if there is one.
    pub is_chunked: bool,
}

impl Response {
    /// Begins the response. Returns false if it has begun already.
    pub fn begin(&mut self, status: u16, framing: ResponseFraming) -> bool {
        if std::mem::replace(&mut self.is_head_sent, true) {
            return false;
        }
        self.status = status;
        self.has_no_body = framing.has_no_body;
        self.is_chunked = framing.is_chunked && !framing.has_no_body;
        true
    }

    /// Counts body bytes if they may be written now, and returns whether they may.
    pub fn write(&mut self, len: usize) -> bool {
        let may_write = self.is_head_sent && !self.is_complete && !self.has_no_body && len > 0;
        if may_write {
            self.sent_bytes += len as u64;
        }
        may_write
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: ResponseFraming = ResponseFraming { has_no_body: false, is_chunked: true };

    #[test]
    fn a_response_begins_once() {
        let mut response = Response::default();
        assert!(response.begin(200, CHUNKED));
        assert!(!response.begin(500, ResponseFraming::default()));
        assert_eq!((response.status, response.is_chunked), (200, true));
    }

    #[test]
    fn bytes_are_written_only_between_head_and_end() {
        let mut response = Response::default();
        assert!(!response.write(5), "no head yet");
        response.begin(200, CHUNKED);
        assert!(response.write(5));
        assert!(!response.write(0), "an empty chunk would end the body");
        response.is_complete = true;
        assert!(!response.write(5));
        assert_eq!(response.sent_bytes, 5);
    }

    #[test]
    fn a_response_without_content_has_neither_bytes_nor_chunks() {
        let mut response = Response::default();
        response.begin(304, ResponseFraming { has_no_body: true, is_chunked: true });
        assert!(!response.is_chunked);
        assert!(!response.write(5));
        assert_eq!(response.sent_bytes, 0);
    }
}
