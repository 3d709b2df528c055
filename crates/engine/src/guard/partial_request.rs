//! Parses as much as possible of a request that is refused, for the access log and for an error
//! response in a suitable format. The parser is lenient, has limits, and runs only after an error.

use super::head;
use super::syntax::is_token;
use crate::exchange::request_head::{RequestHead, Span};

/// Format of the body of an error response.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ErrorFormat {
    /// `text/plain`.
    #[default]
    Text,
    /// `text/html`.
    Html,
    /// `application/json`.
    Json,
}

/// A refused request, as far as it could be parsed.
#[derive(Debug, Default)]
pub struct PartialRequest {
    /// The bytes to which the spans refer.
    pub bytes: Vec<u8>,
    /// The method; empty if unknown.
    pub method: Span,
    /// The request target; empty if unknown.
    pub target: Span,
    /// The version, such as `HTTP/1.1`; empty if unknown.
    pub version: Span,
    /// The fields that are well-formed.
    pub fields: Vec<(Span, Span)>,
    /// Format of the error response that the client prefers.
    pub format: ErrorFormat,
    /// Whether the method is HEAD, so that the response has no body.
    pub is_head_request: bool,
}

impl PartialRequest {
    /// Parses a head that is invalid or incomplete.
    #[must_use]
    pub fn parse_head(input: &[u8]) -> Self {
        let input = input.strip_prefix(b"\r\n").unwrap_or(input);
        let mut partial =
            Self { bytes: input[..input.len().min(MAX_HEAD_BYTES)].to_vec(), ..Self::default() };
        let bytes = std::mem::take(&mut partial.bytes);
        let mut at = 0;
        for (number, line) in bytes.split(|&byte| byte == b'\n').take(1 + MAX_FIELDS).enumerate() {
            let end = at + line.strip_suffix(b"\r").unwrap_or(line).len();
            if end == at {
                break;
            }
            if number == 0 {
                partial.parse_request_line(&bytes, end);
            } else if let Ok((name, value, _)) = head::parse_field_line(&bytes, at, end) {
                if name.of(&bytes).eq_ignore_ascii_case(b"accept") {
                    partial.format = negotiate_format(value.of(&bytes));
                }
                partial.fields.push((name, value));
            }
            at += line.len() + 1;
        }
        partial.is_head_request = partial.method.of(&bytes) == b"HEAD";
        partial.bytes = bytes;
        partial
    }

    /// Replaces the version of a request that was written in the form of HTTP/1.1.
    pub(crate) fn set_version(&mut self, version: &[u8]) {
        let span = self.version;
        if span.len() == version.len() {
            self.bytes[span.start as usize..span.end as usize].copy_from_slice(version);
        }
    }

    fn parse_request_line(&mut self, bytes: &[u8], end: usize) {
        let line = &bytes[..end];
        let method = line.iter().take_while(|&&byte| is_token(byte)).count();
        if method == 0 || method > MAX_METHOD_BYTES || line.get(method) != Some(&b' ') {
            return;
        }
        self.method = Span::new(0..method);
        let rest = &line[method + 1..];
        let target = rest.iter().take_while(|&&byte| byte > b' ' && byte != 0x7f).count();
        self.target = Span::new(method + 1..method + 1 + target.min(MAX_TARGET_BYTES));
        if rest.get(target) == Some(&b' ') && rest[target + 1..].starts_with(b"HTTP/") {
            let version = method + target + 2;
            self.version = Span::new(version..end.min(version + MAX_VERSION_BYTES));
        }
    }
}

/// What must be known of a request if its body is refused.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ErrorContext {
    pub format: ErrorFormat,
    pub is_head_request: bool,
}

impl ErrorContext {
    pub fn new(head: &RequestHead, bytes: &[u8]) -> Self {
        Self {
            format: head
                .accept
                .map_or(ErrorFormat::Text, |accept| negotiate_format(accept.of(bytes))),
            is_head_request: head.method.of(bytes) == b"HEAD",
        }
    }
}

