//! The head of a request, read strictly by RFC 9112 sections 2 to 7.

use memchr::{memchr, memchr_iter, memmem, memrchr};

use super::Refusal;
use crate::limits::Limits;
use crate::request::{Framing, Head, Span};

/// Finds the end of the head that `input` begins with. `scanned` remembers how far earlier calls looked.
pub(super) fn end(
    input: &[u8],
    scanned: &mut usize,
    limits: &Limits,
) -> Result<Option<usize>, Refusal> {
    let from = scanned.saturating_sub(3);
    if let Some(at) = memmem::find(&input[from..], b"\r\n\r\n") {
        let len = from + at + 4;
        return if len > limits.head_size() { Err(Refusal::FieldTooLarge) } else { Ok(Some(len)) };
    }
    // What can be refused before the end is: a client that never ends its head gets its answer early.
    for line_feed in memchr_iter(b'\n', &input[*scanned..]).map(|at| *scanned + at) {
        if line_feed == 0 || input[line_feed - 1] != b'\r' {
            return Err(Refusal::BadLineEnd);
        }
    }
    *scanned = input.len();
    let line = memrchr(b'\n', input).map_or(0, |at| at + 1);
    let (most, refusal) = if line <= start(input) {
        (limits.request_line + 2, Refusal::UriTooLong)
    } else {
        (limits.request_field_size, Refusal::FieldTooLarge)
    };
    if input.len() - line >= most {
        return Err(refusal);
    }
    if input.len() > limits.head_size() { Err(Refusal::FieldTooLarge) } else { Ok(None) }
}

/// Where the request line begins (RFC 9112 section 2.2: one empty line before it is ignored).
fn start(input: &[u8]) -> usize {
    if input.starts_with(b"\r\n") { 2 } else { 0 }
}

/// Reads the head that `input` holds whole.
pub(super) fn parse(input: &[u8], head: &mut Head, limits: &Limits) -> Result<(), Refusal> {
    head.clear();
    head.len = input.len();
    let start = start(input);
    let line = line_end(input, start)?;
    if line - start > limits.request_line {
        return Err(Refusal::UriTooLong);
    }
    request_line(input, start, line, head)?;
    let mut facts = Facts::default();
    let mut at = line + 2;
    while at + 2 < input.len() {
        let end = line_end(input, at)?;
        if end + 2 - at > limits.request_field_size {
            return Err(Refusal::FieldTooLarge);
        }
        if head.fields.len() == limits.request_fields {
            return Err(Refusal::TooManyFields);
        }
        let (name, value) = field(input, at, end)?;
        facts.note(name.of(input), value.of(input))?;
        head.fields.push((name, value));
        at = end + 2;
    }
    facts.conclude(head, input)
}

/// The position of the CR of the line that begins at `from`.
fn line_end(input: &[u8], from: usize) -> Result<usize, Refusal> {
    match memchr(b'\n', &input[from..]) {
        Some(at) if at > 0 && input[from + at - 1] == b'\r' => Ok(from + at - 1),
        _ => Err(Refusal::BadLineEnd),
    }
}

fn request_line(input: &[u8], start: usize, end: usize, head: &mut Head) -> Result<(), Refusal> {
    let line = &input[start..end];
    let method = memchr(b' ', line).ok_or(Refusal::BadRequestLine)?;
    if method == 0 || !line[..method].iter().all(|&byte| TOKEN[byte as usize]) {
        return Err(Refusal::BadMethod);
    }
    let target = memchr(b' ', &line[method + 1..]).ok_or(Refusal::BadRequestLine)? + method + 1;
    let version = &line[target + 1..];
    head.method = Span::new(start..start + method);
    head.target = Span::new(start + method + 1..start + target);
    head.minor = match version {
        b"HTTP/1.1" => 1,
        b"HTTP/1.0" => 0,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            return Err(Refusal::UnsupportedVersion);
        }
        _ => return Err(Refusal::BadRequestLine),
    };
    // Behind the version: the preface of HTTP/2 is refused for that, not for its target.
    self::target(head.target.of(input), head.method.of(input))
}

/// RFC 9112 section 3.2: origin-form, absolute-form, authority-form (CONNECT only), asterisk-form (OPTIONS only).
fn target(target: &[u8], method: &[u8]) -> Result<(), Refusal> {
    if target.is_empty() || !target.iter().all(|byte| (0x21..=0x7e).contains(byte)) {
        return Err(Refusal::BadTarget);
    }
    let allowed = match (method, target) {
        (b"CONNECT", _) => memchr(b':', target).is_some() && memchr(b'/', target).is_none(),
        (_, [b'/', ..]) => true,
        (b"OPTIONS", b"*") => true,
        _ => memmem::find(target, b"://").is_some_and(|at| at > 0 && at + 3 < target.len()),
    };
    if allowed { Ok(()) } else { Err(Refusal::BadTarget) }
}

