//! Which accepted connections may stay. What bounds them is descriptors: a server that has none left can neither accept
//! nor open a file of the application, so the last of them are a reserve, and whoever would take from it makes the
//! slowest unfinished head, or else the longest idle connection, go. One client may be allowed so many and no more.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::RawFd;
use std::rc::Rc;

use crate::connection::Shared;
use crate::context::Context;
use crate::limits::Limits;
use crate::listener::{PeerAddr, descriptor_limit};

/// What is known of those that are there.
pub(crate) struct Admission {
    /// The system gives the lowest free number, so a connection with this one has that many before it.
    reserved_from: Cell<RawFd>,
    per_address: u32,
    addresses: RefCell<HashMap<IpAddr, u32>>,
}

impl Admission {
    pub fn new(limits: &Limits) -> Self {
        Self {
            reserved_from: Cell::new(first_reserved()),
            per_address: limits.connections_per_address,
            addresses: RefCell::default(),
        }
    }

    /// Counts a connection from its accept on, and says whether it may stay.
    pub fn enter(&self, ctx: &Context, number: RawFd, peer: PeerAddr) -> bool {
        let has_room = number < self.reserved_from.get() || make_room(ctx);
        let within = self.count(peer);
        has_room && within
    }

    /// There was no descriptor for a connection: the limit may have been lowered since the start.
    pub fn run_short(&self, ctx: &Context) {
        self.reserved_from.set(first_reserved());
        make_room(ctx);
    }

    /// A connection that has been counted is gone.
    pub fn leave(&self, peer: PeerAddr) {
        let Some(client) = self.counted(peer) else { return };
        let mut addresses = self.addresses.borrow_mut();
        if let Some(count) = addresses.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&client);
            }
        }
    }

    fn count(&self, peer: PeerAddr) -> bool {
        let Some(client) = self.counted(peer) else { return true };
        let mut addresses = self.addresses.borrow_mut();
        let count = addresses.entry(client).or_insert(0);
        *count += 1;
        *count <= self.per_address
    }

    /// What a connection is counted by, if it is.
    fn counted(&self, peer: PeerAddr) -> Option<IpAddr> {
        match peer {
            PeerAddr::Ip(address) if self.per_address > 0 => Some(client_of(address.ip())),
            _ => None,
        }
    }
}

fn first_reserved() -> RawFd {
    let descriptors = descriptor_limit().min(RawFd::MAX as u64) as RawFd;
    descriptors - RESERVE.min(descriptors / 4)
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
    let connections = ctx.connections.borrow();
    let mut idle: Vec<(Wait, u64, &Rc<Shared>)> = connections
        .iter()
        .filter_map(|shared| Some((shared.waits()?, shared.waits_until(), shared)))
        .collect();
    let count = (connections.len() / ROOM_SHARE).max(1).min(idle.len());
    if count == 0 {
        return false;
    }
    idle.select_nth_unstable_by_key(count - 1, |(wait, until, _)| (*wait, *until));
    for (_, _, shared) in &idle[..count] {
        shared.give_way();
    }
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

/// Descriptors that are kept for the application and the log; of a small limit a quarter.
const RESERVE: RawFd = 64;
/// Of so many connections one goes at a time.
const ROOM_SHARE: usize = 64;

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
}
