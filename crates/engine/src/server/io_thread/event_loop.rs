//! The turns of a loop: control messages, tasks, sockets and timers, on whichever thread holds the
//! loop.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::alarms::{handle_alarms, wake_awaiting_javascript};
use super::commands::{list_in_flight, read_ring};
use crate::bridge::handoff::ControlMessage;
use crate::log::access::AccessLog;
use crate::pressure::limits::IDLE_DRAIN_TIME;
use crate::runtime::executor::AbortOnPanic;
use crate::runtime::handover::{Signals, Sleeper};
use crate::runtime::movable::Held;
use crate::runtime::sockets::{EventCount, TasklessEvent};
use crate::server::accept::{begin_connection, close_accepted};
use crate::server::admission::{evict_over_limit, handle_descriptor_shortage};
use crate::server::connection::table::{abort_connections, byte_counts_of};
use crate::server::connection::task::resume;
use crate::server::context::Context;
use crate::server::shutdown::{begin_orphan_exit, drain};
use crate::transport::listener::AcceptedConnection;

/// Runs turns on the JavaScript thread until nothing is left to do, or for a while. `polls` first
/// takes the events of the poll set.
pub(super) fn run_turns(ctx: &Rc<Context>, polls: bool) {
    let _abort = AbortOnPanic;
    let handoff = &ctx.handoff;
    handoff.end_sleep();
    ctx.clock.mark_stale();
    if polls {
        dispatch_events(ctx, Some(Duration::ZERO), EventCount::Few);
    }
    for _ in 0..MAX_TURNS_ON_JAVASCRIPT {
        handle_wake(ctx);
        read_ring(ctx);
        handle_alarms(ctx);
        run_tasks(ctx);
        if !ctx.executor.has_ready_tasks() {
            ctx.deliver_events();
            if handoff.prepare_sleep(Sleeper::JavaScript) {
                return;
            }
            handoff.end_sleep();
        }
    }
    ctx.deliver_events();
    // JavaScript has a turn of its event loop first.
    handoff.prepare_sleep(Sleeper::JavaScript);
    handoff.wake_poller();
}

/// Runs turns on the I/O thread until the loop stops, or until `try_give_back` has given it back.
/// Each turn runs the ready tasks, then handles sockets, messages of other threads and timers. It
/// waits for them only if no task is ready, and for at most `max_wait`.
pub(super) fn run_busy<'a>(
    mut held: Held<'a, Rc<Context>>,
    max_wait: impl Fn() -> Option<Duration>,
    try_give_back: impl Fn(Held<'a, Rc<Context>>) -> Option<Held<'a, Rc<Context>>>,
) -> Option<Held<'a, Rc<Context>>> {
    let _abort = AbortOnPanic;
    held.handoff.end_sleep();
    let mut batching = Batching::default();
    while !held.lifecycle.is_stopping.get() {
        run_tasks(&held);
        let is_batching = batching.defers_delivery(&held);
        if !is_batching {
            // Only with several requests can a response wait for another request's handler. The
            // chunks of tunnels count until they are delivered.
            if held.outbox.is_due() && held.has_several_requests() {
                held.watch_ring();
            }
            held.deliver_events();
        }
        if is_batching || held.executor.has_ready_tasks() {
            poll_sockets(&held);
        } else {
            held = try_give_back(held)?;
            wait(&held, max_wait());
        }
        handle_alarms(&held);
    }
    Some(held)
}

/// Runs tasks that are ready, and evicts connections if they hold too much memory.
fn run_tasks(ctx: &Rc<Context>) {
    ctx.executor.run_turn();
    evict_over_limit(ctx);
    // The turn has taken a while, and a wait may follow.
    ctx.clock.mark_stale();
}

/// Batches the events on the I/O thread: while requests are in flight, it polls the sockets again
/// as long as that brings more events. On a busy machine, thread switches cost more than anything
/// else here. A single request does not wait.
#[derive(Default)]
struct Batching {
    /// Polls since the first event.
    polls: usize,
    /// The length of the events at the last one.
    len: usize,
}

impl Batching {
    fn defers_delivery(&mut self, ctx: &Context) -> bool {
        let len = ctx.outbox.len();
        let defers = ctx.outbox.is_due()
            && len > self.len
            && self.polls < MAX_BATCHING_POLLS
            && ctx.has_several_requests();
        *self = if defers { Self { polls: self.polls + 1, len } } else { Self::default() };
        defers
    }
}

/// Waits for a socket, a timer or a message of another thread, at most for `most`, and handles it.
fn wait(ctx: &Rc<Context>, most: Option<Duration>) {
    let handoff = &ctx.handoff;
    let time = if handoff.prepare_sleep(Sleeper::IoThread) {
        let now = Instant::now();
        let until_alarm = ctx.alarms.next().map(|time| time.saturating_duration_since(now));
        until_alarm.into_iter().chain(most).min()
    } else {
        Some(Duration::ZERO)
    };
    dispatch_events(ctx, time, EventCount::Many);
    handoff.end_sleep();
    handle_wake(ctx);
}

