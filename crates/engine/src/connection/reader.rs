//! hyper behind the gate: it reads again what the guard has released.

use std::rc::Rc;
use std::task::Context;

use hyper::server::conn::http1;

use super::service::Service;
use super::{Connection, Shared};
use crate::gate::Gate;
use crate::guard::Refusal;

pub(super) type Hyper = http1::Connection<Gate, Service>;

impl Connection {
    /// Polls hyper until it has seen what was released; then the request in hand crosses, whole if it can.
    pub(super) fn poll_hyper(&mut self, cx: &mut Context<'_>) -> Result<(), Refusal> {
        let shared = self.shared.clone();
        shared.tell_connection(&self.stream);
        let hyper = self.hyper.get_or_insert_with(|| Box::pin(connect(&shared)));
        let behind = std::mem::take(&mut self.hyper_behind);
        shared.token.set(behind);
        for _ in 0..MAX_POLLS {
            let ended = hyper.as_mut().get_mut().poll_without_shutdown(cx).is_ready();
            if let Some(refusal) = shared.refusal.take() {
                return Err(refusal);
            }
            if behind && shared.token.replace(false) {
                // It still waits for something of a request that is over for us.
                return Err(Refusal::Disagreement);
            }
            if ended {
                self.hyper = None;
                // hyper has seen less in the message than the guard, or more.
                let mut current = shared.current.borrow_mut();
                return match current.as_mut() {
                    Some(current) if current.body_done => {
                        shared.deliver(current, self.guard.trailers());
                        Ok(())
                    }
                    _ => Err(Refusal::Disagreement),
                };
            }
            let mut current = shared.current.borrow_mut();
            // A whole head was released, and hyper has not made a request of it.
            let current = current.as_mut().ok_or(Refusal::Disagreement)?;
            let waits = !current.body_done && !current.delivered && self.guard.is_complete();
            if waits && current.collected_len < shared.ctx.memory.request_buffer().max(1) {
                continue;
            }
            if shared.may_collect(current) {
                shared.collect(current);
            } else {
                shared.deliver(current, self.guard.trailers());
            }
            return Ok(());
        }
        if let Some(current) = shared.current.borrow_mut().as_mut() {
            shared.deliver(current, self.guard.trailers());
        }
        Ok(())
    }

    /// Lets hyper know that the exchange has ended: with the next message, where it is sure to go on as we do.
    pub(super) fn end_exchange(&mut self, plain: bool, cx: &mut Context<'_>) {
        if plain {
            self.hyper_behind = self.hyper.is_some();
            return;
        }
        let shared = &self.shared;
        shared.token.set(true);
        if let Some(hyper) = &mut self.hyper {
            let ended = hyper.as_mut().get_mut().poll_without_shutdown(cx).is_ready();
            if ended || shared.token.get() {
                // hyper will not go on where we do (it closes what it has not read whole): a fresh state reads on.
                self.hyper = None;
            }
        }
        shared.token.set(false);
    }
}

/// hyper as the reader behind the gate: it writes no byte, keeps no time and never drains by itself.
fn connect(shared: &Rc<Shared>) -> Hyper {
    let mut builder = http1::Builder::new();
    builder
        .auto_date_header(false)
        .header_read_timeout(None)
        // The gate never ends; without this hyper asks it whether it has at each poll.
        .half_close(true)
        .max_buf_size(HYPER_BUFFER.max(shared.limits().head_size()));
    if shared.limits().request_fields > HYPER_FIELDS {
        builder.max_headers(shared.limits().request_fields);
    }
    builder.serve_connection(Gate(shared.gate.clone()), Service::new(shared.clone()))
}

/// Polls of hyper within one turn while a small body passes through its channel.
const MAX_POLLS: usize = 32;
/// hyper's smallest useful buffer bound.
const HYPER_BUFFER: usize = 65_536;
/// Up to here hyper keeps the fields on its stack.
const HYPER_FIELDS: usize = 100;
