//! Writes an HTTP/2 request in the form of HTTP/1.1. The application sees no difference, and the
//! guard applies the same rules to both versions.

use h2::ext::Protocol;
use http::header::{CONTENT_LENGTH, COOKIE, HOST, SEC_WEBSOCKET_KEY};
use http::request::Parts;
use http::{HeaderMap, Method};

use crate::guard::Refusal;
use crate::guard::parse_policy::ParsePolicy;

/// Writes the head of a request. `is_end_stream` means that no body follows.
pub fn write_request_head(
    parts: &Parts,
    is_end_stream: bool,
    policy: &ParsePolicy,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let protocol = parts.extensions.get::<Protocol>();
    let is_connect = parts.method == Method::CONNECT && protocol.is_none();
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    // RFC 8441: an extended CONNECT is the upgrade of HTTP/1.1.
    let method = if protocol.is_some() { &Method::GET } else { &parts.method };
    let target = if is_connect {
        authority.unwrap_or_default()
    } else {
        parts.uri.path_and_query().map_or(&b""[..], |path| path.as_str().as_bytes())
    };
    // RFC 9113 section 8.3.1: the target is a path, or `*` for OPTIONS.
    let is_path = target.starts_with(b"/") || (target == b"*" && *method == Method::OPTIONS);
    let is_plain = target.iter().all(|&byte| byte > b' ' && byte != 0x7f);
    if !(is_connect || is_path) || !is_plain {
        return Err(Refusal::BadTarget);
    }
    for part in [method.as_str().as_bytes(), b" ", target, b" HTTP/1.1\r\n"] {
        out.extend_from_slice(part);
    }
    if policy.casefold_http_method {
        out[..method.as_str().len()].make_ascii_uppercase();
    }
    write_host(parts, authority, out)?;
    write_fields(&parts.headers, out)?;
    if let Some(protocol) = protocol {
        write_upgrade_fields(protocol, &parts.headers, out)?;
    } else if !is_end_stream && !is_connect && !parts.headers.contains_key(CONTENT_LENGTH) {
        // Without `Content-Length`, frameworks look for a body by this field.
        write_field(b"transfer-encoding", b"chunked", out)?;
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Writes the `Host` field from `:authority`. A `host` field beside it must have the same value
/// (RFC 9113 section 8.3.1).
fn write_host(parts: &Parts, authority: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let mut hosts = parts.headers.get_all(HOST).iter().map(|host| host.as_bytes());
    let host_field = hosts.next();
    if hosts.next().is_some() {
        return Err(Refusal::BadHost);
    }
    let host = match (authority, host_field) {
        (Some(authority), Some(host_field)) if !authority.eq_ignore_ascii_case(host_field) => {
            return Err(Refusal::BadHost);
        }
        (Some(host), _) | (None, Some(host)) => host,
        (None, None) => return Ok(()),
    };
    // A user name in the authority is more likely a deception than a valid request (RFC 9110
    // section 4.2.4).
    if host.contains(&b'@') {
        return Err(Refusal::BadHost);
    }
    write_field(b"host", host, out)
}

fn write_fields(headers: &HeaderMap, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let mut has_cookie = false;
    for (name, value) in headers {
        if name == COOKIE {
            // RFC 9113 section 8.2.3: a client may split `cookie` into several fields. HTTP/1.1
            // needs one field.
            if !std::mem::replace(&mut has_cookie, true) {
                let values = headers.get_all(COOKIE).iter().map(|value| value.as_bytes());
                let values = values.filter(|value| !value.is_empty());
                write_field(b"cookie", &values.collect::<Vec<_>>().join(&b"; "[..]), out)?;
            }
        } else if name != HOST {
            write_field(name.as_str().as_bytes(), value.as_bytes(), out)?;
        }
    }
    Ok(())
}

/// Writes a field line. RFC 9113 section 8.2.1: no CR, LF or NUL, and no white space at either end
/// of the value.
fn write_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let is_broken = value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
    if is_space(value.first()) || is_space(value.last()) || is_broken {
        return Err(Refusal::BadField);
    }
    for part in [name, b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
    Ok(())
}

/// Writes the fields of an HTTP/1.1 upgrade that RFC 8441 does not have. A WebSocket request
/// without a key gets a placeholder. The response to the placeholder is not sent.
fn write_upgrade_fields(
    protocol: &Protocol,
    headers: &HeaderMap,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    write_field(b"connection", b"Upgrade", out)?;
    write_field(b"upgrade", protocol.as_str().as_bytes(), out)?;
    let has_key = headers.contains_key(SEC_WEBSOCKET_KEY);
    if protocol.as_str().eq_ignore_ascii_case("websocket") && !has_key {
        write_field(b"sec-websocket-key", PLACEHOLDER_KEY, out)?;
    }
    Ok(())
}

/// Writes the trailers of a request as HTTP/1.1 field lines.
pub(crate) fn trailer_lines(headers: &HeaderMap) -> Result<Vec<u8>, Refusal> {
    let mut lines = Vec::new();
    write_fields(headers, &mut lines).map_err(|_| Refusal::BadTrailer)?;
    // `write_fields` skips `host`.
    if headers.contains_key(HOST) { Err(Refusal::BadTrailer) } else { Ok(lines) }
}

/// Placeholder for `Sec-WebSocket-Key`, and the accept value that every server computes from it
/// (RFC 6455 section 4.2.2).
const PLACEHOLDER_KEY: &[u8] = b"bW9ub2Nlcm9zLWh0dHAvMg==";
pub(crate) const PLACEHOLDER_ACCEPT: &str = "ZicETiRVCZjrUwzmNEnaU18cW78=";

#[cfg(test)]
mod tests;