/// Polls the sockets without waiting, and handles messages of other threads.
pub(super) fn poll_sockets(ctx: &Rc<Context>) {
    dispatch_events(ctx, Some(Duration::ZERO), EventCount::Many);
    handle_wake(ctx);
}

/// Waits for events of the sockets, up to `time` (forever for `None`), and wakes their tasks.
fn dispatch_events(ctx: &Rc<Context>, time: Option<Duration>, count: EventCount) {
    ctx.sockets.dispatch_events(time, count, |event| match event {
        TasklessEvent::Idle(id) => drop(resume(ctx, id)),
        TasklessEvent::Unclaimed => ctx.handoff.wake(),
    });
}

/// Handles the messages of other threads if one of them has woken this thread.
fn handle_wake(ctx: &Rc<Context>) {
    if ctx.handoff.was_woken() {
        handle_control_messages(ctx);
    }
}

/// Handles the messages of other threads, starts accepted connections and reads the ring.
fn handle_control_messages(ctx: &Rc<Context>) {
    // Take the connections first, then the messages: a message sent before a connection was
    // accepted, such as its server's TLS configuration, is then handled before the connection.
    let mut accepted = ctx.handoff.take_accepted();
    for control in ctx.handoff.take_control() {
        match control {
            ControlMessage::Configure { server_id, limits } => {
                ctx.set_limits(server_id, *limits);
            }
            ControlMessage::Forget { server_id } => {
                begin_accepted(ctx, &mut accepted);
                ctx.outbox.stop_batching();
                ctx.servers.forget(server_id);
            }
            ControlMessage::Secure { server_id, server } => ctx.servers.set_tls(server_id, *server),
            ControlMessage::Drain(idle) => {
                begin_accepted(ctx, &mut accepted);
                drain(ctx, idle);
            }
            ControlMessage::Abort(accepted) => close_accepted(ctx, &accepted),
            ControlMessage::FreeDescriptor => handle_descriptor_shortage(ctx),
            ControlMessage::CloseConnections { server_id, idle_only } => {
                begin_accepted(ctx, &mut accepted);
                abort_connections(ctx, |one| {
                    one.belongs_to(server_id) && !(idle_only && one.is_busy())
                });
            }
            ControlMessage::ReportRefusals { server_id, on } => {
                ctx.servers.set_reports_refusals(server_id, on);
            }
            ControlMessage::Orphaned => {
                begin_accepted(ctx, &mut accepted);
                drain(ctx, IDLE_DRAIN_TIME);
                begin_orphan_exit(ctx);
            }
            ControlMessage::ListInFlight(reply) => list_in_flight(ctx, &reply),
            ControlMessage::ReportSettings(id, reply) => {
                // The thread that asked may have stopped waiting.
                let _ = reply.try_send(ctx.servers.limits_of(id).settings.clone());
            }
            ControlMessage::ReportBytes(id, reply) => {
                // JavaScript counts what it has written to the ring as written.
                read_ring(ctx);
                let _ = reply.try_send(byte_counts_of(ctx, id));
            }
            ControlMessage::ReopenLog => {
                let reopened = ctx.logs.access.borrow_mut().as_mut().map(AccessLog::reopen);
                if let Some(Err(error)) = reopened {
                    let text = format!("the access log stays the old file: {error}");
                    ctx.outbox.emit(|batch| batch.push_fault(&text));
                }
            }
            ControlMessage::Fault(text) => ctx.outbox.emit(|batch| batch.push_fault(&text)),
            ControlMessage::Stop => ctx.lifecycle.is_stopping.set(true),
        }
    }
    begin_each(ctx, &mut accepted);
    read_ring(ctx);
    wake_awaiting_javascript(ctx);
}

/// Sends pending responses, aborts all connections and writes the logs before the loop is dropped.
pub(super) fn stop(ctx: &Rc<Context>) {
    let _abort = AbortOnPanic;
    // Send responses from the ring, as far as the sockets accept them.
    read_ring(ctx);
    ctx.executor.run_ready();
    // Idle connections have no task that could be canceled.
    abort_connections(ctx, |one| one.serving().is_none());
    ctx.executor.cancel_all();
    ctx.logs.flush_before_exit();
}

/// Starts all connections that have been accepted so far, before a message that concerns them.
fn begin_accepted(ctx: &Rc<Context>, accepted: &mut Vec<AcceptedConnection>) {
    accepted.append(&mut ctx.handoff.take_accepted());
    begin_each(ctx, accepted);
}

/// Starts accepted connections.
fn begin_each(ctx: &Rc<Context>, accepted: &mut Vec<AcceptedConnection>) {
    for each in accepted.drain(..) {
        begin_connection(ctx, each);
    }
}

/// Maximum turns before JavaScript has a turn of its event loop.
const MAX_TURNS_ON_JAVASCRIPT: usize = 16;
/// Maximum polls of the sockets before a batch of events is delivered to JavaScript.
const MAX_BATCHING_POLLS: usize = 4;
