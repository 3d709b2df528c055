//! Which accepted connections may stay. What bounds them is descriptors: a server that has none left can neither accept
//! nor open a file of the application, so the last of them are a reserve, and whoever would take from it makes the
//! slowest unfinished head, or else the longest idle connection, go. One client may be allowed so many and no more.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsRawFd, RawFd};

use crate::exchange::request_head::{Framing, RequestHead};
use crate::pressure::limits::Limits;
use crate::pressure::settings::ProxyProtocol;
use crate::server::connection::give_way;
use crate::server::context::Context;
use crate::transport::listener::{AcceptedConnection, PeerAddr, descriptor_limit};

/// What is known of those that are there.
pub(crate) struct Admission {
    /// The system gives the lowest free number, so a connection with this one has that many before it.
    reserved_from: Cell<RawFd>,
    addresses: RefCell<HashMap<IpAddr, Count>>,
    refused: RefCell<Refused>,
}

/// The connections of one address.
#[derive(Default)]
struct Count {
    staying: u32,
    /// Those that still read why they are refused.
    refused: u32,
}

/// What the log has not been told yet.
#[derive(Default)]
struct Refused {
    count: u64,
    last: Option<IpAddr>,
    said_at: u64,
}

/// What becomes of an accepted connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Entry {
    Stays,
    /// It is told that the server is busy, and ends.
    Refused,
    /// It is closed without a word.
    Closed,
}

/// What a connection takes of its address's share until it [leaves](Admission::leave).
#[derive(Default)]
pub(crate) struct Place {
    client: Option<IpAddr>,
    refused: bool,
}

impl Admission {
    pub fn new() -> Self {
        Self {
            reserved_from: Cell::new(first_reserved()),
            addresses: RefCell::default(),
            refused: RefCell::default(),
        }
    }

    /// Counts a connection from its accept on, and says whether it may stay.
    pub fn enter(&self, ctx: &Context, accepted: &AcceptedConnection) -> (Entry, Place) {
        let limits = ctx.limits_of(accepted.server_id);
        let (entry, place) = match counted_as(&limits, &accepted.peer) {
            Some(client) => self.count(client, limits.settings.limit_connections_per_address),
            None => (Entry::Stays, Place::default()),
        };
        let has_room = accepted.fd.as_raw_fd() < self.reserved_from.get() || make_room(ctx);
        (if has_room { entry } else { entry.max_refused() }, place)
    }

    /// There was no descriptor for a connection: the limit may have been lowered since the start.
    pub fn run_short(&self, ctx: &Context) {
        self.reserved_from.set(first_reserved());
        make_room(ctx);
    }

    /// A connection that has been counted is gone.
    pub fn leave(&self, place: &Place) {
        let Some(client) = place.client else { return };
        let mut addresses = self.addresses.borrow_mut();
        if let Some(count) = addresses.get_mut(&client) {
            *count.of(place.refused) -= 1;
            if count.staying + count.refused == 0 {
                addresses.remove(&client);
            }
        }
    }

    /// Whom the limit of an address has met since the last time, at most once a second: a flood must not flood the log.
    pub fn take_news(&self, now_ms: u64) -> Option<String> {
        let mut refused = self.refused.borrow_mut();
        let last = refused.last?;
        if refused.said_at > 0 && now_ms < refused.said_at + NEWS_EVERY_MS {
            return None;
        }
        let count = refused.count;
        *refused = Refused { said_at: now_ms, ..Refused::default() };
        Some(format!(
            "limit_connections_per_address: {count} connections refused, the last from {last}"
        ))
    }

    /// A client reads why it is refused as long as that costs no more than what it is allowed: an answer needs its
    /// connection for up to `linger_timeout`, and whoever opens thousands would hold them all by that.
    fn count(&self, client: IpAddr, most: u32) -> (Entry, Place) {
        let mut addresses = self.addresses.borrow_mut();
        let count = addresses.entry(client).or_default();
        let entry = if count.staying < most {
            Entry::Stays
        } else if count.refused < most {
            Entry::Refused
        } else {
            Entry::Closed
        };
        if entry != Entry::Stays {
            let mut refused = self.refused.borrow_mut();
            refused.count += 1;
            refused.last = Some(client);
        }
        if entry == Entry::Closed {
            return (entry, Place::default());
        }
        let place = Place { client: Some(client), refused: entry == Entry::Refused };
        *count.of(place.refused) += 1;
        (entry, place)
    }
}

impl Count {
    fn of(&mut self, refused: bool) -> &mut u32 {
        if refused { &mut self.refused } else { &mut self.staying }
    }
}

impl Entry {
    /// The same, but nobody stays.
    fn max_refused(self) -> Self {
        if self == Self::Stays { Self::Refused } else { self }
    }
}

/// The address that a connection is counted by. Proxies are not: theirs are the connections of many clients.
fn counted_as(limits: &Limits, peer: &PeerAddr) -> Option<IpAddr> {
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
    Some(client_of(address.ip()))
}

