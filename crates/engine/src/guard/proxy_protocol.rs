//! Parses the PROXY protocol, versions 1 and 2, by which a proxy reports its client at the start of
//! a connection (`https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use memchr::memchr;

use crate::guard::refusal::Refusal;
use crate::pressure::settings::ProxyProtocol;

/// Result of parsing the start of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProxyHeader {
    /// Too few bytes have arrived to decide.
    Incomplete,
    /// No PROXY protocol header: a request comes first.
    Absent,
    /// A complete PROXY protocol header.
    Present {
        /// Length of the header in bytes.
        len: usize,
        /// Addresses of the client and of its destination. `None` if the proxy connects for itself,
        /// or for another kind of socket.
        addresses: Option<(SocketAddr, SocketAddr)>,
    },
}

/// Parses the header at the start of `input`. `is_allowed` means that the peer may send one.
///
/// # Errors
///
/// 403 if the peer may not send a header, 400 if the header is malformed.
pub fn read(
    input: &[u8],
    versions: ProxyProtocol,
    is_allowed: bool,
) -> Result<ProxyHeader, Refusal> {
    let v1 = matches!(versions, ProxyProtocol::V1 | ProxyProtocol::Auto);
    let v2 = matches!(versions, ProxyProtocol::V2 | ProxyProtocol::Auto);
    for (looked_for, signature) in [(v1, V1_SIGNATURE), (v2, V2_SIGNATURE)] {
        let common = signature.len().min(input.len());
        if !looked_for || input[..common] != signature[..common] {
            continue;
        }
        if common < signature.len() {
            return Ok(ProxyHeader::Incomplete);
        }
        if !is_allowed {
            return Err(Refusal::ProxyProtocolForbidden);
        }
        return if signature == V1_SIGNATURE { parse_v1(input) } else { parse_v2(input) };
    }
    Ok(ProxyHeader::Absent)
}

/// Parses version 1, such as `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443` with CRLF.
fn parse_v1(input: &[u8]) -> Result<ProxyHeader, Refusal> {
    let window = &input[..input.len().min(MAX_V1_HEADER_BYTES)];
    let Some(line_feed) = memchr(b'\n', window) else {
        return if input.len() < MAX_V1_HEADER_BYTES {
            Ok(ProxyHeader::Incomplete)
        } else {
            Err(Refusal::BadProxyHeader)
        };
    };
    let line = window[..line_feed].strip_suffix(b"\r").ok_or(Refusal::BadProxyHeader)?;
    let line = std::str::from_utf8(line).map_err(|_| Refusal::BadProxyHeader)?;
    let parts: Vec<_> = line.split(' ').collect();
    let addresses = match parts[..] {
        // The rest of the line is ignored, as the specification requires. Gunicorn refuses UNKNOWN.
        ["PROXY", "UNKNOWN", ..] => None,
        ["PROXY", family, source, target, source_port, target_port] => {
            let source =
                parse_endpoint(family, source, source_port).ok_or(Refusal::BadProxyHeader)?;
            let target =
                parse_endpoint(family, target, target_port).ok_or(Refusal::BadProxyHeader)?;
            Some((source, target))
        }
        _ => return Err(Refusal::BadProxyHeader),
    };
    Ok(ProxyHeader::Present { len: line_feed + 1, addresses })
}

fn parse_endpoint(family: &str, address: &str, port: &str) -> Option<SocketAddr> {
    let address = match family {
        "TCP4" => IpAddr::V4(address.parse().ok()?),
        "TCP6" => IpAddr::V6(address.parse().ok()?),
        _ => return None,
    };
    // Digits only, because `parse` accepts a sign.
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    Some(SocketAddr::new(address, port.parse().ok().filter(|_| digits)?))
}

