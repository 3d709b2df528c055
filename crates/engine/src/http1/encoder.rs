//! Writes HTTP/1 responses: heads, chunk framing, trailers and interim responses.

use std::io::Write as _;

use crate::bridge::ring::HeadFlags;
use crate::guard::{ErrorFormat, Refusal};

/// Values that the connection adds to a response head.
#[derive(Clone, Copy, Debug)]
pub struct HeadOptions<'a> {
    /// Whether the connection closes after this response.
    pub closes: bool,
    /// Value of `Keep-Alive: timeout=` in seconds, if the connection stays open.
    pub keepalive_secs: u64,
    /// Value of `Date`.
    pub date: &'a [u8],
    /// Value of `Content-Length`, if the flags request the field.
    pub length: Option<u64>,
}

/// Writes the head of a final response. Added fields have node's order: Date, Connection,
/// Keep-Alive, then the framing.
pub fn write_head(
    out: &mut Vec<u8>,
    status: u16,
    reason: Option<&[u8]>,
    fields: &[u8],
    flags: HeadFlags,
    options: &HeadOptions<'_>,
) {
    write_status_line(out, status, reason);
    out.extend_from_slice(fields);
    if flags.adds_date() {
        out.extend_from_slice(b"Date: ");
        out.extend_from_slice(options.date);
        out.extend_from_slice(b"\r\n");
    }
    if flags.adds_connection() {
        if options.closes {
            out.extend_from_slice(b"Connection: close\r\n");
        } else {
            out.extend_from_slice(b"Connection: keep-alive\r\n");
            if options.keepalive_secs < UNLIMITED_KEEPALIVE_SECS {
                out.extend_from_slice(b"Keep-Alive: timeout=");
                write_decimal(out, options.keepalive_secs);
                out.extend_from_slice(b"\r\n");
            }
        }
    }
    if let Some(length) = options.length {
        out.extend_from_slice(b"Content-Length: ");
        write_decimal(out, length);
        out.extend_from_slice(b"\r\n");
    }
    if flags.adds_chunked() {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Replaces `Connection: keep-alive` by `close` and removes `Keep-Alive`, for fields that were
/// written before the connection had to close.
#[must_use]
pub fn rewrite_as_closing(fields: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(fields.len());
    for line in fields.split_inclusive(|&byte| byte == b'\n') {
        let mut parts = line.splitn(2, |&byte| byte == b':');
        let mut is = |text: &[u8]| {
            parts.next().is_some_and(|part| part.trim_ascii().eq_ignore_ascii_case(text))
        };
        if is(b"connection") {
            let goes_on = is(b"keep-alive");
            out.extend_from_slice(if goes_on { &b"Connection: close\r\n"[..] } else { line });
        } else if !line.get(..11).is_some_and(|name| name.eq_ignore_ascii_case(b"keep-alive:")) {
            out.extend_from_slice(line);
        }
    }
    out
}

/// Returns the fields and the body of an error response, in the given format.
#[must_use]
pub fn refusal_content(refusal: Refusal, format: ErrorFormat) -> (String, String) {
    let (status, text) = (refusal.status(), refusal.text());
    let reason = String::from_utf8_lossy(default_reason(status));
    // The texts are constants without characters that HTML or JSON must escape.
    let (kind, body) = match format {
        ErrorFormat::Text => ("text/plain; charset=utf-8", format!("{text}\n")),
        ErrorFormat::Html => (
            "text/html; charset=utf-8",
            format!(
                "<!DOCTYPE html>\n<html>\n<head><title>{status} {reason}</title></head>\n\
                 <body><h1>{reason}</h1><p>{text}</p></body>\n</html>\n"
            ),
        ),
        ErrorFormat::Json => (
            "application/json",
            format!("{{\"status\":{status},\"error\":\"{reason}\",\"message\":\"{text}\"}}\n"),
        ),
    };
    let retry = if status == 503 { RETRY_AFTER } else { "" };
    (format!("Content-Type: {kind}\r\n{retry}"), body)
}

/// Writes an error response without fields and body, as node does.
pub fn write_bare_refusal(out: &mut Vec<u8>, status: u16) {
    write_status_line(out, status, None);
    out.extend_from_slice(b"Connection: close\r\n\r\n");
}

/// Delay after which the client may retry: one second. Overload is mostly brief, and users would
/// notice a longer wait.
const RETRY_AFTER: &str = "Retry-After: 1\r\n";

/// Writes the head of an interim response (1xx).
pub fn write_interim_head(out: &mut Vec<u8>, status: u16, reason: Option<&[u8]>, fields: &[u8]) {
    write_status_line(out, status, reason);
    out.extend_from_slice(fields);
    out.extend_from_slice(b"\r\n");
}

/// Writes the size line of a chunk; the data and [`CRLF`] follow.
pub fn write_chunk_size(out: &mut Vec<u8>, size: usize) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{size:x}\r\n");
}

/// Writes the last chunk with the trailer section.
pub fn write_last_chunk(out: &mut Vec<u8>, trailers: &[u8]) {
    out.extend_from_slice(b"0\r\n");
    out.extend_from_slice(trailers);
    out.extend_from_slice(CRLF);
}

/// End of a line and of a chunk's data.
pub const CRLF: &[u8] = b"\r\n";

fn write_status_line(out: &mut Vec<u8>, status: u16, reason: Option<&[u8]>) {
    // Node sends HTTP/1.1 for each minor version of the request, as RFC 9110 section 6.2 allows.
    if status == 200 && reason.is_none() {
        return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    write_decimal(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(reason.unwrap_or_else(|| default_reason(status)));
    out.extend_from_slice(b"\r\n");
}

/// Writes a decimal number.
pub(crate) fn write_decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Returns node's reason phrase for a status (`http.STATUS_CODES`), or `unknown`.
#[must_use]
pub fn default_reason(status: u16) -> &'static [u8] {
    match status {
        100 => b"Continue",
        101 => b"Switching Protocols",
        102 => b"Processing",
        103 => b"Early Hints",
        200 => b"OK",
        201 => b"Created",
        202 => b"Accepted",
        203 => b"Non-Authoritative Information",
        204 => b"No Content",
        205 => b"Reset Content",
        206 => b"Partial Content",
        207 => b"Multi-Status",
        208 => b"Already Reported",
        226 => b"IM Used",
        300 => b"Multiple Choices",
        301 => b"Moved Permanently",
        302 => b"Found",
        303 => b"See Other",
        304 => b"Not Modified",
        305 => b"Use Proxy",
        307 => b"Temporary Redirect",
        308 => b"Permanent Redirect",
        400 => b"Bad Request",
        401 => b"Unauthorized",
        402 => b"Payment Required",
        403 => b"Forbidden",
        404 => b"Not Found",
        405 => b"Method Not Allowed",
        406 => b"Not Acceptable",
        407 => b"Proxy Authentication Required",
        408 => b"Request Timeout",
        409 => b"Conflict",
        410 => b"Gone",
        411 => b"Length Required",
        412 => b"Precondition Failed",
        413 => b"Payload Too Large",
        414 => b"URI Too Long",
        415 => b"Unsupported Media Type",
        416 => b"Range Not Satisfiable",
        417 => b"Expectation Failed",
        418 => b"I'm a Teapot",
        421 => b"Misdirected Request",
        422 => b"Unprocessable Entity",
        423 => b"Locked",
        424 => b"Failed Dependency",
        425 => b"Too Early",
        426 => b"Upgrade Required",
        428 => b"Precondition Required",
        429 => b"Too Many Requests",
        431 => b"Request Header Fields Too Large",
        451 => b"Unavailable For Legal Reasons",
        500 => b"Internal Server Error",
        501 => b"Not Implemented",
        502 => b"Bad Gateway",
        503 => b"Service Unavailable",
        504 => b"Gateway Timeout",
        505 => b"HTTP Version Not Supported",
        506 => b"Variant Also Negotiates",
        507 => b"Insufficient Storage",
        508 => b"Loop Detected",
        509 => b"Bandwidth Limit Exceeded",
        510 => b"Not Extended",
        511 => b"Network Authentication Required",
        _ => b"unknown",
    }
}

/// Keep-alive times from this value on mean no limit, so the `Keep-Alive` field is not sent. In
/// seconds.
const UNLIMITED_KEEPALIVE_SECS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::wire::head_flag::{CONNECTION, DATE, LENGTH};

    #[test]
    fn added_fields_have_nodes_order() {
        let mut out = Vec::new();
        let options =
            HeadOptions { closes: false, keepalive_secs: 75, date: b"now", length: Some(5) };
        write_head(
            &mut out,
            200,
            None,
            b"X-a: 1\r\n",
            HeadFlags::new(DATE | CONNECTION | LENGTH),
            &options,
        );
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "HTTP/1.1 200 OK\r\nX-a: 1\r\nDate: now\r\nConnection: keep-alive\r\n\
             Keep-Alive: timeout=75\r\nContent-Length: 5\r\n\r\n"
        );
    }

    #[test]
    fn chunks_are_framed_in_hex() {
        let mut out = Vec::new();
        write_chunk_size(&mut out, 255);
        write_last_chunk(&mut out, b"A: b\r\n");
        assert_eq!(out, b"ff\r\n0\r\nA: b\r\n\r\n");
    }
}
