//! Session affinity: which worker the requests of a session belong to.
//!
//! The setting `affinity` names the key of a session: the client's address, a cookie, or a query
//! parameter. The scoreboard knows the owner of each key. A worker that creates a session learns
//! its key from the response: from `Set-Cookie`, or from a parameter of this name in a `Location`
//! or at the start of the body, as the handshake of Engine.IO has it.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use memchr::memmem;

use crate::exchange::request_head::RequestHead;
use crate::guard::parse_policy::ParsePolicy;
use crate::log::access::{decode_percent, split_fields};
use crate::pressure::settings::ProxyProtocol;
use crate::scoreboard::{SessionHash, Sessions, SlotRef};
use crate::transport::listener::{PeerAddr, WorkerSlot, duplicate};
use crate::transport::transfer::{self, Transfer};

/// Decides which worker serves a request, and sends connections to other workers.
pub(crate) struct Affinity {
    key: SessionKey,
    slot: SlotRef,
    /// Where to send connections for each slot, in order.
    outboxes: Vec<OwnedFd>,
}

/// What identifies a session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum SessionKey {
    /// The address of the client.
    Address,
    /// The value of the cookie with this name.
    Cookie(Vec<u8>),
    /// The value of the query parameter with this name.
    Query(Vec<u8>),
}

/// The worker that a request belongs to, if it is not this one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Destination {
    /// The index of its slot.
    slot: usize,
    session: SessionHash,
}

impl Affinity {
    /// Returns the affinity that `setting` asks for; `None` if it is off, or if the worker has no
    /// other workers.
    pub(crate) fn open(setting: &str, worker_slot: &WorkerSlot) -> io::Result<Option<Self>> {
        let Some(transfers) = &worker_slot.transfers else { return Ok(None) };
        let Some(key) = SessionKey::parse(setting) else { return Ok(None) };
        let outboxes = transfers.outboxes.iter().map(|fd| duplicate(*fd));
        let (slot, outboxes) = (worker_slot.slot.clone(), outboxes.collect::<io::Result<_>>()?);
        Ok(Some(Self { key, slot, outboxes }))
    }

    /// Returns the worker that a request belongs to, if it is another one. `peer` is the client's
    /// address unless the head has one of a trusted proxy.
    pub(crate) fn destination_of(
        &self,
        head: &RequestHead,
        bytes: &[u8],
        peer: PeerAddr,
    ) -> Option<Destination> {
        let session = match &self.key {
            SessionKey::Address => {
                let peer = head.client_addr.map_or(peer, PeerAddr::Ip);
                self.hash_address(peer)?
            }
            SessionKey::Cookie(name) => self.hash(cookie_of(head, bytes, name)?),
            SessionKey::Query(name) => {
                self.hash(&decode_percent(parameter_of(head.target.of(bytes), name)?))
            }
        };
        self.other_owner(session)
    }

    /// Returns the worker that an accepted connection belongs to, if it is another one and nothing
    /// that the client sends can change that.
    pub(crate) fn destination_at_accept(
        &self,
        peer: PeerAddr,
        policy: &ParsePolicy,
    ) -> Option<Destination> {
        let may_change = policy.forwarded_allow_ips.trusts(&peer)
            || policy.proxy_protocol != ProxyProtocol::Off && policy.proxy_allow_ips.trusts(&peer);
        if self.key != SessionKey::Address || may_change {
            return None;
        }
        self.other_owner(self.hash_address(peer)?)
    }

    /// Sends a connection to the worker that it belongs to. The caller closes its own copy.
    pub(crate) fn send(
        &self,
        destination: Destination,
        connection: BorrowedFd<'_>,
        details: (u32, bool, PeerAddr),
        transfer: impl FnOnce(SessionHash) -> Transfer,
    ) -> io::Result<()> {
        let outbox = self.outboxes.get(destination.slot).ok_or(io::ErrorKind::NotFound)?;
        transfer::send(outbox.as_fd(), connection, details, &transfer(destination.session))
    }