/// Parses version 2: signature, version and command, family, length and addresses. TLVs after the
/// addresses are skipped.
fn parse_v2(input: &[u8]) -> Result<ProxyHeader, Refusal> {
    let Some(fixed) = input.get(..V2_FIXED_BYTES) else { return Ok(ProxyHeader::Incomplete) };
    let (command, family) = (fixed[12], fixed[13]);
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    // The high half is version 2, the low half one of the commands LOCAL and PROXY.
    if !matches!(command, 0x20 | 0x21) || length > MAX_V2_ADDRESS_BYTES {
        return Err(Refusal::BadProxyHeader);
    }
    let Some(addresses) = input.get(V2_FIXED_BYTES..V2_FIXED_BYTES + length) else {
        return Ok(ProxyHeader::Incomplete);
    };
    let addresses = match (command, family) {
        // LOCAL: the proxy connects for itself, most often for a health check.
        (0x20, _) | (_, UNSPECIFIED | UNIX_STREAM) => None,
        (_, INET_STREAM) => {
            Some(parse_address_pair::<4>(addresses, |bytes| Ipv4Addr::from(bytes).into())?)
        }
        (_, INET6_STREAM) => {
            Some(parse_address_pair::<16>(addresses, |bytes| Ipv6Addr::from(bytes).into())?)
        }
        _ => return Err(Refusal::BadProxyHeader),
    };
    Ok(ProxyHeader::Present { len: V2_FIXED_BYTES + length, addresses })
}

fn parse_address_pair<const N: usize>(
    bytes: &[u8],
    address: impl Fn([u8; N]) -> IpAddr,
) -> Result<(SocketAddr, SocketAddr), Refusal> {
    let take = |at: usize, port: usize| {
        let ip = bytes.get(at..at + N)?.try_into().ok()?;
        let port = bytes.get(port..port + 2)?.try_into().ok()?;
        Some(SocketAddr::new(address(ip), u16::from_be_bytes(port)))
    };
    take(0, 2 * N).zip(take(N, 2 * N + 2)).ok_or(Refusal::BadProxyHeader)
}

