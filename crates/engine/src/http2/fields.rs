//! Converts a response head from the HTTP/1.1 lines that JavaScript has written into the form that
//! h2 takes.

use http::header::{
    CONNECTION, CONTENT_LENGTH, DATE, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, Response, StatusCode};

use crate::bridge::ring::ResponseHead;

/// Converts the head of a final response. Fields that the engine adds have the same order as on
/// HTTP/1.1.
pub(crate) fn final_head(
    head: &ResponseHead<'_>,
    date: &[u8],
    length: Option<u64>,
) -> Option<Response<()>> {
    let mut response = bare_head(head.status, head.fields)?;
    let fields = response.headers_mut();
    if head.flags.adds_date() {
        fields.insert(DATE, HeaderValue::from_bytes(date).ok()?);
    }
    if let Some(length) = length.filter(|_| head.flags.adds_length()) {
        fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if head.status == 204 {
        // RFC 9110 section 8.6 forbids the field. HTTP/1 clients ignore it, HTTP/2 clients reset
        // the stream.
        fields.remove(CONTENT_LENGTH);
    }
    Some(response)
}

/// Converts a head without adding fields, as for 1xx. Returns `None` for a status that HTTP/2
/// cannot send.
pub(crate) fn bare_head(status: u16, lines: &[u8]) -> Option<Response<()>> {
    let mut response = Response::new(());
    // RFC 9113 section 8.6: HTTP/2 has no status 101.
    *response.status_mut() = StatusCode::from_u16(status).ok().filter(|&status| status != 101)?;
    parse_lines(lines, response.headers_mut());
    Some(response)
}

/// Parses `Name: value` lines that end in CRLF. Connection-specific fields are left out (RFC 9113
/// section 8.2.2). Invalid names and values are skipped: JavaScript has checked them before.
pub(crate) fn parse_lines(lines: &[u8], fields: &mut HeaderMap) {
    let mut rest = lines;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        rest = &rest[end + 1..];
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&line[..colon]), value)
            && !is_connection_specific(&name)
        {
            // The map has a larger limit than any client, so a failure is ignored.
            let _ = fields.try_append(name, value);
        }
    }
}

fn is_connection_specific(name: &HeaderName) -> bool {
    const OTHERS: [&str; 4] = ["keep-alive", "proxy-connection", "http2-settings", "te"];
    [CONNECTION, TRANSFER_ENCODING, UPGRADE].contains(name) || OTHERS.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_fields_are_removed_and_others_keep_their_order() {
        let lines = b"X-One: 1\r\nConnection: close\r\nKeep-Alive: timeout=5\r\nSet-Cookie: a\r\n\
            Transfer-Encoding: chunked\r\nUpgrade: h2c\r\nSet-Cookie: b=\xe9\r\n";
        let response = bare_head(200, lines).unwrap();
        let fields: Vec<_> = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes().to_vec()))
            .collect();
        let expected: [(&str, &[u8]); 3] =
            [("x-one", b"1"), ("set-cookie", b"a"), ("set-cookie", b"b=\xe9")];
        assert_eq!(fields, expected.map(|(name, value)| (name, value.to_vec())));
    }

    #[test]
    fn a_status_that_http2_cannot_send_gives_no_head() {
        assert!(bare_head(101, b"").is_none());
        assert!(bare_head(99, b"").is_none());
        assert!(bare_head(103, b"").is_some());
    }
}
