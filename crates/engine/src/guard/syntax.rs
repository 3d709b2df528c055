//! Character tables and checks for tokens, hosts and targets.

use memchr::memchr;

use super::refusal::Refusal;

/// Checks a host with an optional port (RFC 3986 section 3.2.2): no user, path or list. An empty
/// value is allowed. Returns the index of the colon before the port, or the length of the value if
/// there is no port.
pub(crate) fn check_host(value: &[u8]) -> Result<usize, Refusal> {
    let end = if let [b'[', rest @ ..] = value {
        let close = memchr(b']', rest).ok_or(Refusal::BadHost)?;
        if !is_ip_literal(&rest[..close]) {
            return Err(Refusal::BadHost);
        }
        close + 2
    } else {
        let mut classes = 0;
        let end = value.iter().position(|&byte| {
            let class = HOST_CLASS[byte as usize];
            classes |= class;
            class == 0
        });
        let end = end.unwrap_or(value.len());
        if classes & PERCENT != 0 && !is_percent_encoded(&value[..end]) {
            return Err(Refusal::BadHost);
        }
        end
    };
    match &value[end..] {
        [] => Ok(end),
        [b':', port @ ..] if is_port(port) => Ok(end),
        _ => Err(Refusal::BadHost),
    }
}

fn is_ip_literal(inside: &[u8]) -> bool {
    if let [b'v' | b'V', rest @ ..] = inside {
        let version = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let named = |byte: &u8| *byte == b':' || HOST_CLASS[*byte as usize] & PLAIN != 0;
        return version > 0
            && rest.get(version) == Some(&b'.')
            && rest.len() > version + 1
            && rest[version + 1..].iter().all(named);
    }
    std::str::from_utf8(inside).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
}

fn is_percent_encoded(text: &[u8]) -> bool {
    text.iter().enumerate().filter(|(_, byte)| **byte == b'%').all(|(at, _)| {
        text.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// Returns whether a port is empty or a number up to 65535.
fn is_port(digits: &[u8]) -> bool {
    digits.len() <= 5
        && digits.iter().all(u8::is_ascii_digit)
        && digits.iter().fold(0, |port, digit| port * 10 + u32::from(digit - b'0')) <= 65_535
}

/// Returns whether a byte may be in a token (RFC 9110 section 5.6.2).
pub(crate) fn is_token(byte: u8) -> bool {
    TOKEN_CLASS[byte as usize] & TOKEN != 0
}

const TOKEN: u8 = 1;
/// Class of the underscore.
pub(super) const UNDERSCORE: u8 = 2;
/// Class of lower-case letters and `#`, which no common method has.
pub(super) const UNUSUAL: u8 = 4;
const PLAIN: u8 = 1;
const PERCENT: u8 = 2;

/// Classes of the characters of a token; 0 for all other bytes.
pub(super) static TOKEN_CLASS: [u8; 256] = {
    let letters = mark([0; 256], ALPHANUMERIC, TOKEN);
    let lower = mark(letters, b"abcdefghijklmnopqrstuvwxyz#", UNUSUAL);
    mark(mark(lower, b"!#$%&'*+-.^_`|~", TOKEN), b"_", UNDERSCORE)
};

/// Classes of the characters of a host name (RFC 3986: unreserved, sub-delims, percent-encoded).
static HOST_CLASS: [u8; 256] = {
    let letters = mark([0; 256], ALPHANUMERIC, PLAIN);
    mark(mark(letters, b"-._~!$&'()*+;=", PLAIN), b"%", PERCENT)
};

/// The characters of a target: all printable ASCII. RFC 3986 forbids some of them, but clients send
/// them, and node and Gunicorn accept them.
pub(super) static TARGET_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        table[byte as usize] = true;
        byte += 1;
    }
    table
};

const ALPHANUMERIC: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

const fn mark(mut table: [u8; 256], bytes: &[u8], class: u8) -> [u8; 256] {
    let mut at = 0;
    while at < bytes.len() {
        table[bytes[at] as usize] |= class;
        at += 1;
    }
    table
}

/// Returns the head with its method in upper case.
pub(super) fn with_uppercase_method(input: &[u8]) -> Vec<u8> {
    let mut head = input.to_vec();
    let method = head.iter().position(|&byte| byte == b' ').unwrap_or(0);
    head[..method].make_ascii_uppercase();
    head
}
