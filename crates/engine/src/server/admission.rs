//! Applies the decisions of [`crate::pressure`] to the requests and connections of a loop: it
//! admits some, and evicts others that must make room.

use std::rc::Rc;

use super::connection::table::{TableEntry, abort_connection};
use super::context::Context;
use crate::exchange::request_head::{Framing, RequestHead};
use crate::pressure::eviction::{Candidate, Progress, Shortage};
use crate::scoreboard::layout::MetricCell;
use crate::transport::tls::PendingHandshake;

/// What is evicted.
enum Victim {
    Handshake(Rc<PendingHandshake>),
    /// A connection, by its id.
    Connection(u32),
}

/// Handles an accept that failed for lack of a descriptor.
pub(crate) fn handle_descriptor_shortage(ctx: &Context) {
    ctx.pressure.admission.read_descriptor_limit();
    relieve(ctx, Shortage::Descriptors);
}

/// Whether a request is admitted while `others` are in flight. It needs one of the
/// `worker_connections` request slots, for which a client that has stalled may be evicted. A
/// request with a body also needs memory.
pub(crate) fn admit_request(ctx: &Context, others: usize, head: &RequestHead) -> bool {
    let memory = &ctx.pressure.memory;
    let has_slot = others < ctx.limits.settings.worker_connections as usize
        || relieve(ctx, Shortage::RequestSlots) > 0;
    if !has_slot {
        ctx.handoff.note_refused();
    }
    has_slot && (head.framing == Framing::None || !memory.is_full(ctx.handoff.waiting_bytes()))
}

/// Evicts connections if clients hold more than `buffer_memory`.
pub(crate) fn evict_over_limit(ctx: &Context) {
    let memory = &ctx.pressure.memory;
    if !memory.take_exceeded() {
        return;
    }
    memory.count_evictions(relieve(ctx, Shortage::Memory));
    if let Some(report) = memory.take_report(ctx.clock.now()) {
        ctx.outbox.emit(|batch| batch.push_fault(&report));
    }
}

/// Evicts those that must go to end a shortage. Returns how many.
pub(crate) fn relieve(ctx: &Context, shortage: Shortage) -> usize {
    let (amount, candidates) = match shortage {
        Shortage::Descriptors => descriptor_holders(ctx),
        Shortage::Handshakes | Shortage::HandshakesBadly => (1, oldest_handshakes(ctx, 1)),
        Shortage::RequestSlots => (1, slot_holders(ctx)),
        Shortage::Memory => memory_holders(ctx),
    };
    let victims = shortage.choose(amount, candidates, ctx.clock.now_ms());
    ctx.handoff.slot.count(eviction_cell(shortage), victims.len() as u64);
    for victim in &victims {
        match victim {
            Victim::Handshake(handshake) => handshake.abort(),
            Victim::Connection(id) => evict_connection(ctx, *id, shortage),
        }
    }
    victims.len()
}

fn eviction_cell(shortage: Shortage) -> MetricCell {
    match shortage {
        Shortage::Descriptors => MetricCell::EvictedConnectionsDescriptors,
        Shortage::Handshakes | Shortage::HandshakesBadly => {
            MetricCell::EvictedConnectionsHandshakes
        }
        Shortage::RequestSlots => MetricCell::EvictedConnectionsRequests,
        Shortage::Memory => MetricCell::EvictedConnectionsMemory,
    }
}

/// Evicts a connection. One with a task closes in its next turn.
fn evict_connection(ctx: &Context, id: u32, shortage: Shortage) {
    if let Some(TableEntry::Serving(shared)) = ctx.tables.connections.borrow().find(id) {
        return shared.evict(shortage);
    }
    abort_connection(ctx, id, false);
}

/// Returns the handshakes and connections without a request, and how many of them to evict: several
/// at a time, because a flood must not cause a search of all connections for each accept.
fn descriptor_holders(ctx: &Context) -> (usize, Vec<Candidate<Victim>>) {
    let connections = ctx.tables.connections.borrow();
    let count = (connections.len() / EVICTION_FRACTION).max(1);
    let mut candidates = oldest_handshakes(ctx, count);
    candidates.extend(connections.iter().filter_map(|(id, entry)| {
        Some(Candidate {
            victim: Victim::Connection(id),
            progress: entry.waiting_progress()?,
            frees: 1,
        })
    }));
    (count, candidates)
}

fn oldest_handshakes(ctx: &Context, count: usize) -> Vec<Candidate<Victim>> {
    let oldest = ctx.pressure.handshakes.oldest(count);
    let as_candidate = |handshake: Rc<PendingHandshake>| Candidate {
        progress: Progress::Stalled { since: handshake.started_at_ms() },
        victim: Victim::Handshake(handshake),
        frees: 1,
    };
    oldest.into_iter().map(as_candidate).collect()
}

/// Returns the connections with a request in flight or an unsent response.
fn slot_holders(ctx: &Context) -> Vec<Candidate<Victim>> {
    let connections = ctx.tables.connections.borrow();
    let serving = connections.iter().filter_map(|(id, entry)| Some((id, entry.serving()?)));
    serving
        .filter(|(_, shared)| !shared.is_evicted())
        .map(|(id, shared)| Candidate {
            victim: Victim::Connection(id),
            progress: Progress::Stalled { since: shared.stalled_since() },
            frees: 1,
        })
        .collect()
}

/// Returns the connections that hold memory, and the bytes to free: until seven eighths of
/// `buffer_memory` are used.
fn memory_holders(ctx: &Context) -> (usize, Vec<Candidate<Victim>>) {
    let (memory, now) = (&ctx.pressure.memory, ctx.clock.now_ms());
    let mut excess = memory.excess_bytes(ctx.handoff.waiting_bytes());
    let mut candidates = Vec::new();
    for (id, entry) in ctx.tables.connections.borrow().iter() {
        let Some(shared) = entry.serving().filter(|shared| shared.held_bytes() > 0) else {
            continue;
        };
        if shared.is_evicted() {
            excess = excess.saturating_sub(shared.held_bytes());
            continue;
        }
        candidates.push(Candidate {
            victim: Victim::Connection(id),
            progress: Progress::of_holder(shared.stalled_since(), shared.held_since(), now),
            frees: shared.held_bytes(),
        });
    }
    (excess, candidates)
}

/// One in this many connections is evicted at a time for descriptors.
const EVICTION_FRACTION: usize = 64;
