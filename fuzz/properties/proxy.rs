//! Properties of the PROXY protocol, for any start of a connection. The parser asks for more bytes
//! as long as they could change the result. A result never changes with more bytes. A header never
//! exceeds its limit.

use std::net::SocketAddr;

use monoceros_engine::guard::Refusal;
use monoceros_engine::guard::proxy_protocol::{ProxyHeader, read};
use monoceros_engine::pressure::settings::ProxyProtocol;

/// Checks one input. The first byte selects the versions that are accepted.
pub fn check(input: &[u8]) {
    let Some((&first, bytes)) = input.split_first() else { return };
    let versions = [ProxyProtocol::V1, ProxyProtocol::V2, ProxyProtocol::Auto][first as usize % 3];
    let whole = read(bytes, versions, true);
    let mut result = None;
    for end in (0..bytes.len().min(MAX_PREFIXES)).chain([bytes.len()]) {
        let now = read(&bytes[..end], versions, true);
        assert!(result.is_none_or(|result| result == now), "{result:?}, then {now:?} of {bytes:?}");
        if now != Ok(ProxyHeader::Incomplete) {
            result = Some(now);
        }
        if let Ok(ProxyHeader::Present { len, .. }) = now {
            assert!(len <= end && len <= 16 + 4_096, "{len} of {end} bytes");
        }
    }
    let forbidden = read(bytes, versions, false);
    match whole {
        Ok(ProxyHeader::Absent) => assert_eq!(forbidden, whole),
        Ok(ProxyHeader::Incomplete) => assert!(forbidden == whole || forbidden == FORBIDDEN),
        _ => assert_eq!(forbidden, FORBIDDEN),
    }
    if let Ok(ProxyHeader::Present { addresses: Some(addresses), .. }) = whole {
        let line = to_v1(addresses);
        let again = read(line.as_bytes(), ProxyProtocol::V1, true);
        let expected = Ok(ProxyHeader::Present { len: line.len(), addresses: Some(addresses) });
        assert_eq!(again, expected, "different addresses: {line:?}");
    }
}

/// Writes the same addresses in version 1.
fn to_v1((source, target): (SocketAddr, SocketAddr)) -> String {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), target.ip());
    format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), target.port())
}

const FORBIDDEN: Result<ProxyHeader, Refusal> = Err(Refusal::ProxyProtocolForbidden);
/// Maximum number of prefixes to try. A header of version 2 can be longer, but needs no further
/// checks.
const MAX_PREFIXES: usize = 300;
