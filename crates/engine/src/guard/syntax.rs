//! The characters of tokens and hosts.

use memchr::memchr;

use super::Refusal;

/// RFC 3986 section 3.2.2 with an optional port: no user, no path, no list. An empty value is allowed. Returns where the
/// host ends and the colon before the port stands; the length of the value when there is no port.
pub(crate) fn check_host(value: &[u8]) -> Result<usize, Refusal> {
    let end = if let [b'[', rest @ ..] = value {
        let close = memchr(b']', rest).ok_or(Refusal::BadHost)?;
        if !is_ip_literal(&rest[..close]) {
            return Err(Refusal::BadHost);
        }
        close + 2
    } else {
        let mut seen = 0;
        let end = value.iter().position(|&byte| {
            let class = HOST_CLASS[byte as usize];
            seen |= class;
            class == 0
        });
        let end = end.unwrap_or(value.len());
        if seen & PERCENT != 0 && !is_percent_encoded(&value[..end]) {
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

/// Empty, or a number that a port can be.
fn is_port(digits: &[u8]) -> bool {
    digits.len() <= 5
        && digits.iter().all(u8::is_ascii_digit)
        && digits.iter().fold(0, |port, digit| port * 10 + u32::from(digit - b'0')) <= 65_535
}

/// RFC 9110 section 5.6.2.
pub(crate) fn is_token(byte: u8) -> bool {
    TOKEN_CLASS[byte as usize] & TOKEN != 0
}

const TOKEN: u8 = 1;
/// The underscore.
pub(super) const UNDERSCORE: u8 = 2;
/// Lower case and `#`, which no method in use has.
pub(super) const UNUSUAL: u8 = 4;
const PLAIN: u8 = 1;
const PERCENT: u8 = 2;

/// The characters of a token, with what else they are; 0 for all others, where a scan ends.
pub(super) static TOKEN_CLASS: [u8; 256] = {
    let letters = mark([0; 256], ALPHANUMERIC, TOKEN);
    let lower = mark(letters, b"abcdefghijklmnopqrstuvwxyz#", UNUSUAL);
    mark(mark(lower, b"!#$%&'*+-.^_`|~", TOKEN), b"_", UNDERSCORE)
};

/// The characters of a host's name (RFC 3986: unreserved, sub-delims, percent-encoded).
static HOST_CLASS: [u8; 256] = {
    let letters = mark([0; 256], ALPHANUMERIC, PLAIN);
    mark(mark(letters, b"-._~!$&'()*+;=", PLAIN), b"%", PERCENT)
};

/// The characters of targets: all that can be printed. Some of them no URI is written with (RFC 3986), but clients send
/// them all the same, and node and Gunicorn take them.
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

/// The head with its method in with_uppercase_method.
pub(super) fn with_uppercase_method(input: &[u8]) -> Vec<u8> {
    let mut head = input.to_vec();
    let method = head.iter().position(|&byte| byte == b' ').unwrap_or(0);
    head[..method].make_ascii_uppercase();
    head
}