    /// Whether the response to this request may name a new session.
    pub(crate) fn may_create_session(&self, head: &RequestHead, bytes: &[u8]) -> bool {
        match &self.key {
            SessionKey::Address => false,
            SessionKey::Cookie(_) => true,
            SessionKey::Query(name) => parameter_of(head.target.of(bytes), name).is_none(),
        }
    }

    /// Learns a session from the fields of a response.
    pub(crate) fn learn_from_fields(&self, fields: &[u8]) {
        for (name, value) in split_fields(fields) {
            let found = match &self.key {
                SessionKey::Cookie(cookie) if name.eq_ignore_ascii_case(b"set-cookie") => {
                    let pair = value.split(|byte| *byte == b';').next().unwrap_or_default();
                    value_of(pair, cookie).map(<[u8]>::to_vec)
                }
                SessionKey::Query(parameter) if name.eq_ignore_ascii_case(b"location") => {
                    parameter_of(value, parameter).map(decode_percent)
                }
                _ => None,
            };
            if let Some(key) = found {
                self.learn(&key);
            }
        }
    }

    /// Learns a session from a part of a response body. Returns whether it has one.
    pub(crate) fn learn_from_body(&self, part: &[u8]) -> bool {
        let SessionKey::Query(name) = &self.key else { return false };
        let searched = &part[..part.len().min(MAX_SEARCHED as usize)];
        let found = value_in_text(searched, name);
        if let Some(value) = found {
            self.learn(&decode_percent(value));
        }
        found.is_some()
    }

    fn learn(&self, key: &[u8]) {
        Sessions::of(self.slot.board()).record_owner(self.hash(key), self.slot.index());
    }

    fn hash(&self, key: &[u8]) -> SessionHash {
        Sessions::of(self.slot.board()).hash(key)
    }

    fn hash_address(&self, peer: PeerAddr) -> Option<SessionHash> {
        let PeerAddr::Ip(address) = peer else { return None };
        Some(match address.ip().to_canonical() {
            IpAddr::V4(ip) => self.hash(&ip.octets()),
            IpAddr::V6(ip) => self.hash(&ip.octets()),
        })
    }

    fn other_owner(&self, session: SessionHash) -> Option<Destination> {
        let slot = Sessions::of(self.slot.board()).owner_of(session)?;
        (slot != self.slot.index()).then_some(Destination { slot, session })
    }
}

impl SessionKey {
    /// Parses the setting: `off`, `ip`, `cookie:NAME` or `query:NAME`. Settings are checked before,
    /// so anything else is off.
    pub(crate) fn parse(setting: &str) -> Option<Self> {
        if setting == "ip" {
            return Some(Self::Address);
        }
        let (kind, name) = setting.split_once(':')?;
        let name = name.as_bytes().to_vec();
        match kind {
            _ if name.is_empty() => None,
            "cookie" => Some(Self::Cookie(name)),
            "query" => Some(Self::Query(name)),
            _ => None,
        }
    }
}

/// Returns the value of a cookie in the `Cookie` fields of a request (RFC 6265 section 5.4).
fn cookie_of<'a>(head: &RequestHead, bytes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let fields = head.fields.iter();
    let cookies = fields.filter(|(field, _)| field.of(bytes).eq_ignore_ascii_case(b"cookie"));
    let mut pairs = cookies.flat_map(|(_, value)| value.of(bytes).split(|byte| *byte == b';'));
    pairs.find_map(|pair| value_of(pair, name))
}

/// Returns the value of a pair `NAME=VALUE`, if it has this name and is not empty.
fn value_of<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let rest = pair.trim_ascii().strip_prefix(name)?.trim_ascii_start();
    let value = rest.strip_prefix(b"=")?.trim_ascii();
    (!value.is_empty()).then_some(value)
}

