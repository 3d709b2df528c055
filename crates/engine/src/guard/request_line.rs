//! The request line (RFC 9112 section 3): the method, the target and the version.

use memchr::{memchr, memmem};

use super::parse_policy::ParsePolicy;
use super::refusal::Refusal;
use super::syntax::{TARGET_BYTES, TOKEN_CLASS, UNUSUAL, check_host};
use crate::exchange::request_head::{RequestHead, Span};

/// Parses the request line. Returns the authority if the target has absolute-form.
pub(super) fn parse_request_line(
    input: &[u8],
    start: usize,
    end: usize,
    head: &mut RequestHead,
    policy: &ParsePolicy,
) -> Result<Option<Span>, Refusal> {
    let line = &input[start..end];
    let mut classes = 0;
    let method = line.iter().position(|&byte| {
        let class = TOKEN_CLASS[byte as usize];
        classes |= class;
        class == 0
    });
    let method = method.ok_or(Refusal::BadRequestLine)?;
    if method == 0 || line[method] != b' ' {
        return Err(Refusal::BadMethod);
    }
    let is_listed = |method: &[u8]| {
        policy.allowed_methods.binary_search_by(|known| known.as_slice().cmp(method)).is_ok()
    };
    if !policy.allowed_methods.is_empty() && !is_listed(&line[..method]) {
        return Err(Refusal::BadMethod);
    }
    // All registered methods have 3 to 20 characters and no lower case. Others are most often an
    // attack on parsers that ignore case.
    if !policy.permit_unconventional_http_method
        && (classes & UNUSUAL != 0 || !(3..=20).contains(&method))
    {
        return Err(Refusal::BadMethod);
    }
    let target = memchr(b' ', &line[method + 1..]).ok_or(Refusal::BadRequestLine)? + method + 1;
    let version = &line[target + 1..];
    head.method = Span::new(start..start + method);
    head.target = Span::new(start + method + 1..start + target);
    head.minor_version = match version {
        b"HTTP/1.1" => 1,
        b"HTTP/1.0" => 0,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            return Err(Refusal::UnsupportedVersion);
        }
        _ => return Err(Refusal::BadRequestLine),
    };
    // The target is checked after the version, so that the preface of HTTP/2 is refused for its
    // version.
    if !head.target.of(input).iter().all(|&byte| TARGET_BYTES[byte as usize]) {
        return Err(Refusal::BadTarget);
    }
    parse_target(head.target, head.method.of(input), input, policy.accepts_any_host)
}

/// Checks the target (RFC 9112 section 3.2): origin-form, absolute-form, authority-form (CONNECT
/// only) or asterisk-form (OPTIONS only). With node's rules (`as_node`) CONNECT takes a path too:
/// the program reads the target itself.
fn parse_target(
    span: Span,
    method: &[u8],
    input: &[u8],
    as_node: bool,
) -> Result<Option<Span>, Refusal> {
    let target = span.of(input);
    match (method, target) {
        (b"CONNECT", [b'/', ..]) if as_node => Ok(None),
        (b"CONNECT", _) => {
            let port = check_host(target).map_err(|_| Refusal::BadTarget)?;
            let complete = port > 0 && port + 1 < target.len();
            if complete { Ok(None) } else { Err(Refusal::BadTarget) }
        }
        // A fragment is never sent (RFC 9110 section 4.1): two readers may find two paths.
        _ if target.contains(&b'#') => Err(Refusal::BadTarget),
        (_, [b'/', ..]) | (b"OPTIONS", b"*") => Ok(None),
        _ => parse_absolute_form(span, input).map(Some),
    }
}

/// Returns the authority of a target in absolute-form: a host with an optional port. A user name is
/// refused: it is more likely a deception than a valid request (RFC 9110 section 4.2.4).
fn parse_absolute_form(span: Span, input: &[u8]) -> Result<Span, Refusal> {
    let target = span.of(input);
    let scheme = memmem::find(target, b"://").ok_or(Refusal::BadTarget)?;
    let named = target[..scheme].iter().enumerate().all(|(at, byte)| {
        byte.is_ascii_alphabetic() || (at > 0 && matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.'))
    });
    let from = scheme + 3;
    let length = target[from..].iter().position(|byte| b"/?#".contains(byte));
    let to = length.map_or(target.len(), |length| from + length);
    let host = check_host(&target[from..to]).map_err(|_| Refusal::BadTarget)?;
    if scheme == 0 || !named || host == 0 {
        return Err(Refusal::BadTarget);
    }
    let start = span.start as usize;
    Ok(Span::new(start + from..start + to))
}
