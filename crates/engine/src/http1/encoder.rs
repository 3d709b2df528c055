//! HTTP/1 out: heads, chunk framing, trailers, interim responses. Every byte of an answer is written here.

use std::io::Write as _;

use crate::bridge::ring::HeadFlags;
use crate::guard::{ErrorFormat, Refusal};

/// What the connection decides about a head.
#[derive(Clone, Copy, Debug)]
pub struct HeadOptions<'a> {
    /// The connection ends after this answer.
    pub closes: bool,
    /// Seconds for `Keep-Alive: timeout=`, when the connection lives on.
    pub keepalive_secs: u64,
    /// The cached value of `Date`.
    pub date: &'a [u8],
    /// The value of `Content-Length`, when the flags ask for the field.
    pub length: Option<u64>,
}

/// Writes a final head. The order of the added fields is node's: Date, Connection, Keep-Alive, then the framing.
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
    if flags.date() {
        out.extend_from_slice(b"Date: ");
        out.extend_from_slice(options.date);
        out.extend_from_slice(b"\r\n");
    }
    if flags.connection() {
        if options.closes {
            out.extend_from_slice(b"Connection: close\r\n");
        } else {
            out.extend_from_slice(b"Connection: keep-alive\r\n");
            if options.keepalive_secs < MAX_ADVERTISED_KEEPALIVE_SECS {
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
    if flags.chunked() {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Fields among which somebody else has said that the connection goes on, where it ends.
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

/// The fields and the body that tell a client what was wrong with its request, in the form that it reads best.
#[must_use]
pub fn refusal_content(refusal: Refusal, format: ErrorFormat) -> (String, String) {
    let (status, text) = (refusal.status(), refusal.text());
    let reason = String::from_utf8_lossy(default_reason(status));
    // The texts are ours and have nothing that HTML or JSON would want escaped.
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

/// Writes the answer to a refused request as node has it.
pub fn write_bare_refusal(out: &mut Vec<u8>, status: u16) {
    write_status_line(out, status, None);
    out.extend_from_slice(b"Connection: close\r\n\r\n");
}

/// Seconds: what is full now is most often not full in a moment, and a longer wait would be felt by a person.
const RETRY_AFTER: &str = "Retry-After: 1\r\n";

/// Writes an interim response (1xx).
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

/// The end of a line and of a chunk's data.
pub const CRLF: &[u8] = b"\r\n";

fn write_status_line(out: &mut Vec<u8>, status: u16, reason: Option<&[u8]>) {
    // node answers HTTP/1.1 whatever the minor version of the request (RFC 9110 section 6.2 lets it).
    if status == 200 && reason.is_none() {
        return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    write_decimal(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(reason.unwrap_or_else(|| default_reason(status)));
    out.extend_from_slice(b"\r\n");
}

/// Writes a number in decimal digits.
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

/// The reason phrase that node gives a status (its `STATUS_CODES`), `unknown` for others.
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

/// Who keeps idle connections for longer has no end in mind that a client should hear of.
const MAX_ADVERTISED_KEEPALIVE_SECS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_fields_come_in_nodes_order() {
        let mut out = Vec::new();
        let options =
            HeadOptions { closes: false, keepalive_secs: 75, date: b"now", length: Some(5) };
        write_head(&mut out, 200, None, b"X-a: 1\r\n", HeadFlags::new(1 | 2 | 4), &options);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "HTTP/1.1 200 OK\r\nX-a: 1\r\nDate: now\r\nConnection: keep-alive\r\nKeep-Alive: timeout=75\r\nContent-Length: 5\r\n\r\n"
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
