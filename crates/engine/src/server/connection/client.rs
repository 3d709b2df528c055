//! The client of a connection, as JavaScript and the logs see it.

use std::cell::{Cell, OnceCell};
use std::net::SocketAddr;

use crate::bridge::event_batch::ConnectionInfo;
use crate::bridge::outbox::Outbox;
use crate::transport::listener::PeerAddr;
use crate::transport::stream::Stream;

/// The client of a connection, as JavaScript and the logs see it.
pub(crate) struct ClientInfo {
    /// Address of the client: the peer, or the source address of a PROXY protocol header.
    pub(crate) peer: Cell<PeerAddr>,
    /// Destination address of a PROXY protocol header.
    pub(crate) proxied_local: Cell<Option<SocketAddr>>,
    /// The client's address as text, created on first use; empty for a unix socket.
    remote: OnceCell<String>,
    /// Whether the connection's `CONNECTION` event has been emitted to JavaScript.
    pub(crate) is_announced: Cell<bool>,
}

impl ClientInfo {
    /// Creates the client of a connection from the TCP peer.
    pub fn new(peer: PeerAddr) -> Self {
        Self {
            peer: Cell::new(peer),
            proxied_local: Cell::new(None),
            remote: OnceCell::new(),
            is_announced: Cell::new(false),
        }
    }

    /// Returns the client's address as text; empty on a unix socket.
    pub fn remote(&self) -> &str {
        self.remote.get_or_init(|| match self.peer.get() {
            PeerAddr::Ip(address) => address.ip().to_string(),
            PeerAddr::Unix => String::new(),
        })
    }

    /// Returns the client's address for a log line; `None` on a unix socket.
    pub fn logged(&self) -> Option<&str> {
        Some(self.remote()).filter(|remote| !remote.is_empty())
    }

    /// Stores the client and destination addresses of a PROXY protocol header. Must be called
    /// before [`Self::remote`].
    pub fn set_proxied(&self, proxied: Option<(SocketAddr, SocketAddr)>) {
        if let Some((client, local)) = proxied {
            self.peer.set(PeerAddr::Ip(client));
            self.proxied_local.set(Some(local));
        }
    }

    /// Emits the `CONNECTION` event of the connection with these ids, unless it has been emitted
    /// before.
    pub fn announce(
        &self,
        outbox: &Outbox,
        (id, server_id): (u32, u32),
        stream: &Stream,
        is_http2: bool,
    ) {
        if self.is_announced.replace(true) {
            return;
        }
        let (family, remote_port) = match self.peer.get() {
            PeerAddr::Ip(address) => (if address.is_ipv4() { 4 } else { 6 }, address.port()),
            PeerAddr::Unix => (0, 0),
        };
        let local = self.proxied_local.get().or_else(|| stream.local_address());
        let local_text = local.map(|address| address.ip().to_string()).unwrap_or_default();
        let info = ConnectionInfo {
            family,
            remote: self.remote(),
            remote_port,
            local: &local_text,
            local_port: local.map_or(0, |address| address.port()),
            secure: stream.tls(),
            http2: is_http2,
        };
        outbox.emit(|batch| batch.push_connection(id, server_id, &info));
    }
}