/// One field line: a token, a colon at once, and a value without controls (RFC 9112 section 5). A line that starts
/// with white space is obsolete folding and has no token.
pub(super) fn field(input: &[u8], start: usize, end: usize) -> Result<(Span, Span), Refusal> {
    let line = &input[start..end];
    let colon = line.iter().position(|&byte| !TOKEN[byte as usize]).ok_or(Refusal::BadField)?;
    if colon == 0 || line[colon] != b':' {
        return Err(Refusal::BadField);
    }
    let (mut from, mut to) = (colon + 1, line.len());
    while from < to && matches!(line[from], b' ' | b'\t') {
        from += 1;
    }
    while to > from && matches!(line[to - 1], b' ' | b'\t') {
        to -= 1;
    }
    if line[from..to].iter().any(|&byte| (byte < 0x20 && byte != b'\t') || byte == 0x7f) {
        return Err(Refusal::BadField);
    }
    Ok((Span::new(start..start + colon), Span::new(start + from..start + to)))
}

/// What the fields say about framing and connection, gathered while they are read.
#[derive(Default)]
struct Facts {
    length: Option<u64>,
    chunked: bool,
    transfer_encoding: bool,
    hosts: usize,
    close: bool,
    keep_alive: bool,
    upgrade_listed: bool,
    upgrade: bool,
    expect: bool,
}

impl Facts {
    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        // The length sorts out nearly every other name before a comparison.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                self.hosts += 1;
                host(value)?;
            }
            6 if name.eq_ignore_ascii_case(b"expect") => self.expect = true,
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
            10 if name.eq_ignore_ascii_case(b"connection") => {
                for option in value.split(|&byte| byte == b',') {
                    let option = option.trim_ascii();
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                    self.upgrade_listed |= option.eq_ignore_ascii_case(b"upgrade");
                }
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                if self.length.is_some() {
                    return Err(Refusal::BadContentLength);
                }
                self.length = Some(decimal(value).ok_or(Refusal::BadContentLength)?);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.transfer_encoding {
                    return Err(Refusal::BadTransferEncoding);
                }
                self.transfer_encoding = true;
                self.chunked = coding(value)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn conclude(self, head: &mut Head, input: &[u8]) -> Result<(), Refusal> {
        // RFC 9112 section 3.2: exactly one Host on HTTP/1.1, never two.
        if self.hosts > 1 || (self.hosts == 0 && head.minor == 1) {
            return Err(Refusal::BadHost);
        }
        if self.transfer_encoding {
            // RFC 9112 section 6.1: both headers are an attack or a mistake, and 1.0 knows no codings.
            if self.length.is_some() || head.minor == 0 {
                return Err(Refusal::BadTransferEncoding);
            }
            debug_assert!(self.chunked);
        }
        head.framing = match (self.chunked, self.length) {
            (true, _) => Framing::Chunked,
            (false, None | Some(0)) => Framing::None,
            (false, Some(length)) => Framing::Length(length),
        };
        let connect = head.method.of(input) == b"CONNECT";
        head.keep_alive = !self.close && (head.minor == 1 || self.keep_alive) && !connect;
        // RFC 9110 sections 10.1.1 and 7.8: neither field means anything on HTTP/1.0.
        head.expects = self.expect && head.minor == 1;
        head.upgrade = self.upgrade && self.upgrade_listed && head.minor == 1 || connect;
        Ok(())
    }
}

/// Digits only: no sign, no list, no space.
fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    value
        .iter()
        .try_fold(0u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

/// `chunked`, once and alone: 400 where it is not last or repeated, 501 for a coding nobody here decodes.
fn coding(value: &[u8]) -> Result<bool, Refusal> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(true);
    }
    let mut chunked = 0;
    let mut last = &b""[..];
    for coding in value.split(|&byte| byte == b',') {
        last = coding.trim_ascii();
        chunked += usize::from(last.eq_ignore_ascii_case(b"chunked"));
    }
    if chunked != 1 || !last.eq_ignore_ascii_case(b"chunked") {
        let known = chunked > 0 || value.is_empty();
        return Err(if known { Refusal::BadTransferEncoding } else { Refusal::UnknownCoding });
    }
    Err(Refusal::UnknownCoding)
}

