//! Lists of IP addresses in settings: addresses, networks in CIDR notation, or `*` for all.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use crate::transport::listener::PeerAddr;

/// The peers that a setting such as `forwarded_allow_ips` lists. An empty list contains no address.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AddressList {
    contains_all: bool,
    networks: Vec<Network>,
}

/// Addresses with the same prefix, as bits of IPv6; a single address is a network of one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Network {
    bits: u128,
    mask: u128,
}

/// Error: this part of a list is neither an address nor a network.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadAddress(String);

impl AddressList {
    /// Parses `10.0.0.1, 192.168.0.0/16, ::1` or `*`. As in Gunicorn, a network address has no bits
    /// after its prefix: `10.0.0.1/8` is more likely a mistake.
    ///
    /// # Errors
    ///
    /// The first part that is neither an address nor a network.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        let mut list = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            if part == "*" {
                list.contains_all = true;
            } else {
                let network = Network::parse(part).ok_or_else(|| BadAddress(part.to_owned()))?;
                list.networks.push(network);
            }
        }
        Ok(list)
    }

    /// Returns whether the list contains the address. An IPv4-mapped IPv6 address counts as its
    /// IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        if self.contains_all {
            return true;
        }
        let bits = to_ipv6_bits(address);
        self.networks.iter().any(|network| bits & network.mask == network.bits)
    }

    /// Returns whether the peer of a connection is trusted. Peers on a Unix socket always are, as
    /// in Gunicorn: the permissions of the file system have admitted them.
    #[must_use]
    pub fn trusts(&self, peer: &PeerAddr) -> bool {
        match peer {
            PeerAddr::Ip(address) => self.contains(address.ip()),
            PeerAddr::Unix => true,
        }
    }

    /// Returns whether the list contains no address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.contains_all && self.networks.is_empty()
    }
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let max_length = if address.is_ipv4() { 32 } else { 128 };
        let length: u32 = match length {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok()?
            }
            Some(_) => return None,
            None => max_length,
        };
        if length > max_length {
            return None;
        }
        // An IPv4 address follows the 96 bits that map it into IPv6.
        let shift = max_length - length;
        let mask = u128::MAX.checked_shl(shift).unwrap_or(0);
        let bits = match address {
            IpAddr::V4(address) => map_to_ipv6(address),
            IpAddr::V6(address) => u128::from(address),
        };
        (bits & mask == bits).then_some(Self { bits, mask })
    }
}

fn to_ipv6_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => map_to_ipv6(address),
        IpAddr::V6(address) => u128::from(address),
    }
}

fn map_to_ipv6(address: Ipv4Addr) -> u128 {
    u128::from(address.to_ipv6_mapped())
}

impl fmt::Display for BadAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} is no IP address, network or *", self.0)
    }
}

impl std::error::Error for BadAddress {}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str, address: &str) -> bool {
        AddressList::parse(list).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn addresses_and_networks_match() {
        assert!(names("127.0.0.1,::1", "127.0.0.1"));
        assert!(names("127.0.0.1, ::1", "::1"));
        assert!(!names("127.0.0.1,::1", "127.0.0.2"));
        assert!(names("10.0.0.0/8", "10.255.1.2"));
        assert!(!names("10.0.0.0/8", "11.0.0.0"));
        assert!(names("2001:db8::/32", "2001:db8:1::5"));
        assert!(!names("2001:db8::/32", "2001:db9::"));
        assert!(names("0.0.0.0/0", "8.8.8.8"));
        assert!(!names("0.0.0.0/0", "2001:db8::1"), "a network of one family");
        assert!(names("::/0", "2001:db8::1"));
        assert!(names("*", "8.8.8.8"));
        assert!(!names("", "127.0.0.1"));
    }

    #[test]
    fn an_ipv4_address_in_ipv6_form_is_the_same_address() {
        assert!(names("127.0.0.1", "::ffff:127.0.0.1"));
        assert!(names("::ffff:10.0.0.0/104", "10.1.2.3"));
    }

    #[test]
    fn a_unix_socket_is_always_trusted() {
        assert!(AddressList::default().trusts(&PeerAddr::Unix));
        assert!(!AddressList::default().trusts(&PeerAddr::Ip("127.0.0.1:1".parse().unwrap())));
    }

    #[test]
    fn invalid_lists_are_refused() {
        for text in [
            "localhost",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "::1/129",
            "1.2.3",
            "10.0.0.0/",
        ] {
            assert!(AddressList::parse(text).is_err(), "{text}");
        }
        let error = AddressList::parse("127.0.0.1,proxy").unwrap_err();
        assert_eq!(error.to_string(), "\"proxy\" is no IP address, network or *");
    }
}
