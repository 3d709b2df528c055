//! Reads what a trusted proxy reports of its client: scheme, address, host and the mount path.
//! Fields of other peers are ignored.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use memchr::memchr;

use crate::exchange::request_head::{RequestHead, RootPath, Span};
use crate::guard::parse_policy::ParsePolicy;
use crate::guard::refusal::Refusal;
use crate::guard::syntax::{check_host, is_token};
use crate::pressure::settings::ForwardedHeaders;

/// Forwarding fields of a request, recorded while its head is parsed.
#[derive(Default)]
pub(crate) struct ForwardingFields {
    /// Whether the client uses https, as reported by `secure_scheme_headers`.
    is_secure: Option<bool>,
    /// Whether the request has `Forwarded` or `X-Forwarded-For`.
    has_client_fields: bool,
    /// Value of `SCRIPT_NAME`.
    script_name: Option<Span>,
}

/// A client as reported by `X-Forwarded-*` or `Forwarded`.
#[derive(Default)]
struct ForwardedClient {
    address: Option<SocketAddr>,
    host: Option<Span>,
    is_secure: Option<bool>,
}

impl ForwardingFields {
    /// Records a field of a trusted peer.
    pub fn record(
        &mut self,
        policy: &ParsePolicy,
        input: &[u8],
        (name, value): (Span, Span),
    ) -> Result<(), Refusal> {
        let (name, value) = (name.of(input), value.of(input));
        if let Some((_, https)) =
            policy.secure_scheme_headers.iter().find(|(field, _)| field.eq_ignore_ascii_case(name))
        {
            merge_scheme(&mut self.is_secure, Some(value == https))?;
        }
        self.has_client_fields |= policy.forwarded_headers != ForwardedHeaders::Off
            && (name.eq_ignore_ascii_case(FORWARDED) || name.eq_ignore_ascii_case(X_FORWARDED_FOR));
        Ok(())
    }

    /// Records `SCRIPT_NAME`, the mount path that a trusted peer has set. It may occur once.
    pub fn record_script_name(&mut self, value: Span) -> Result<(), Refusal> {
        match self.script_name.replace(value) {
            None => Ok(()),
            Some(_) => Err(Refusal::BadForwarding),
        }
    }

    /// Applies the recorded fields to the head. `host_index` is the index of the `Host` field.
    pub fn apply_to(
        self,
        policy: &ParsePolicy,
        input: &[u8],
        head: &mut RequestHead,
        host_index: Option<usize>,
    ) -> Result<(), Refusal> {
        let mut is_secure = self.is_secure;
        if self.has_client_fields {
            let x_forwarded = read_x_forwarded(policy, input, head)?;
            let forwarded = read_forwarded(policy, input, head)?;
            let same = x_forwarded.address.map(|address| address.ip())
                == forwarded.address.map(|address| address.ip());
            if x_forwarded.address.is_some() && forwarded.address.is_some() && !same {
                return Err(Refusal::BadForwarding);
            }
            let client = if policy.forwarded_headers == ForwardedHeaders::Forwarded {
                forwarded
            } else {
                x_forwarded
            };
            merge_scheme(&mut is_secure, client.is_secure)?;
            head.client_addr = client.address;
            if let (Some(index), Some(value)) = (host_index, client.host) {
                head.fields[index].1 = value;
            }
        }
        head.is_secure = is_secure == Some(true);
        apply_root_path(self.script_name, policy, input, head)
    }
}

/// Merges two reports of the scheme and refuses the request if they contradict each other.
fn merge_scheme(known: &mut Option<bool>, reported: Option<bool>) -> Result<(), Refusal> {
    if known.is_some() && reported.is_some() && *known != reported {
        return Err(Refusal::BadForwarding);
    }
    *known = known.or(reported);
    Ok(())
}

/// Sets the mount path of the request. A target outside of it is an error of configuration, so the
/// status is 500, as in Gunicorn.
fn apply_root_path(
    script_name: Option<Span>,
    policy: &ParsePolicy,
    input: &[u8],
    head: &mut RequestHead,
) -> Result<(), Refusal> {
    let (prefix, kind) = match script_name {
        Some(value) => {
            let text = value.of(input);
            let length = text.iter().rposition(|&byte| byte != b'/').map_or(0, |at| at + 1);
            let span = Span { start: value.start, end: value.start + length as u32 };
            let text = span.of(input);
            // The value becomes part of paths, so it must be a path and not the start of another
            // host (`//a`).
            let is_path = text.starts_with(b"/")
                && !text.starts_with(b"//")
                && text.iter().all(|byte| matches!(byte, 0x21..=0x7e) && !b"?#\\".contains(byte));
            if !text.is_empty() && !is_path {
                return Err(Refusal::BadForwarding);
            }
            (text, RootPath::FromProxy(span))
        }
        None => (&policy.root_path[..], RootPath::Configured),
    };
    let target = head.target.of(input);
    // `*` and the authority of CONNECT have no path.
    let Some(path) = path_of_target(target).filter(|_| !prefix.is_empty()) else { return Ok(()) };
    match path.strip_prefix(prefix) {
        Some([] | [b'/' | b'?' | b'#', ..]) => head.root_path = kind,
        _ => return Err(Refusal::OutsideRootPath),
    }
    Ok(())
}

