//! What must hold for the header of the PROXY protocol, whatever stands at the beginning of a connection: as long as more
//! could change what is said of it, more is asked for; what has been said stays; and a header is within its bounds.

use std::net::SocketAddr;

use monoceros_engine::guard::Refusal;
use monoceros_engine::guard::proxy_protocol::{ProxyHeader, read};
use monoceros_engine::pressure::settings::ProxyProtocol;

/// The first byte chooses the versions that are looked for.
pub fn check(input: &[u8]) {
    let Some((&first, bytes)) = input.split_first() else { return };
    let versions = [ProxyProtocol::V1, ProxyProtocol::V2, ProxyProtocol::Auto][first as usize % 3];
    let whole = read(bytes, versions, true);
    let mut said = None;
    for end in (0..bytes.len().min(MAX_CUTS)).chain([bytes.len()]) {
        let now = read(&bytes[..end], versions, true);
        assert!(said.is_none_or(|said| said == now), "{said:?}, then {now:?} of {bytes:?}");
        if now != Ok(ProxyHeader::Incomplete) {
            said = Some(now);
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
    if let Ok(ProxyHeader::Present { addresses: Some(told), .. }) = whole {
        let line = line(told);
        let again = read(line.as_bytes(), ProxyProtocol::V1, true);
        let expected = Ok(ProxyHeader::Present { len: line.len(), addresses: Some(told) });
        assert_eq!(again, expected, "another meaning: {line:?}");
    }
}

/// The same said in version 1.
fn line((source, target): (SocketAddr, SocketAddr)) -> String {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), target.ip());
    format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), target.port())
}

const FORBIDDEN: Result<ProxyHeader, Refusal> = Err(Refusal::ProxyProtocolForbidden);
/// Cuts that are tried; a header of version 2 can be longer, but not more interesting.
const MAX_CUTS: usize = 300;