fn first_reserved() -> RawFd {
    let descriptors = descriptor_limit().min(RawFd::MAX as u64) as RawFd;
    descriptors - RESERVE.min(descriptors / 8)
}

/// One client's address; of IPv6 the first 64 bits, since whoever has one such address has them all.
fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// Ends connections that nobody waits for, several at a time where there are many, so that a flood does not have all of
/// them looked through for each. Says whether there was one.
fn make_room(ctx: &Context) -> bool {
    if ctx.handshakes.evict_oldest() {
        return true;
    }
    let connections = ctx.connections.borrow();
    let mut idle: Vec<(Wait, u64, u32)> = connections
        .iter()
        .filter_map(|(id, connected)| Some((connected.waits()?, connected.waits_until(), id)))
        .collect();
    let count = (connections.len() / ROOM_SHARE).max(1).min(idle.len());
    drop(connections);
    if count == 0 {
        return false;
    }
    idle.select_nth_unstable_by_key(count - 1, |(wait, until, _)| (*wait, *until));
    for (_, _, id) in &idle[..count] {
        give_way(ctx, *id);
    }
    true
}

/// Whether there is room for another request beside so many that are in hand, and for its body.
pub(crate) fn takes(ctx: &Context, others: usize, head: &RequestHead) -> bool {
    (others < ctx.limits.settings.worker_connections as usize || make_way(ctx))
        && (head.framing == Framing::None || !ctx.memory.is_full(&ctx.handoff))
}

/// Ends the request whose client has been behind for longest, so that another takes its place among those in hand: bodies
/// and readers that drip would hold all of them until `body_timeout` and `write_timeout`. False where all clients get on.
fn make_way(ctx: &Context) -> bool {
    let connections = ctx.connections.borrow();
    let others = connections.iter().filter_map(|(_, one)| one.serving());
    let others = others.filter(|shared| !shared.is_shed());
    let Some(last) = others.min_by_key(|shared| shared.behind_since()) else { return false };
    // Nobody has been behind for long on a clock that has just begun.
    if ctx.now_ms() < last.behind_since().saturating_add(STALLED_MS) {
        return false;
    }
    last.make_way();
    true
}

/// What a connection without a request in hand waits for, in the order in which they go.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Wait {
    /// The rest of a head, or the first one.
    Head,
    /// Another request.
    Next,
}

/// Descriptors that are kept for the application and the log; of a small limit an eighth, for a worker by itself needs 40.
const RESERVE: RawFd = 64;
/// Of so many connections one goes at a time.
const ROOM_SHARE: usize = 64;
const NEWS_EVERY_MS: u64 = 1_000;
/// A client that gets on sends or takes something in this time; what it takes is looked at each two seconds.
pub(crate) const STALLED_MS: u64 = 5_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_an_address_or_the_half_of_an_ipv6_one() {
        let client = |text: &str| client_of(text.parse().unwrap()).to_string();
        assert_eq!(client("192.0.2.7"), "192.0.2.7");
        assert_eq!(client("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(client("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
    #[test]
    fn a_client_over_its_limit_is_told_so_often_and_then_no_more() {
        let admission = Admission::new();
        let client = "192.0.2.7".parse().unwrap();
        let mut places: Vec<_> = (0..5).map(|_| admission.count(client, 2)).collect();
        let entries: Vec<_> = places.iter().map(|(entry, _)| *entry).collect();
        let (stays, refused) = (Entry::Stays, Entry::Refused);
        assert_eq!(entries, [stays, stays, refused, refused, Entry::Closed]);
        assert_eq!(admission.count("192.0.2.8".parse().unwrap(), 2).0, stays);
        // One that was refused makes no room among those that stay.
        admission.leave(&places.remove(2).1);
        assert_eq!(admission.count(client, 2).0, refused);
        admission.leave(&places.remove(0).1);
        assert_eq!(admission.count(client, 2).0, stays);
    }

    #[test]
    fn nothing_is_kept_of_a_client_that_is_gone() {
        let admission = Admission::new();
        let client = "192.0.2.7".parse().unwrap();
        let places: Vec<_> = (0..5).map(|_| admission.count(client, 2).1).collect();
        for place in &places {
            admission.leave(place);
        }
        assert!(admission.addresses.borrow().is_empty());
    }

    #[test]
    fn the_log_hears_of_refusals_once_a_second() {
        let admission = Admission::new();
        assert_eq!(admission.take_news(5), None);
        let client = "192.0.2.7".parse().unwrap();
        for _ in 0..4 {
            admission.count(client, 1);
        }
        let news = admission.take_news(5).unwrap();
        assert!(news.contains("3 connections refused, the last from 192.0.2.7"), "{news}");
        admission.count(client, 1);
        assert_eq!(admission.take_news(1_004), None);
        assert!(admission.take_news(1_005).unwrap().contains(" 1 connections"));
        assert_eq!(admission.take_news(9_000), None);
    }
}
