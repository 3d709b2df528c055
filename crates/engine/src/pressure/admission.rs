//! Admission of accepted connections. File descriptors bound the number of connections: a worker
//! without a free one can neither accept nor open a file for the application. The last descriptors
//! are therefore reserved. A connection that would take one evicts others, or is refused.
//! `limit_connections_per_address` bounds the connections of each client.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use crate::pressure::limits::Limits;
use crate::pressure::settings::ProxyProtocol;
use crate::transport::listener::{PeerAddr, descriptor_limit};

/// Counts connections by client address, and knows which descriptors are reserved.
pub(crate) struct Admission {
    /// Lowest descriptor number of the reserve. The system assigns the lowest free number, so a
    /// connection gets this number only if all lower ones are in use.
    reserved_from: Cell<RawFd>,
    /// Number of connections of each client; see [`address_key`].
    addresses: RefCell<HashMap<IpAddr, AddressCount>>,
    /// Refused connections since the last log line.
    refused: RefCell<RefusalReport>,
}

/// Number of connections from one address.
#[derive(Default)]
struct AddressCount {
    /// Connections that are served.
    admitted: u32,
    /// Refused connections whose error response is still being sent.
    refused: u32,
}

/// Refused connections that have not been logged yet.
#[derive(Default)]
struct RefusalReport {
    /// Number of refused connections.
    count: u64,
    /// Address of the last one; `None` if there is none to log.
    last: Option<IpAddr>,
    /// When the last log line was written, in milliseconds of the context's clock; 0 for never.
    reported_at_ms: u64,
}

/// Decision about an accepted connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// The connection is served.
    Admitted,
    /// The client gets 503 with Retry-After, then the connection closes.
    Refused,
    /// The connection is closed without a response.
    Closed,
}

/// A connection's part of `limit_connections_per_address`, until it is
/// [released](Admission::release).
#[derive(Default)]
pub(crate) struct AddressShare {
    /// Client that the connection counts for; `None` if it does not count.
    client: Option<IpAddr>,
    /// Whether the connection counts as refused, not as admitted.
    is_refused: bool,
}

impl Admission {
    /// Creates the admission of a thread without connections.
    pub fn new() -> Self {
        Self {
            reserved_from: Cell::new(first_reserved_descriptor()),
            addresses: RefCell::default(),
            refused: RefCell::default(),
        }
    }

    /// Counts a connection of a client, from its accept on, and decides about it.
    pub fn count(&self, limits: &Limits, peer: &PeerAddr) -> (Verdict, AddressShare) {
        match counted_address(limits, peer) {
            Some(client) => {
                self.count_connection(client, limits.settings.limit_connections_per_address)
            }
            None => (Verdict::Admitted, AddressShare::default()),
        }
    }

    /// Whether the descriptor is one of the reserve.
    pub fn is_reserved(&self, fd: &OwnedFd) -> bool {
        fd.as_raw_fd() >= self.reserved_from.get()
    }

    /// Reads the limit of the process again, which may have been lowered.
    pub fn read_descriptor_limit(&self) {
        self.reserved_from.set(first_reserved_descriptor());
    }

    /// Removes a closed connection from the count of its client.
    pub fn release(&self, share: &AddressShare) {
        let Some(client) = share.client else { return };
        let mut addresses = self.addresses.borrow_mut();
        if let Some(count) = addresses.get_mut(&client) {
            *count.counter_mut(share.is_refused) -= 1;
            if count.admitted + count.refused == 0 {
                addresses.remove(&client);
            }
        }
    }

    /// Returns a log line about the connections refused since the last line, at most once per
    /// second: a flood of connections must not flood the log.
    pub fn take_refusal_report(&self, now_ms: u64) -> Option<String> {
        let mut refused = self.refused.borrow_mut();
        let last = refused.last?;
        if refused.reported_at_ms > 0 && now_ms < refused.reported_at_ms + REPORT_INTERVAL_MS {
            return None;
        }
        let count = refused.count;
        *refused = RefusalReport { reported_at_ms: now_ms, ..RefusalReport::default() };
        Some(format!(
            "limit_connections_per_address: {count} connections refused, the last from {last}"
        ))
    }

