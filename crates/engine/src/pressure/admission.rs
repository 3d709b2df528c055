//! Admission of accepted connections and of requests. File descriptors bound the number of
//! connections: a worker without a free one can neither accept nor open a file for the application.
//! The last descriptors are therefore reserved. A connection that would take one evicts the
//! connection that has waited longest, first for a request head, else for its next request.
//! `limit_connections_per_address` bounds the connections of each client.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsRawFd, RawFd};

use crate::exchange::request_head::{Framing, RequestHead};
use crate::pressure::limits::Limits;
use crate::pressure::settings::ProxyProtocol;
use crate::server::connection::evict_now;
use crate::server::context::Context;
use crate::transport::listener::{AcceptedConnection, PeerAddr, descriptor_limit};

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

    /// Counts a connection from its accept on and decides whether it is admitted.
    pub fn admit(&self, ctx: &Context, accepted: &AcceptedConnection) -> (Verdict, AddressShare) {
        let limits = ctx.servers.limits_of(accepted.server_id);
        let (verdict, share) = match counted_address(&limits, &accepted.peer) {
            Some(client) => {
                self.count_connection(client, limits.settings.limit_connections_per_address)
            }
            None => (Verdict::Admitted, AddressShare::default()),
        };
        let has_room = accepted.fd.as_raw_fd() < self.reserved_from.get() || evict_idle(ctx);
        (if has_room { verdict } else { verdict.refuse_if_admitted() }, share)
    }

    /// Handles an accept that failed for lack of a descriptor. Reads the limit of the process
    /// again, which may have been lowered, and evicts connections.
    pub fn handle_descriptor_shortage(&self, ctx: &Context) {
        self.reserved_from.set(first_reserved_descriptor());
        evict_idle(ctx);
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
    fn refuse_if_admitted(self) -> Self {
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

/// Evicts a TLS handshake, or else connections without a request, to free descriptors. Several
/// connections are evicted at a time: a flood must not cause a search of all connections for each
/// accept. Returns whether anything was evicted.
fn evict_idle(ctx: &Context) -> bool {
    if ctx.pressure.handshakes.evict_oldest() {
        return true;
    }
    let connections = ctx.tables.connections.borrow();
    let mut idle: Vec<(WaitKind, u64, u32)> = connections
        .iter()
        .filter_map(|(id, entry)| Some((entry.wait_kind()?, entry.wait_ends_at(), id)))
        .collect();
    let count = (connections.len() / EVICTION_FRACTION).max(1).min(idle.len());
    drop(connections);
    if count == 0 {
        return false;
    }
    idle.select_nth_unstable_by_key(count - 1, |(wait, until, _)| (*wait, *until));
    for (_, _, id) in &idle[..count] {
        evict_now(ctx, *id);
    }
    true
}

/// Whether a request is admitted while `others` are in flight. It needs one of the
/// `worker_connections` request slots, for which a slow client may be evicted. A request with a
/// body also needs memory.
pub(crate) fn admit_request(ctx: &Context, others: usize, head: &RequestHead) -> bool {
    (others < ctx.limits.settings.worker_connections as usize || evict_for_request(ctx))
        && (head.framing == Framing::None || !ctx.pressure.memory.is_full(&ctx.handoff))
}

/// Evicts the request whose client has been slow for longest, so that another request can take its
/// slot. Otherwise slow clients would occupy all slots until `body_timeout` or `write_timeout`.
/// Returns whether a client was slow.
fn evict_for_request(ctx: &Context) -> bool {
    let connections = ctx.tables.connections.borrow();
    let others = connections.iter().filter_map(|(_, one)| one.serving());
    let others = others.filter(|shared| !shared.is_evicted());
    let Some(last) = others.min_by_key(|shared| shared.slow_since()) else { return false };
    // Shortly after the start, no client can have been slow for long.
    if ctx.clock.now_ms() < last.slow_since().saturating_add(STALLED_MS) {
        return false;
    }
    last.evict_for_request();
    true
}

/// What a connection without a request in flight waits for. The first kind is evicted first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum WaitKind {
    /// The connection waits for its first request head, or for the rest of a head.
    Head,
    /// The connection waits for its next request.
    Next,
}

/// Number of descriptors reserved for the application and the logs. Of a small limit, only an
/// eighth is reserved, because a worker itself needs 40.
const RESERVED_DESCRIPTORS: RawFd = 64;
/// One in this many connections is evicted at a time.
const EVICTION_FRACTION: usize = 64;
/// Minimum milliseconds between two log lines about refused connections.
const REPORT_INTERVAL_MS: u64 = 1_000;
/// Milliseconds without progress after which a client counts as slow. The engine checks every two
/// seconds how much a client has read.
pub(crate) const STALLED_MS: u64 = 5_000;

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
