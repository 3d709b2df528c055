//! The head of an answer as h2 takes it, made of the lines that JavaScript has written for HTTP/1.1.

use http::header::{
    CONNECTION, CONTENT_LENGTH, DATE, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, Response, StatusCode};

use crate::bridge::ring::ResponseHead;

/// The final head. What the engine adds stands where HTTP/1.1 has it.
pub(crate) fn final_head(
    head: &ResponseHead<'_>,
    date: &[u8],
    length: Option<u64>,
) -> Option<Response<()>> {
    let mut response = bare_head(head.status, head.fields)?;
    let fields = response.headers_mut();
    if head.flags.date() {
        fields.insert(DATE, HeaderValue::from_bytes(date).ok()?);
    }
    if let Some(length) = length.filter(|_| head.flags.length()) {
        fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if head.status == 204 {
        // RFC 9110 section 8.6 forbids it, and while clients of HTTP/1 pass over it, those of HTTP/2 reset the stream.
        fields.remove(CONTENT_LENGTH);
    }
    Some(response)
}

/// A head with nothing added, as 1xx has it. There is none for a status that HTTP has not.
pub(crate) fn bare_head(status: u16, lines: &[u8]) -> Option<Response<()>> {
    let mut response = Response::new(());
    // RFC 9113 section 8.6: 101 has no meaning here.
    *response.status_mut() = StatusCode::from_u16(status).ok().filter(|&status| status != 101)?;
    parse_lines(lines, response.headers_mut());
    Some(response)
}

/// Reads `Name: value` lines, each ended by CRLF. Fields that speak of the connection are left out (RFC 9113 section
/// 8.2.2), and so is what cannot be sent: JavaScript has checked names and values.
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
            // More than the map takes is more than any client does.
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
    fn fields_of_the_connection_are_left_out_and_others_keep_their_order() {
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
    fn a_status_that_cannot_be_sent_makes_no_head() {
        assert!(bare_head(101, b"").is_none());
        assert!(bare_head(99, b"").is_none());
        assert!(bare_head(103, b"").is_some());
    }
}