    /// Counts a connection of a client and decides about it. Up to `most` connections are admitted.
    /// Up to `most` more get a response that explains the refusal. Further ones are closed at once,
    /// because each response keeps its connection open for up to `linger_timeout`.
    fn count_connection(&self, client: IpAddr, most: u32) -> (Verdict, AddressShare) {
        let mut addresses = self.addresses.borrow_mut();
        let count = addresses.entry(client).or_default();
        let verdict = if count.admitted < most {
            Verdict::Admitted
        } else if count.refused < most {
            Verdict::Refused
        } else {
            Verdict::Closed
        };
        if verdict != Verdict::Admitted {
            let mut refused = self.refused.borrow_mut();
            refused.count += 1;
            refused.last = Some(client);
        }
        if verdict == Verdict::Closed {
            return (verdict, AddressShare::default());
        }
        let share = AddressShare { client: Some(client), is_refused: verdict == Verdict::Refused };
        *count.counter_mut(share.is_refused) += 1;
        (verdict, share)
    }
}

impl AddressCount {
    /// Returns the number of admitted or of refused connections.
    fn counter_mut(&mut self, refused: bool) -> &mut u32 {
        if refused { &mut self.refused } else { &mut self.admitted }
    }
}

impl Verdict {
    /// Returns the same verdict, but refused instead of admitted.
    pub fn refuse_if_admitted(self) -> Self {
        if self == Self::Admitted { Self::Refused } else { self }
    }
}

/// Returns the client that a connection counts for, if any. Connections of trusted proxies do not
/// count, because they are those of many clients.
fn counted_address(limits: &Limits, peer: &PeerAddr) -> Option<IpAddr> {
    let policy = &limits.parse_policy;
    let PeerAddr::Ip(address) = peer else { return None };
    let proxies =
        policy.proxy_protocol != ProxyProtocol::Off && policy.proxy_allow_ips.trusts(peer);
    if limits.settings.limit_connections_per_address == 0
        || policy.forwarded_allow_ips.trusts(peer)
        || proxies
    {
        return None;
    }
    Some(address_key(address.ip()))
}

/// Returns the lowest descriptor number of the reserve.
fn first_reserved_descriptor() -> RawFd {
    let descriptors = descriptor_limit().min(RawFd::MAX as u64) as RawFd;
    descriptors - RESERVED_DESCRIPTORS.min(descriptors / 8)
}

/// Returns the key of a client: its IPv4 address, or the first 64 bits of its IPv6 address, because
/// a client usually has a whole /64.
fn address_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// Number of descriptors reserved for the application and the logs. Of a small limit, only an
/// eighth is reserved, because a worker itself needs 40.
const RESERVED_DESCRIPTORS: RawFd = 64;
/// Minimum milliseconds between two log lines about refused connections.
const REPORT_INTERVAL_MS: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_client_is_its_ipv4_address_or_its_ipv6_network() {
        let client = |text: &str| address_key(text.parse().unwrap()).to_string();
        assert_eq!(client("192.0.2.7"), "192.0.2.7");
        assert_eq!(client("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(client("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
    #[test]
    fn connections_over_the_limit_are_refused_then_closed_without_a_response() {
        let admission = Admission::new();
        let client = "192.0.2.7".parse().unwrap();
        let mut shares: Vec<_> = (0..5).map(|_| admission.count_connection(client, 2)).collect();
        let verdicts: Vec<_> = shares.iter().map(|(verdict, _)| *verdict).collect();
        let (admitted, refused) = (Verdict::Admitted, Verdict::Refused);
        assert_eq!(verdicts, [admitted, admitted, refused, refused, Verdict::Closed]);
        assert_eq!(admission.count_connection("192.0.2.8".parse().unwrap(), 2).0, admitted);
        // A refused connection that closes does not admit another one.
        admission.release(&shares.remove(2).1);
        assert_eq!(admission.count_connection(client, 2).0, refused);
        admission.release(&shares.remove(0).1);
        assert_eq!(admission.count_connection(client, 2).0, admitted);
    }

    #[test]
    fn a_client_without_connections_is_forgotten() {
        let admission = Admission::new();
        let client = "192.0.2.7".parse().unwrap();
        let shares: Vec<_> = (0..5).map(|_| admission.count_connection(client, 2).1).collect();
        for share in &shares {
            admission.release(share);
        }
        assert!(admission.addresses.borrow().is_empty());
    }

    #[test]
    fn refused_connections_are_logged_at_most_once_a_second() {
        let admission = Admission::new();
        assert_eq!(admission.take_refusal_report(5), None);
        let client = "192.0.2.7".parse().unwrap();
        for _ in 0..4 {
            admission.count_connection(client, 1);
        }
        let report = admission.take_refusal_report(5).unwrap();
        assert!(report.contains("3 connections refused, the last from 192.0.2.7"), "{report}");
        admission.count_connection(client, 1);
        assert_eq!(admission.take_refusal_report(1_004), None);
        assert!(admission.take_refusal_report(1_005).unwrap().contains(" 1 connections"));
        assert_eq!(admission.take_refusal_report(9_000), None);
    }
}
