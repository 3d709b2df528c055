//! What must hold for a chunked body, whatever a client sends: the guard finds the end that the grammar of RFC 9112
//! section 7.1 gives it, wherever the bytes are cut, and decodes what hyper does and what a third decoder does. Here is
//! that third one: it takes the body line by line, knows nothing of the guard, and is as simple as the grammar.

use crate::{agreement, guard};

/// Checks the body and, as a message of its own, what both readers make of it.
pub fn check(input: &[u8]) {
    // Shorter than every limit, so that only the grammar decides.
    let body = &input[..input.len().min(MAX_BYTES)];
    let message = [HEAD, body].concat();
    let reading = guard::read(&message, message.len());
    let expected = read(body);
    match expected {
        Read::Whole(end, data) => {
            let text = String::from_utf8_lossy(body);
            assert!(reading.complete > 0, "not taken: {text:?}, {:?}", reading.refusal);
            let alone = guard::read(&message[..HEAD.len() + end], message.len());
            assert_eq!((alone.complete, alone.taken), (1, HEAD.len() + end), "its end: {text:?}");
            assert_eq!(alone.released, [HEAD, &data].concat(), "decoded otherwise: {text:?}");
        }
        Read::More | Read::Refused => {
            assert_eq!(reading.complete, 0, "taken: {:?}", String::from_utf8_lossy(body));
        }
    }
    guard::check(&message);
    agreement::check(&message);
}

/// What the grammar says of bytes that a body begins with.
#[derive(Debug, Eq, PartialEq)]
enum Read {
    /// It ends here, and carries this.
    Whole(usize, Vec<u8>),
    /// It has not ended.
    More,
    /// It is none.
    Refused,
}

fn read(body: &[u8]) -> Read {
    let (mut at, mut data) = (0, Vec::new());
    loop {
        let Some(line) = line(&body[at..]) else { return Read::More };
        let Some(size) = size(strip(line)) else { return Read::Refused };
        at += line.len();
        if size == 0 {
            break;
        }
        let Some(end) = usize::try_from(size).ok().and_then(|size| at.checked_add(size)) else {
            return Read::More;
        };
        match body.get(end..end.saturating_add(2)) {
            Some(b"\r\n") => {
                data.extend_from_slice(&body[at..end]);
                at = end + 2;
            }
            Some(_) => return Read::Refused,
            None => return Read::More,
        }
    }
    let mut trailers = 0;
    loop {
        let Some(line) = line(&body[at..]) else { return Read::More };
        at += line.len();
        match strip(line) {
            [] => return Read::Whole(at, data),
            _ if trailers == MAX_TRAILERS => return Read::Refused,
            field if line.ends_with(b"\r\n") && is_trailer(field) => trailers += 1,
            _ => return Read::Refused,
        }
    }
}

/// The first line with its end.
fn line(bytes: &[u8]) -> Option<&[u8]> {
    bytes.iter().position(|&byte| byte == b'\n').map(|at| &bytes[..=at])
}

fn strip(line: &[u8]) -> &[u8] {
    // A line that has no carriage return keeps its line feed, which no grammar has.
    line.strip_suffix(b"\r\n").unwrap_or(line)
}

/// `chunk-size [ chunk-ext ]`.
fn size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let (digits, mut rest) = line.split_at(digits);
    let size = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    if digits.len() > 16 {
        return None;
    }
    while !rest.is_empty() {
        rest = token(unspaced(unspaced(rest).strip_prefix(b";")?))?;
        if let Some(value) = unspaced(rest).strip_prefix(b"=") {
            let value = unspaced(value);
            rest = if value.starts_with(b"\"") { quoted(&value[1..])? } else { token(value)? };
        }
    }
    Some(size)
}

fn unspaced(text: &[u8]) -> &[u8] {
    let from = text.iter().position(|byte| !b" \t".contains(byte)).unwrap_or(text.len());
    &text[from..]
}

fn token(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|&byte| !is_token(byte)).unwrap_or(text.len());
    (end > 0).then(|| &text[end..])
}

fn quoted(text: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    loop {
        match *text.get(at)? {
            b'"' => return Some(&text[at + 1..]),
            b'\\' if !is_control(*text.get(at + 1)?) => at += 2,
            b'\\' => return None,
            byte if is_control(byte) => return None,
            _ => at += 1,
        }
    }
}

fn is_trailer(line: &[u8]) -> bool {
    let Some(colon) = line.iter().position(|&byte| byte == b':') else { return false };
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let forbidden = NEVER_TRAILERS.contains(&String::from_utf8_lossy(name).to_lowercase().as_str());
    colon > 0
        && name.iter().all(|&byte| is_token(byte))
        && !value.iter().any(|&byte| is_control(byte))
        && !forbidden
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_control(byte: u8) -> bool {
    byte != b'\t' && (byte < 0x20 || byte == 0x7f)
}

const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
const MAX_BYTES: usize = 1_500;
/// The one limit that fits into that.
const MAX_TRAILERS: usize = 100;
const NEVER_TRAILERS: [&str; 11] = [
    "host",
    "content-length",
    "transfer-encoding",
    "trailer",
    "authorization",
    "te",
    "connection",
    "upgrade",
    "expect",
    "proxy-authorization",
    "cookie",
];