/// Returns the format that `Accept` prefers (RFC 9110 section 12.5.1): by quality, then the most
/// specific range, then the first. The default is plain text.
fn negotiate_format(accept: &[u8]) -> ErrorFormat {
    if accept == b"*/*" {
        return ErrorFormat::Text;
    }
    let mut best = (0, 0, 0, ErrorFormat::Text);
    for (format, kind, all) in FORMATS {
        let mut found = (0, 0, 0);
        for (index, range) in accept.split(|&byte| byte == b',').take(MAX_ACCEPT_RANGES).enumerate()
        {
            let mut parts = range.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            let exactness = if name.eq_ignore_ascii_case(kind) {
                3
            } else if name.eq_ignore_ascii_case(all) {
                2
            } else if name == b"*/*" {
                1
            } else {
                continue;
            };
            // The most specific range that matches decides, whatever its quality.
            if exactness > found.1 {
                let quality = parts.find_map(parse_quality).unwrap_or(1_000);
                found = (quality, exactness, MAX_ACCEPT_RANGES - index);
            }
        }
        // `*/*` expresses no preference.
        let rank = if found.1 == 1 {
            (found.0, 1, 0, format)
        } else {
            (found.0, found.1, found.2, format)
        };
        // A quality of 0 means not acceptable.
        if rank.0 > 0 && (rank.0, rank.1, rank.2) > (best.0, best.1, best.2) {
            best = rank;
        }
    }
    best.3
}

/// Parses `q=0.5` into thousandths.
fn parse_quality(parameter: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(parameter).ok()?;
    let number: f32 = text.strip_prefix(['q', 'Q'])?.strip_prefix('=')?.parse().ok()?;
    Some((number.clamp(0.0, 1.0) * 1_000.0) as u32)
}

const FORMATS: [(ErrorFormat, &[u8], &[u8]); 3] = [
    (ErrorFormat::Text, b"text/plain", b"text/*"),
    (ErrorFormat::Html, b"text/html", b"text/*"),
    (ErrorFormat::Json, b"application/json", b"application/*"),
];
/// Maximum number of bytes of a head that are parsed.
const MAX_HEAD_BYTES: usize = 8_192;
const MAX_FIELDS: usize = 100;
const MAX_METHOD_BYTES: usize = 64;
const MAX_TARGET_BYTES: usize = 4_096;
const MAX_VERSION_BYTES: usize = 16;
/// Maximum number of ranges of an `Accept` field that are compared.
const MAX_ACCEPT_RANGES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_format_is_chosen() {
        for (accept, expected) in [
            ("", ErrorFormat::Text),
            ("*/*", ErrorFormat::Text),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", ErrorFormat::Html),
            ("application/json, text/plain, */*", ErrorFormat::Json),
            ("application/json", ErrorFormat::Json),
            ("APPLICATION/JSON;charset=utf-8", ErrorFormat::Json),
            ("text/html;q=0.3, application/json;q=0.7", ErrorFormat::Json),
            ("text/html;q=0, */*", ErrorFormat::Text),
            ("text/*;q=0.9, application/json;q=0.1", ErrorFormat::Text),
            ("application/json;q=0", ErrorFormat::Text),
            ("text/plain;q=0, text/html;q=0.0, application/*;q=0.001", ErrorFormat::Json),
            ("image/png", ErrorFormat::Text),
            ("text/html;q=x", ErrorFormat::Html),
            (",;,q=,", ErrorFormat::Text),
        ] {
            assert_eq!(negotiate_format(accept.as_bytes()), expected, "{accept}");
        }
    }

    #[test]
    fn an_incomplete_head_is_parsed_as_far_as_possible() {
        let read = |text: &str| {
            let partial = PartialRequest::parse_head(text.as_bytes());
            let part = |span: Span| String::from_utf8_lossy(span.of(&partial.bytes)).into_owned();
            (
                part(partial.method),
                part(partial.target),
                part(partial.version),
                partial.fields.len(),
            )
        };
        let parts = |method: &str, target: &str, version: &str, fields| {
            (method.to_owned(), target.to_owned(), version.to_owned(), fields)
        };
        assert_eq!(read("GET /a HTTP/1.1\nHost: x\r\n\r\n"), parts("GET", "/a", "HTTP/1.1", 1));
        assert_eq!(
            read("GET /a HTTP/9.9\r\nBad Name: x\r\nA: b\r\n"),
            parts("GET", "/a", "HTTP/9.9", 1)
        );
        assert_eq!(read("GET /a"), parts("GET", "/a", "", 0));
        assert_eq!(read("\0\0\0"), parts("", "", "", 0));
        assert_eq!(read(""), parts("", "", "", 0));
        assert_eq!(read("\r\nGET / HTTP/1.1\r\n"), parts("GET", "/", "HTTP/1.1", 0));
    }
}
