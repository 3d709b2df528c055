//! The label of a request in flight: its method and path, for reports.

use crate::exchange::request_head::RequestHead;

/// The beginning of a request line. It is long enough to distinguish requests, and short enough to
/// copy for each.
#[derive(Clone, Copy)]
pub(crate) struct RequestLabel {
    len: u8,
    bytes: [u8; LABEL_MAX],
}

impl RequestLabel {
    /// Copies the method, the space and the target.
    pub fn new(head: &RequestHead, bytes: &[u8]) -> Self {
        let line = &bytes[head.method.start as usize..head.target.end as usize];
        let len = line.len().min(LABEL_MAX);
        let mut label = Self { len: len as u8, bytes: [0; LABEL_MAX] };
        label.bytes[..len].copy_from_slice(&line[..len]);
        label
    }

    /// The text without the query, which may hold secrets.
    pub fn to_text(self) -> String {
        let line = &self.bytes[..usize::from(self.len)];
        let path = line.split(|&byte| byte == b'?').next().unwrap_or_default();
        let text =
            path.iter().map(|&byte| if byte.is_ascii_graphic() { char::from(byte) } else { ' ' });
        let ellipsis = if path.len() == LABEL_MAX { "..." } else { "" };
        text.chain(ellipsis.chars()).collect()
    }
}

/// The maximum length of a label. With its length it fills 64 bytes: one cache line.
const LABEL_MAX: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::request_head::Span;

    fn label(line: &[u8]) -> String {
        let space = line.iter().position(|&byte| byte == b' ').unwrap() as u32;
        let head = RequestHead {
            method: Span { start: 0, end: space },
            target: Span { start: space + 1, end: line.len() as u32 },
            ..RequestHead::default()
        };
        RequestLabel::new(&head, line).to_text()
    }

    #[test]
    fn a_label_is_method_and_path() {
        assert_eq!(label(b"GET /orders/7?token=secret"), "GET /orders/7");
    }

    #[test]
    fn a_label_is_cut_and_printable() {
        let long = format!("GET /{}", "a".repeat(100));
        assert_eq!(label(long.as_bytes()), format!("GET /{}...", "a".repeat(58)));
        assert_eq!(label(b"GET /\x1b[0m"), "GET / [0m");
    }
}