/// Returns the target from its path on: all of origin-form, the part after the authority of
/// absolute-form.
fn path_of_target(target: &[u8]) -> Option<&[u8]> {
    if target.starts_with(b"/") {
        return Some(target);
    }
    let authority = memchr::memmem::find(target, b"://")? + 3;
    let path = target[authority..].iter().position(|byte| b"/?#".contains(byte));
    Some(path.map_or(&b""[..], |at| &target[authority + at..]))
}

/// Reads `X-Forwarded-For` from right to left: the nearest proxy has written the last item.
fn read_x_forwarded(
    policy: &ParsePolicy,
    input: &[u8],
    head: &RequestHead,
) -> Result<ForwardedClient, Refusal> {
    let mut client = ForwardedClient::default();
    let mut hops = 0;
    for item in list_items_reversed(input, head, X_FORWARDED_FOR) {
        let Some(address) = parse_node(item.of(input)) else { break };
        client.address = Some(address);
        hops += 1;
        if hops == MAX_HOPS || !policy.forwarded_allow_ips.contains(address.ip()) {
            break;
        }
    }
    if client.address.is_some() {
        // Proxies that append to this list do so in the order of `X-Forwarded-For`. Most set it
        // once.
        client.host = list_items_reversed(input, head, X_FORWARDED_HOST).take(hops).last();
        if let Some(host) = client.host {
            check_host(host.of(input)).map_err(|_| Refusal::BadForwarding)?;
        }
    }
    Ok(client)
}

/// Returns the list items of all fields with a name, from right to left. Empty items are skipped
/// (RFC 9110 section 5.6.1.2).
fn list_items_reversed<'a>(
    input: &'a [u8],
    head: &'a RequestHead,
    name: &'a [u8],
) -> impl Iterator<Item = Span> + 'a {
    let fields = head.fields.iter().rev();
    let named = fields.filter(move |(field, _)| field.of(input).eq_ignore_ascii_case(name));
    named.flat_map(move |(_, value)| {
        let mut end = Some(value.end as usize);
        std::iter::from_fn(move || {
            let until = end?;
            let from = value.start as usize;
            let comma = input[from..until].iter().rposition(|&byte| byte == b',');
            end = comma.map(|at| from + at);
            let start = comma.map_or(from, |at| from + at + 1);
            Some(trimmed(input, start..until))
        })
        .filter(|item| !item.is_empty())
    })
}

fn trimmed(input: &[u8], range: std::ops::Range<usize>) -> Span {
    let text = &input[range.clone()];
    let start = range.start + (text.len() - text.trim_ascii_start().len());
    Span::new(start..(start + text.trim_ascii().len()))
}

/// Reads `Forwarded` (RFC 7239 section 4). Takes the first element from the right whose address is
/// not trusted.
fn read_forwarded(
    policy: &ParsePolicy,
    input: &[u8],
    head: &RequestHead,
) -> Result<ForwardedClient, Refusal> {
    let mut elements = Vec::new();
    for (name, value) in &head.fields {
        if name.of(input).eq_ignore_ascii_case(FORWARDED) {
            parse_forwarded(input, *value, &mut elements)?;
        }
    }
    let mut client = ForwardedClient::default();
    for element in elements.iter().rev() {
        // `unknown` and obfuscated identifiers hide the client (RFC 7239 section 6). The last known
        // element applies.
        let Some(address) = element.node.and_then(|node_of| parse_node(node_of.of(input))) else {
            break;
        };
        client = ForwardedClient { address: Some(address), host: element.host, is_secure: None };
        client.is_secure = match element.proto.map(|proto| proto.of(input)) {
            None => None,
            Some(proto) if proto.eq_ignore_ascii_case(b"https") => Some(true),
            Some(proto) if proto.eq_ignore_ascii_case(b"http") => Some(false),
            Some(_) => return Err(Refusal::BadForwarding),
        };
        if !policy.forwarded_allow_ips.contains(address.ip()) {
            break;
        }
    }
    if let Some(host) = client.host {
        check_host(host.of(input)).map_err(|_| Refusal::BadForwarding)?;
    }
    Ok(client)
}

