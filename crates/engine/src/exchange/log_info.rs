//! What an exchange keeps of its request and response for the access log.

use std::net::SocketAddr;

use super::request_head::{RequestHead, Span};

/// Data for the access log line of an exchange.
#[derive(Default)]
pub(crate) struct LogInfo {
    /// Bytes of the request head; the spans below are ranges of them.
    pub(crate) head: Vec<u8>,
    /// Request method.
    pub(crate) method: Span,
    /// Request target.
    pub(crate) target: Span,
    /// Protocol version of the request, such as `HTTP/1.1`.
    pub(crate) version: &'static [u8],
    /// Names and values of the request header fields.
    pub(crate) fields: Vec<(Span, Span)>,
    /// Client address that a trusted proxy forwarded with this request.
    pub(crate) client: Option<SocketAddr>,
    /// Header field lines of the response.
    pub(crate) response_fields: Vec<u8>,
}

/// Log data of finished exchanges, whose buffers new exchanges reuse.
#[derive(Default)]
pub(crate) struct SpareLogInfo {
    #[expect(
        clippy::vec_box,
        reason = "it moves in and out of an exchange, which has none without a log"
    )]
    infos: Vec<Box<LogInfo>>,
}

impl SpareLogInfo {
    /// Returns the log data of a new request.
    pub fn take(
        &mut self,
        head: &RequestHead,
        bytes: &[u8],
        version: &'static [u8],
    ) -> Box<LogInfo> {
        let mut info = self.infos.pop().unwrap_or_default();
        info.head.clear();
        info.head.extend_from_slice(&bytes[..head.len]);
        info.fields.clone_from(&head.fields);
        info.response_fields.clear();
        (info.method, info.target, info.client) = (head.method, head.target, head.client_addr);
        info.version = version;
        info
    }

    /// Keeps the buffers for another exchange, unless they are larger than [`MAX_SPARE_BYTES`].
    pub fn recycle(&mut self, info: Box<LogInfo>) {
        let bytes = info.head.capacity() + info.response_fields.capacity();
        if self.infos.len() < MAX_SPARE_INFOS && bytes <= MAX_SPARE_BYTES {
            self.infos.push(info);
        }
    }
}

/// Maximum number of [`LogInfo`] values that a thread keeps for reuse.
const MAX_SPARE_INFOS: usize = 64;
/// Maximum buffer size of a [`LogInfo`] value that is kept for reuse.
const MAX_SPARE_BYTES: usize = 4_096;
