//! What the loop knows of the servers that listen.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::pressure::limits::Limits;
use crate::transport::tls::TlsServer;

/// The limits, the TLS configurations and the listeners of the servers, by server id.
pub(crate) struct Servers {
    /// Limits for servers that have set none of their own.
    default_limits: Rc<Limits>,
    limits: RefCell<HashMap<u32, Rc<Limits>>>,
    /// A server without a TLS configuration serves plain HTTP.
    tls: RefCell<HashMap<u32, Rc<TlsServer>>>,
    /// Ids of the servers that receive an event for each refused request: `'clientError'` has a
    /// listener there.
    refusal_listeners: RefCell<Vec<u32>>,
}

impl Servers {
    /// Creates the table without servers.
    pub fn new(default_limits: Rc<Limits>) -> Self {
        let (limits, tls, refusal_listeners) = Default::default();
        Self { default_limits, limits, tls, refusal_listeners }
    }

    /// Returns the limits for connections of a server: its own, or the default ones.
    pub fn limits_of(&self, server_id: u32) -> Rc<Limits> {
        self.limits.borrow().get(&server_id).unwrap_or(&self.default_limits).clone()
    }

    /// Sets the limits for new connections of a server.
    pub fn set_limits(&self, server_id: u32, limits: Rc<Limits>) {
        self.limits.borrow_mut().insert(server_id, limits);
    }

    /// Forgets a server that no longer listens.
    pub fn forget(&self, server_id: u32) {
        self.limits.borrow_mut().remove(&server_id);
        self.tls.borrow_mut().remove(&server_id);
        self.set_reports_refusals(server_id, false);
    }

    /// Returns the TLS configuration for new connections of a server; `None` for plain HTTP.
    pub fn tls_of(&self, server_id: u32) -> Option<Rc<TlsServer>> {
        self.tls.borrow().get(&server_id).cloned()
    }

    /// Sets the TLS configuration for new connections of a server.
    pub fn set_tls(&self, server_id: u32, server: TlsServer) {
        self.tls.borrow_mut().insert(server_id, Rc::new(server));
    }

    /// Sets whether JavaScript receives an event for each request to a server that the engine
    /// refuses.
    pub fn set_reports_refusals(&self, server_id: u32, on: bool) {
        let mut listeners = self.refusal_listeners.borrow_mut();
        listeners.retain(|each| *each != server_id);
        if on {
            listeners.push(server_id);
        }
    }

    /// Whether JavaScript receives an event for each request to a server that the engine refuses.
    pub fn reports_refusals(&self, server_id: u32) -> bool {
        self.refusal_listeners.borrow().contains(&server_id)
    }
}