/// Returns the value of a parameter in the query of a target or a URI.
fn parameter_of<'a>(target: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let query = &target[memchr::memchr(b'?', target)? + 1..];
    let query = query.split(|byte| *byte == b'#').next()?;
    query.split(|byte| *byte == b'&').find_map(|pair| value_of(pair, name))
}

/// Returns the value of the first member `"NAME":"VALUE"` of a JSON text, or of the first query
/// parameter `NAME=VALUE` in any text.
fn value_in_text<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    memmem::find_iter(text, name).find_map(|at| {
        let before = at.checked_sub(1).map(|index| text[index])?;
        let rest = &text[at + name.len()..];
        let (value, is_end): (_, fn(&u8) -> bool) = match before {
            b'"' => {
                let rest = rest.strip_prefix(b"\"")?.trim_ascii_start().strip_prefix(b":")?;
                (rest.trim_ascii_start().strip_prefix(b"\"")?, |byte| *byte == b'"')
            }
            b'?' | b'&' => (rest.strip_prefix(b"=")?, |byte| !is_query_byte(*byte)),
            _ => return None,
        };
        // A value without an end may be cut off.
        let end = value.iter().position(is_end)?;
        (end > 0).then_some(&value[..end])
    })
}

/// Whether a byte can be part of a parameter's value (RFC 3986 section 3.4).
fn is_query_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$'()*+,;=:@/?%".contains(&byte)
}

/// Bytes of a response body that are searched for the key of a new session.
pub(crate) const MAX_SEARCHED: u64 = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_names_a_key() {
        assert_eq!(SessionKey::parse("off"), None);
        assert_eq!(SessionKey::parse("ip"), Some(SessionKey::Address));
        assert_eq!(SessionKey::parse("cookie:io"), Some(SessionKey::Cookie(b"io".to_vec())));
        assert_eq!(SessionKey::parse("query:sid"), Some(SessionKey::Query(b"sid".to_vec())));
        for wrong in ["", "cookie", "cookie:", "query:", "header:x", "IP"] {
            assert_eq!(SessionKey::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_parameter_is_found_by_its_whole_name() {
        let find = |target: &'static str| parameter_of(target.as_bytes(), b"sid");
        assert_eq!(find("/?EIO=4&sid=abc&t=1"), Some(&b"abc"[..]));
        assert_eq!(find("http://host/a?sid=x#sid=y"), Some(&b"x"[..]));
        assert_eq!(find("/?sid=first&sid=second"), Some(&b"first"[..]));
        for without in ["/", "/sid=1", "/?sid=", "/?sid", "/?xsid=1&side=2", "/?t#sid=1"] {
            assert_eq!(find(without), None, "{without}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let find = |pair: &'static str| value_of(pair.as_bytes(), b"io");
        assert_eq!(find(" io=a=b "), Some(&b"a=b"[..]));
        for without in ["io", "io=", "ion=1", "xio=1", ""] {
            assert_eq!(find(without), None, "{without}");
        }
    }

    #[test]
    fn a_new_session_is_found_in_a_text() {
        let find = |text: &'static str| value_in_text(text.as_bytes(), b"sid");
        assert_eq!(find(r#"0{"sid":"lv_VI97","upgrades":["websocket"]}"#), Some(&b"lv_VI97"[..]));
        assert_eq!(find("{ \"sid\" : \"x\" }"), Some(&b"x"[..]));
        assert_eq!(find("event: endpoint\ndata: /m?sid=a%2Fb\n\n"), Some(&b"a%2Fb"[..]));
        for without in [
            "",
            "sid",
            "sid=1 ",
            r#"{"sid":1}"#,
            r#"{"sid":""}"#,
            r#"{"sid":"cut"#,
            "/?sid=cut",
            r#"{"side":"x"}"#,
        ] {
            assert_eq!(find(without), None, "{without}");
        }
    }
}
