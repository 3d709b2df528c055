//! What must hold for a proxy's word on its client, whatever it has let through: nothing of it is believed of anybody
//! who is not trusted; of somebody who is, what is made of it is an address, a host and a path, the same however the bytes
//! are cut, and the client is the right-most one that is no trusted proxy.

use std::net::{IpAddr, SocketAddr};

use monoceros_engine::exchange::request_head::{RequestHead, RootPath};
use monoceros_engine::guard::addresses::AddressList;
use monoceros_engine::guard::parse_policy::ParsePolicy;
use monoceros_engine::guard::{Guard, Progress, Refusal};
use monoceros_engine::pressure::limits::Limits;
use monoceros_engine::pressure::settings::ForwardedHeaders;
use monoceros_engine::transport::listener::PeerAddr;

/// What became of a request.
#[derive(Debug, Eq, PartialEq)]
struct Told {
    client: Option<SocketAddr>,
    secure: bool,
    host: Vec<u8>,
    prefix: Option<Vec<u8>>,
}

/// The first byte chooses which fields are believed. Each line behind it is a field: its first byte chooses the name, the
/// rest is the value.
pub fn check(input: &[u8]) {
    let Some((&first, rest)) = input.split_first() else { return };
    let forwarded =
        [ForwardedHeaders::Off, ForwardedHeaders::XForwarded, ForwardedHeaders::Forwarded]
            [first as usize % 3];
    let fields = fields(rest);
    let mut message = format!("GET {PREFIX}/a HTTP/1.1\r\nHost: own.test\r\n").into_bytes();
    for (name, value) in &fields {
        message.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    message.extend_from_slice(b"\r\n");
    let limits = limits(forwarded);
    let stranger = read(&message, message.len(), &limits, "203.0.113.9:1");
    if let Ok(told) = &stranger {
        assert_eq!((told.client, told.secure, &told.host[..]), (None, false, &b"own.test"[..]));
        assert_eq!(told.prefix, None);
    }
    assert_ne!(stranger, Err(Refusal::BadForwarding), "a stranger's word was read");
    let whole = read(&message, message.len(), &limits, TRUSTED);
    assert_eq!(read(&message, 1, &limits, TRUSTED), whole, "another reading by bytes");
    let Ok(told) = whole else { return };
    let plain =
        told.host.iter().all(|byte| byte.is_ascii_graphic() && !b",/?#@\\\"".contains(byte));
    assert!(plain, "no host: {:?}", String::from_utf8_lossy(&told.host));
    if let Some(prefix) = &told.prefix {
        let target = format!("{PREFIX}/a");
        let behind = target.as_bytes().strip_prefix(&prefix[..]);
        assert!(
            behind.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")),
            "{prefix:?} is not where the target is"
        );
    }
    match forwarded {
        ForwardedHeaders::Off => assert_eq!(told.client, None),
        ForwardedHeaders::XForwarded => {
            assert_eq!(told.client, expected(&fields, &limits.parse_policy.forwarded_allow_ips))
        }
        ForwardedHeaders::Forwarded => {}
    }
}

/// The client by `X-Forwarded-For`, read from left to right as one list.
fn expected(fields: &[(&str, &[u8])], trusted: &AddressList) -> Option<SocketAddr> {
    let values = fields.iter().filter(|(name, _)| *name == "X-Forwarded-For");
    let mut client = None;
    let items = values.flat_map(|(_, value)| value.split(|&byte| byte == b','));
    for item in items.map(<[u8]>::trim_ascii).filter(|item| !item.is_empty()) {
        let address = std::str::from_utf8(item).ok().and_then(node);
        client = match (address, client) {
            (None, _) => None,
            // Behind a client only trusted proxies may have added themselves.
            (Some(address), Some(client)) if trusted.contains(address.ip()) => Some(client),
            (Some(address), _) => Some(address),
        };
    }
    client
}

fn node(text: &str) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let bare = bare.filter(|text| text.contains(':'));
    let alone = bare.unwrap_or(text).parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 0));
    text.parse().ok().or(alone)
}

fn fields(input: &[u8]) -> Vec<(&'static str, &[u8])> {
    let lines = input.split(|&byte| byte == b'\n').take(MAX_FIELDS);
    lines
        .filter_map(|line| line.split_first())
        .map(|(name, value)| (NAMES[*name as usize % NAMES.len()], value))
        .collect()
}

fn limits(forwarded_headers: ForwardedHeaders) -> Limits {
    let list = |text| AddressList::parse(text).expect("it is a list");
    let parse_policy = ParsePolicy {
        forwarded_allow_ips: list("127.0.0.1, 10.0.0.0/8, ::1, 2001:db8::/32"),
        forwarder_headers: vec![b"SCRIPT_NAME".to_vec()],
        secure_scheme_headers: vec![
            (b"X-Forwarded-Proto".to_vec(), b"https".to_vec()),
            (b"X-Forwarded-Ssl".to_vec(), b"on".to_vec()),
        ],
        forwarded_headers,
        ..ParsePolicy::default()
    };
    Limits { parse_policy, ..Limits::default() }
}

fn read(message: &[u8], piece: usize, limits: &Limits, peer: &str) -> Result<Told, Refusal> {
    let peer = PeerAddr::Ip(peer.parse().expect("an address"));
    let mut guard = Guard::for_peer(&limits.parse_policy, &peer);
    let (mut head, mut gate, mut waiting) = (RequestHead::default(), Vec::new(), Vec::new());
    for chunk in message.chunks(piece.max(1)) {
        waiting.extend_from_slice(chunk);
        let (taken, progress) = guard.advance(&waiting, &mut gate, &mut head, limits)?;
        waiting.drain(..taken);
        if progress == Progress::Head {
            let host = head.fields.iter().find(|(name, _)| name.of(&gate) == b"Host");
            let host = host.map_or(&b""[..], |(_, value)| value.of(&gate)).to_vec();
            let prefix = match head.root_path {
                RootPath::FromProxy(span) => Some(span.of(&gate).to_vec()),
                _ => None,
            };
            return Ok(Told { client: head.client_addr, secure: head.is_secure, host, prefix });
        }
    }
    Err(Refusal::HeadTimeout)
}

const NAMES: [&str; 7] = [
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Ssl",
    "SCRIPT_NAME",
    "X-Other",
];
const TRUSTED: &str = "127.0.0.1:1";
const PREFIX: &str = "/mount";
const MAX_FIELDS: usize = 40;