/// RFC 3986 section 3.2.2 with an optional port: no user, no path, no list. An empty value is allowed.
fn host(value: &[u8]) -> Result<(), Refusal> {
    let name = match value {
        [b'[', rest @ ..] => {
            let close = memchr(b']', rest).ok_or(Refusal::BadHost)?;
            let inside = &rest[..close];
            if inside.is_empty()
                || !inside.iter().all(|b| {
                    b.is_ascii_hexdigit()
                        || matches!(b, b':' | b'.' | b'%' | b'v'..=b'z' | b'_' | b'-' | b'~')
                })
            {
                return Err(Refusal::BadHost);
            }
            &rest[close + 1..]
        }
        _ => {
            let colon = memchr(b':', value).unwrap_or(value.len());
            if !value[..colon].iter().all(|&byte| HOST[byte as usize]) {
                return Err(Refusal::BadHost);
            }
            &value[colon..]
        }
    };
    match name {
        [] => Ok(()),
        [b':', port @ ..] if port.len() <= 5 && port.iter().all(u8::is_ascii_digit) => Ok(()),
        _ => Err(Refusal::BadHost),
    }
}

const fn table(extra: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < extra.len() {
        table[extra[at] as usize] = true;
        at += 1;
    }
    table
}

/// RFC 9110 section 5.6.2.
static TOKEN: [bool; 256] = table(b"!#$%&'*+-.^_`|~");
/// RFC 3986: unreserved, sub-delims and percent-encoded.
static HOST: [bool; 256] = table(b"-._~!$&'()*+;=%");

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Head, Refusal> {
        let mut head = Head::default();
        parse(text.as_bytes(), &mut head, &Limits::default()).map(|()| head)
    }

    #[test]
    fn a_plain_get_is_read() {
        let text = "GET /a?b HTTP/1.1\r\nHost: x\r\nX-Y:  z \r\n\r\n";
        let head = read(text).unwrap();
        assert_eq!(head.method.of(text.as_bytes()), b"GET");
        assert_eq!(head.target.of(text.as_bytes()), b"/a?b");
        assert_eq!(head.fields[1].1.of(text.as_bytes()), b"z");
        assert!(head.keep_alive && head.framing == Framing::None);
    }

    #[test]
    fn each_fault_has_its_refusal() {
        for (text, refusal) in [
            ("GET / HTTP/1.1\nHost: x\r\n\r\n", Refusal::BadLineEnd),
            ("GET / HTTP/1.1\r\n\r\n", Refusal::BadHost),
            ("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", Refusal::BadHost),
            ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Refusal::BadHost),
            ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", Refusal::BadRequestLine),
            ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", Refusal::UnsupportedVersion),
            ("GET / HTTP/1.1 \r\nHost: x\r\n\r\n", Refusal::BadRequestLine),
            ("G@T / HTTP/1.1\r\nHost: x\r\n\r\n", Refusal::BadMethod),
            ("GET x HTTP/1.1\r\nHost: x\r\n\r\n", Refusal::BadTarget),
            ("GET / HTTP/1.1\r\nHost : x\r\n\r\n", Refusal::BadField),
            ("GET / HTTP/1.1\r\nHost: x\r\n fold\r\n\r\n", Refusal::BadField),
            ("GET / HTTP/1.1\r\nHost: x\r\nA: \x01\r\n\r\n", Refusal::BadField),
            ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n", Refusal::BadContentLength),
            (
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
                Refusal::BadContentLength,
            ),
            (
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                Refusal::BadTransferEncoding,
            ),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Refusal::BadTransferEncoding),
            (
                "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                Refusal::UnknownCoding,
            ),
            (
                "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
                Refusal::BadTransferEncoding,
            ),
            (
                "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xyz\r\n\r\n",
                Refusal::UnknownCoding,
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), refusal, "{text:?}");
        }
    }

    #[test]
    fn limits_are_exact() {
        let limits = Limits {
            request_line: 16,
            request_fields: 2,
            request_field_size: 12,
            ..Limits::default()
        };
        let check = |text: &str| parse(text.as_bytes(), &mut Head::default(), &limits);
        assert_eq!(check("GET /ab HTTP/1.1\r\nHost: x\r\n\r\n"), Ok(()));
        assert_eq!(check("GET /abc HTTP/1.1\r\nHost: x\r\n\r\n"), Err(Refusal::UriTooLong));
        assert_eq!(check("GET /ab HTTP/1.1\r\nHost: 1234\r\n\r\n"), Ok(()));
        assert_eq!(check("GET /ab HTTP/1.1\r\nHost: 12345\r\n\r\n"), Err(Refusal::FieldTooLarge));
        assert_eq!(
            check("GET /ab HTTP/1.1\r\nHost: x\r\na: b\r\nc: d\r\n\r\n"),
            Err(Refusal::TooManyFields)
        );
    }
}
