//! Properties of chunked bodies, for any input. The guard finds the end that RFC 9112 section 7.1
//! defines, however the bytes are split, and decodes the same data as hyper.
//!
//! A third decoder here reads the body line by line. It shares no code with the guard and is as
//! simple as the grammar.

use crate::{agreement, guard};

/// Checks the body, and the message that consists of a head and this body.
pub fn check(input: &[u8]) {
    // Shorter than every limit, so that only the grammar decides.
    let body = &input[..input.len().min(MAX_BYTES)];
    let message = [HEAD, body].concat();
    let reading = guard::read(&message, message.len());
    let expected = decode(body);
    match expected {
        Decoded::Complete(end, data) => {
            let text = String::from_utf8_lossy(body);
            assert!(reading.complete > 0, "not accepted: {text:?}, {:?}", reading.refusal);
            let alone = guard::read(&message[..HEAD.len() + end], message.len());
            assert_eq!((alone.complete, alone.taken), (1, HEAD.len() + end), "wrong end: {text:?}");
            assert_eq!(alone.output, [HEAD, &data].concat(), "decoded differently: {text:?}");
        }
        Decoded::Incomplete | Decoded::Invalid => {
            assert_eq!(reading.complete, 0, "accepted: {:?}", String::from_utf8_lossy(body));
        }
    }
    guard::check(&message);
    agreement::check(&message);
}

/// Result of decoding by the grammar.
#[derive(Debug, Eq, PartialEq)]
enum Decoded {
    /// The body is complete: its length and its data.
    Complete(usize, Vec<u8>),
    /// The body is incomplete.
    Incomplete,
    /// The bytes are no chunked body.
    Invalid,
}

fn decode(body: &[u8]) -> Decoded {
    let (mut at, mut data) = (0, Vec::new());
    loop {
        let Some(line) = next_line(&body[at..]) else { return Decoded::Incomplete };
        let Some(size) = parse_size(strip_crlf(line)) else { return Decoded::Invalid };
        at += line.len();
        if size == 0 {
            break;
        }
        let Some(end) = usize::try_from(size).ok().and_then(|size| at.checked_add(size)) else {
            return Decoded::Incomplete;
        };
        match body.get(end..end.saturating_add(2)) {
            Some(b"\r\n") => {
                data.extend_from_slice(&body[at..end]);
                at = end + 2;
            }
            Some(_) => return Decoded::Invalid,
            None => return Decoded::Incomplete,
        }
    }
    let mut trailers = 0;
    loop {
        let Some(line) = next_line(&body[at..]) else { return Decoded::Incomplete };
        at += line.len();
        match strip_crlf(line) {
            [] => return Decoded::Complete(at, data),
            _ if trailers == MAX_TRAILERS => return Decoded::Invalid,
            field if line.ends_with(b"\r\n") && is_trailer(field) => trailers += 1,
            _ => return Decoded::Invalid,
        }
    }
}

/// Returns the first line with its line end.
fn next_line(bytes: &[u8]) -> Option<&[u8]> {
    bytes.iter().position(|&byte| byte == b'\n').map(|at| &bytes[..=at])
}

fn strip_crlf(line: &[u8]) -> &[u8] {
    // A line without CR keeps its LF, which the grammar does not allow.
    line.strip_suffix(b"\r\n").unwrap_or(line)
}

/// Parses `chunk-size [ chunk-ext ]`.
fn parse_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let (digits, mut rest) = line.split_at(digits);
    let size = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    if digits.len() > 16 {
        return None;
    }
    while !rest.is_empty() {
        rest = skip_token(skip_space(skip_space(rest).strip_prefix(b";")?))?;
        if let Some(value) = skip_space(rest).strip_prefix(b"=") {
            let value = skip_space(value);
            rest = if value.starts_with(b"\"") {
                skip_quoted(&value[1..])?
            } else {
                skip_token(value)?
            };
        }
    }
    Some(size)
}

fn skip_space(text: &[u8]) -> &[u8] {
    let from = text.iter().position(|byte| !b" \t".contains(byte)).unwrap_or(text.len());
    &text[from..]
}

fn skip_token(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|&byte| !is_token(byte)).unwrap_or(text.len());
    (end > 0).then(|| &text[end..])
}

fn skip_quoted(text: &[u8]) -> Option<&[u8]> {
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
    let forbidden =
        FORBIDDEN_TRAILERS.contains(&String::from_utf8_lossy(name).to_lowercase().as_str());
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
/// Maximum number of trailers: the only limit that applies to bodies of this size.
const MAX_TRAILERS: usize = 100;
const FORBIDDEN_TRAILERS: [&str; 11] = [
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