#[derive(Default)]
struct ForwardedElement {
    node: Option<Span>,
    host: Option<Span>,
    proto: Option<Span>,
}

/// Parses `for=192.0.2.1;proto=https, for="[2001:db8::1]:80"`. Malformed values are refused: an
/// unterminated quote would hide what a trusted proxy has appended after it.
fn parse_forwarded(
    input: &[u8],
    value: Span,
    elements: &mut Vec<ForwardedElement>,
) -> Result<(), Refusal> {
    let (mut at, end) = (value.start as usize, value.end as usize);
    let mut element = ForwardedElement::default();
    let mut has_pairs = false;
    loop {
        at = skip_space(input, at, end);
        let name = at;
        at += input[at..end].iter().take_while(|&&byte| is_token(byte)).count();
        if at > name {
            has_pairs = true;
            let name = &input[name..at];
            if at == end || input[at] != b'=' {
                return Err(Refusal::BadForwarding);
            }
            let (pair, next) = parse_pair_value(input, at + 1, end)?;
            at = next;
            let target = match name.to_ascii_lowercase().as_slice() {
                b"for" => Some(&mut element.node),
                b"host" => Some(&mut element.host),
                b"proto" => Some(&mut element.proto),
                _ => None,
            };
            if let Some(target) = target
                && target.replace(pair).is_some()
            {
                return Err(Refusal::BadForwarding);
            }
        }
        at = skip_space(input, at, end);
        match input[at..end].first() {
            Some(b';') => {}
            end @ (Some(b',') | None) => {
                let element = std::mem::take(&mut element);
                // Empty elements are skipped (RFC 9110 section 5.6.1.2).
                if std::mem::take(&mut has_pairs) {
                    if elements.len() == MAX_HOPS {
                        return Err(Refusal::BadForwarding);
                    }
                    elements.push(element);
                }
                if end.is_none() {
                    return Ok(());
                }
            }
            Some(_) => return Err(Refusal::BadForwarding),
        }
        at += 1;
    }
}

/// Parses a token or quoted string. Returns the value without quotes, and the index after it.
fn parse_pair_value(input: &[u8], at: usize, end: usize) -> Result<(Span, usize), Refusal> {
    if at < end && input[at] == b'"' {
        let close = memchr(b'"', &input[at + 1..end]).ok_or(Refusal::BadForwarding)? + at + 1;
        let inside = &input[at + 1..close];
        // No address, host or scheme needs an escaped character.
        if inside.contains(&b'\\') {
            return Err(Refusal::BadForwarding);
        }
        return Ok((Span::new(at + 1..close), close + 1));
    }
    // RFC 7230 does not allow colons and brackets in a token, but proxies write them.
    let length = input[at..end]
        .iter()
        .take_while(|&&byte| is_token(byte) || b":[]/".contains(&byte))
        .count();
    if length == 0 {
        return Err(Refusal::BadForwarding);
    }
    Ok((Span::new(at..at + length), at + length))
}

fn skip_space(input: &[u8], at: usize, end: usize) -> usize {
    at + input[at..end].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// Parses `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`. The
/// port is 0 if it is missing.
fn parse_node(text: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(SocketAddr::new(address, 0));
    }
    if let Some(inside) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return Some(SocketAddr::new(inside.parse::<Ipv6Addr>().ok()?.into(), 0));
    }
    text.parse().ok()
}

/// Maximum number of proxies that are evaluated; more than any installation has.
const MAX_HOPS: usize = 64;
const FORWARDED: &[u8] = b"forwarded";
const X_FORWARDED_FOR: &[u8] = b"x-forwarded-for";
const X_FORWARDED_HOST: &[u8] = b"x-forwarded-host";

/// Returns the lengths of the names that `record` handles, as bits. The bit test skips nearly all
/// other fields without a comparison.
pub(crate) fn forwarding_name_lengths(policy: &ParsePolicy) -> u64 {
    let schemes = policy.secure_scheme_headers.iter().map(|(name, _)| name.len());
    let clients = [FORWARDED.len(), X_FORWARDED_FOR.len()];
    let clients = clients.into_iter().filter(|_| policy.forwarded_headers != ForwardedHeaders::Off);
    schemes.chain(clients).fold(0, |bits, length| bits | 1 << (length & 63))
}