const V1_SIGNATURE: &[u8] = b"PROXY ";
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Maximum length of version 1 with its CRLF, by the specification.
const MAX_V1_HEADER_BYTES: usize = 107;
/// Length of version 2 before the addresses, in bytes.
const V2_FIXED_BYTES: usize = 16;
/// Maximum length of the addresses and TLVs of version 2, in bytes. It is many times what proxies
/// send; a header of 64 KiB would be an attack.
const MAX_V2_ADDRESS_BYTES: usize = 4_096;
const UNSPECIFIED: u8 = 0x00;
const INET_STREAM: u8 = 0x11;
const INET6_STREAM: u8 = 0x21;
const UNIX_STREAM: u8 = 0x31;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_addresses(input: &[u8]) -> Option<(String, String)> {
        match read(input, ProxyProtocol::Auto, true) {
            Ok(ProxyHeader::Present { len, addresses }) => {
                assert_eq!(len, input.len());
                addresses.map(|(source, target)| (source.to_string(), target.to_string()))
            }
            other => panic!("{other:?}"),
        }
    }

    fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = (addresses.len() as u16).to_be_bytes();
        [V2_SIGNATURE, &[command, family], &length, addresses].concat()
    }

    const V4: &[u8] = &[192, 168, 1, 10, 192, 168, 1, 1, 0x30, 0x39, 0x01, 0xbb];

    #[test]
    fn both_versions_have_the_client_address() {
        let expected = Some(("192.168.1.10:12345".to_owned(), "192.168.1.1:443".to_owned()));
        assert_eq!(parse_addresses(b"PROXY TCP4 192.168.1.10 192.168.1.1 12345 443\r\n"), expected);
        assert_eq!(parse_addresses(&v2(0x21, 0x11, V4)), expected);
        let with_tlv = [V4, &[4, 0, 3, 1, 2, 3]].concat();
        assert_eq!(parse_addresses(&v2(0x21, 0x11, &with_tlv)), expected);
        let six = parse_addresses(b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n").unwrap();
        assert_eq!(six.0, "[2001:db8::1]:1");
        let mut addresses = [0; 36];
        (addresses[15], addresses[31], addresses[33], addresses[35]) = (1, 2, 1, 2);
        assert_eq!(parse_addresses(&v2(0x21, 0x21, &addresses)).unwrap().0, "[::1]:1");
    }

    #[test]
    fn unknown_local_and_unspecified_have_no_addresses() {
        assert_eq!(parse_addresses(b"PROXY UNKNOWN\r\n"), None);
        assert_eq!(parse_addresses(b"PROXY UNKNOWN ffff::1 ffff::1 65535 65535\r\n"), None);
        assert_eq!(parse_addresses(&v2(0x20, 0x11, V4)), None);
        assert_eq!(parse_addresses(&v2(0x20, 0x00, &[])), None);
        assert_eq!(parse_addresses(&v2(0x21, 0x00, &[1, 2, 3])), None);
        assert_eq!(parse_addresses(&v2(0x21, 0x31, &[0; 216])), None);
    }

    #[test]
    fn every_prefix_of_a_header_is_incomplete() {
        for header in [b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n".to_vec(), v2(0x21, 0x11, V4)] {
            for end in 0..header.len() {
                let result = read(&header[..end], ProxyProtocol::Auto, true);
                assert_eq!(result, Ok(ProxyHeader::Incomplete), "{end}");
            }
        }
    }

    #[test]
    fn malformed_headers_are_refused() {
        for line in [
            "PROXY TCP4 192.168.0.1 192.16...\r\n",
            "PROXY TCP4 192.168.0.1 192.168.0.11 65iii 100000\r\n",
            "PROXY TCP4 not-an-ip 192.168.0.11 56324 443\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
            "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
            "PROXY \r\n",
        ] {
            let result = read(line.as_bytes(), ProxyProtocol::Auto, true);
            assert_eq!(result, Err(Refusal::BadProxyHeader), "{line:?}");
        }
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(MAX_V1_HEADER_BYTES));
        assert_eq!(read(long.as_bytes(), ProxyProtocol::V1, true), Err(Refusal::BadProxyHeader));
        for header in [
            v2(0x11, 0x11, V4),
            v2(0x22, 0x11, V4),
            v2(0x21, 0x12, V4),
            v2(0x21, 0x11, &V4[1..]),
            v2(0x21, 0x21, V4),
            v2(0x21, 0x11, &[0; MAX_V2_ADDRESS_BYTES + 1]),
        ] {
            assert_eq!(read(&header, ProxyProtocol::Auto, true), Err(Refusal::BadProxyHeader));
        }
    }

    #[test]
    fn headers_of_other_versions_and_other_peers_are_not_accepted() {
        let (v1, v2) = (b"PROXY UNKNOWN\r\n", v2(0x20, 0, &[]));
        assert_eq!(read(v1, ProxyProtocol::V2, true), Ok(ProxyHeader::Absent));
        assert_eq!(read(&v2, ProxyProtocol::V1, true), Ok(ProxyHeader::Absent));
        assert_eq!(read(v1, ProxyProtocol::Off, true), Ok(ProxyHeader::Absent));
        assert_eq!(read(v1, ProxyProtocol::Auto, false), Err(Refusal::ProxyProtocolForbidden));
        assert_eq!(read(&v2, ProxyProtocol::Auto, false), Err(Refusal::ProxyProtocolForbidden));
        assert_eq!(read(b"GET / HTTP/1.1\r\n", ProxyProtocol::Auto, true), Ok(ProxyHeader::Absent));
        assert_eq!(read(b"\r\nGET", ProxyProtocol::Auto, true), Ok(ProxyHeader::Absent));
        assert_eq!(read(b"PUT ", ProxyProtocol::Auto, true), Ok(ProxyHeader::Absent));
    }
}
