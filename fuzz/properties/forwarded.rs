//! Properties of forwarding fields, for any fields that a proxy lets through. Fields of an
//! untrusted peer change nothing. Fields of a trusted peer give an address, a host and a path,
//! however the bytes are split. The client is the right-most address that is no trusted proxy.

use std::net::{IpAddr, SocketAddr};

use monoceros_engine::exchange::request_head::{RequestHead, RootPath};
use monoceros_engine::guard::addresses::AddressList;
use monoceros_engine::guard::parse_policy::ParsePolicy;
use monoceros_engine::guard::{Guard, Progress, Refusal};
use monoceros_engine::pressure::limits::Limits;
use monoceros_engine::pressure::settings::ForwardedHeaders;
use monoceros_engine::transport::listener::PeerAddr;

/// What a proxy has reported about a request.
#[derive(Debug, Eq, PartialEq)]
struct Report {
    client: Option<SocketAddr>,
    is_secure: bool,
    host: Vec<u8>,
    root_path: Option<Vec<u8>>,
}

/// Checks one input. The first byte selects the setting `forwarded_headers`. Each line after it is
/// a field: the first byte selects the name, the rest is the value.
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
    let untrusted = read(&message, message.len(), &limits, "203.0.113.9:1");
    if let Ok(report) = &untrusted {
        assert_eq!(
            (report.client, report.is_secure, &report.host[..]),
            (None, false, &b"own.test"[..])
        );
        assert_eq!(report.root_path, None);
    }
    assert_ne!(untrusted, Err(Refusal::BadForwarding), "the fields of an untrusted peer were read");
    let whole = read(&message, message.len(), &limits, TRUSTED);
    assert_eq!(read(&message, 1, &limits, TRUSTED), whole, "byte by byte, the result differs");
    let Ok(report) = whole else { return };
    let plain =
        report.host.iter().all(|byte| byte.is_ascii_graphic() && !b",/?#@\\\"".contains(byte));
    assert!(plain, "not a host: {:?}", String::from_utf8_lossy(&report.host));
    if let Some(root_path) = &report.root_path {
        let target = format!("{PREFIX}/a");
        let rest = target.as_bytes().strip_prefix(&root_path[..]);
        assert!(
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")),
            "{root_path:?} is not a prefix of the target"
        );
    }
    match forwarded {
        ForwardedHeaders::Off => assert_eq!(report.client, None),
        ForwardedHeaders::XForwarded => {
            assert_eq!(
                report.client,
                expected_client(&fields, &limits.parse_policy.forwarded_allow_ips)
            );
        }
        ForwardedHeaders::Forwarded => {}
    }
}

/// Returns the client by `X-Forwarded-For`, read from left to right as one list.
fn expected_client(fields: &[(&str, &[u8])], trusted: &AddressList) -> Option<SocketAddr> {
    let values = fields.iter().filter(|(name, _)| *name == "X-Forwarded-For");
    let mut client = None;
    let items = values.flat_map(|(_, value)| value.split(|&byte| byte == b','));
    for item in items.map(<[u8]>::trim_ascii).filter(|item| !item.is_empty()) {
        let address = std::str::from_utf8(item).ok().and_then(parse_node);
        client = match (address, client) {
            (None, _) => None,
            // Only trusted proxies may have appended their clients after this one.
            (Some(address), Some(client)) if trusted.contains(address.ip()) => Some(client),
            (Some(address), _) => Some(address),
        };
    }
    client
}

fn parse_node(text: &str) -> Option<SocketAddr> {
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

fn read(message: &[u8], piece: usize, limits: &Limits, peer: &str) -> Result<Report, Refusal> {
    let peer = PeerAddr::Ip(peer.parse().expect("an address"));
    let mut guard = Guard::for_peer(&limits.parse_policy, &peer);
    let (mut head, mut output, mut pending) = (RequestHead::default(), Vec::new(), Vec::new());
    for chunk in message.chunks(piece.max(1)) {
        pending.extend_from_slice(chunk);
        let (taken, progress) = guard.advance(&pending, &mut output, &mut head, limits)?;
        pending.drain(..taken);
        if progress == Progress::Head {
            let host = head.fields.iter().find(|(name, _)| name.of(&output) == b"Host");
            let host = host.map_or(&b""[..], |(_, value)| value.of(&output)).to_vec();
            let root_path = match head.root_path {
                RootPath::FromProxy(span) => Some(span.of(&output).to_vec()),
                _ => None,
            };
            return Ok(Report {
                client: head.client_addr,
                is_secure: head.is_secure,
                host,
                root_path,
            });
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
