//! The loop of the acceptor thread: it accepts the connections that the balancer allows.

use std::io;
use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::accept::{AcceptOutcome, Listener};
use super::backoff::Backoff;
use super::balancer::{Balancer, Decision, KICK_TIMEOUT_US, KickOutcome, is_stopped};
use super::inbox::Inbox;
use super::poller::{self, Poller, Ready};
use super::{AcceptedConnection, AcceptorCommand, AcceptorOptions, CommandQueue};
use crate::runtime::thread_policy::use_batch_scheduling;
use crate::scoreboard::{SlotRef, monotonic_us};

/// The state of the acceptor thread.
pub(super) struct AcceptLoop {
    commands: Arc<CommandQueue>,
    poller: Poller,
    slot: SlotRef,
    balancer: Balancer,
    /// Receives connections that other workers transfer to this one.
    inbox: Option<Inbox>,
    /// The kick descriptors of all slots, in order; empty without a balancer.
    kick_fds: Vec<RawFd>,
    listeners: Vec<Listener>,
    phase: AcceptPhase,
    /// Whether the caller has paused the acceptor.
    is_paused: bool,
    /// Since when a connection has been left to other workers, in microseconds.
    left_since_us: Option<u64>,
    backoff: Backoff,
    /// The listener to start with, so that a busy one does not starve the others.
    next_listener: usize,
    on_accepted: Box<dyn Fn(Vec<AcceptedConnection>) + Send>,
    on_orphaned: Box<dyn Fn() + Send>,
    on_error: Box<dyn Fn(io::Error) + Send>,
    on_shortage: Box<dyn Fn() + Send>,
}

/// Whether the listeners are polled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum AcceptPhase {
    /// The listeners are polled.
    Armed,
    /// Paused until the given time, because a connection is left to other workers.
    Leaving { until_us: u64 },
    /// The listeners are not polled until the given time, because descriptors or memory have run
    /// out.
    Exhausted { until_us: u64 },
    /// The listeners are not polled: the acceptor is paused or has none.
    Idle,
}

/// Why a turn of accepting stopped.
enum TurnEnd {
    /// All queues are empty.
    Empty,
    /// The batch is full; the queues may have more.
    Full,
    /// A connection is left to other workers until then.
    Leave { until_us: u64 },
    /// Descriptors or memory have run out.
    Exhausted(io::Error),
    /// The listener with this index is dead.
    Dead(usize, io::Error),
}

impl AcceptLoop {
    pub(super) fn new(
        options: AcceptorOptions,
        slot: SlotRef,
        wake_receiver: UnixStream,
        commands: Arc<CommandQueue>,
        on_accepted: Box<dyn Fn(Vec<AcceptedConnection>) + Send>,
    ) -> io::Result<Self> {
        let (kick_fds, transfers) = match options.worker_slot {
            Some(worker_slot) => (worker_slot.kick_fds, worker_slot.transfers),
            None => (Vec::new(), None),
        };
        if !kick_fds.is_empty() && kick_fds.len() != slot.board().slots() as usize {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "each slot needs one kick"));
        }
        let own_kick = kick_fds.get(slot.index()).map(|fd| poller::duplicate(*fd)).transpose()?;
        let inbox = transfers.map(|transfers| Inbox::open(transfers.inbox)).transpose()?;
        let lifeline = options.lifeline.map(poller::duplicate).transpose()?;
        let balancer = Balancer::new(slot.clone(), options.max_in_flight, is_stopped);
        balancer.set_accept_paused(true);
        Ok(Self {
            commands,
            poller: Poller::new(wake_receiver, own_kick, inbox.as_ref().map(Inbox::fd), lifeline)?,
            slot,
            balancer,
            inbox,
            kick_fds,
            listeners: Vec::new(),
            phase: AcceptPhase::Idle,
            is_paused: false,
            left_since_us: None,
            backoff: Backoff::new(),
            next_listener: 0,
            on_accepted,
            on_orphaned: options.on_orphaned,
            on_error: options.on_error,
            on_shortage: options.on_shortage,
        })
    }

    /// Runs until `Stop` or a fault of the poller.
    pub(super) fn run(mut self) {
        use_batch_scheduling();
        let mut again = false;
        loop {
            let ready = match self.wait(again) {
                Ok(ready) => ready,
                // SIGCONT after SIGSTOP interrupts the wait, whatever the signal's disposition.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Ready::default(),
                Err(error) => return (self.on_error)(error),
            };
            self.balancer.acknowledge_kicks();
            if ready.has_commands && !self.run_commands() {
                return;
            }
            if ready.has_transfers {
                self.receive_transfers();
            }
            if ready.is_orphaned {
                self.close(|_| true);
                (self.on_orphaned)();
            }
            // Also without an event: the wake-up may have gone to a process that is stopped, and a
            // wait for other workers or for descriptors may be over.
            again = self.is_due() && self.accept_batch();
        }
    }

    fn wait(&mut self, again: bool) -> io::Result<Ready> {
        let timeout_us = match self.phase {
            _ if again => Some(0),
            AcceptPhase::Armed => Some(MAX_WAIT_US),
            AcceptPhase::Idle => None,
            AcceptPhase::Leaving { until_us } | AcceptPhase::Exhausted { until_us } => {
                Some(until_us.saturating_sub(monotonic_us()))
            }
        };
        // Rounded up: otherwise the thread would spin for the last part of a millisecond.
        let timeout_ms = timeout_us.map(|us| i32::try_from(us.div_ceil(1_000)).unwrap_or(i32::MAX));
        let armed = self.phase == AcceptPhase::Armed;
        self.poller.wait(timeout_ms, self.listeners.iter().filter(|_| armed).map(|each| &each.fd))
    }

    /// Whether to examine the queues. A kick also ends the wait for other workers.
    fn is_due(&self) -> bool {
        match self.phase {
            AcceptPhase::Armed | AcceptPhase::Leaving { .. } => true,
            AcceptPhase::Exhausted { until_us } => {
                monotonic_us() >= until_us || !self.commands.is_exhausted.load(Relaxed)
            }
            AcceptPhase::Idle => false,
        }
    }

    /// Executes the pending commands. Returns false when the thread must stop.
    fn run_commands(&mut self) -> bool {
        while let Some(pending_command) = self.commands.take() {
            let mut answer = 0;
            match pending_command.command {
                AcceptorCommand::Add(fd, server_id, is_tls) => {
                    self.disarm();
                    self.listeners.push(Listener { fd, server_id, is_tls, accepted: 0 });
                }
                AcceptorCommand::CloseListeners => self.close(|_| true),
                AcceptorCommand::Pause => {
                    self.is_paused = true;
                    self.kick_other_if_pending();
                }
                AcceptorCommand::Remove(server_id) => {
                    let of_server =
                        self.listeners.iter().filter(|listener| listener.server_id == server_id);
                    answer = of_server.map(|listener| listener.accepted).sum();
                    self.close(|listener| listener.server_id == server_id);
                }
                AcceptorCommand::Resume => self.is_paused = false,
                AcceptorCommand::Stop => return false,
            }
            self.update_phase();
            // A caller that does not wait has dropped the receiver.
            let _ = pending_command.done.send(answer);
        }
        true
    }

    /// Accepts one batch of connections. Returns whether more may be accepted at once.
    fn accept_batch(&mut self) -> bool {
        let mut batch = Vec::new();
        let end = self.fill_batch(&mut batch);
        if !batch.is_empty() {
            self.backoff.reset();
            (self.on_accepted)(batch);
        }
        match end {
            TurnEnd::Empty => self.arm(),
            TurnEnd::Full => {
                self.arm();
                return true;
            }
            TurnEnd::Leave { until_us } => {
                self.disarm();
                self.balancer.set_accept_paused(false);
                self.phase = AcceptPhase::Leaving { until_us };
            }
            TurnEnd::Exhausted(error) => self.back_off(error),
            TurnEnd::Dead(index, error) => {
                self.disarm();
                self.listeners.remove(index);
                self.update_phase();
                (self.on_error)(error);
                return true;
            }
        }
        false
    }

    fn fill_batch(&mut self, batch: &mut Vec<AcceptedConnection>) -> TurnEnd {
        let count = self.listeners.len();
        self.next_listener = self.next_listener.wrapping_add(1);
        let (mut empty, mut lost) = (0, 0);
        while empty < count {
            if batch.len() >= MAX_BATCH_CONNECTIONS {
                return TurnEnd::Full;
            }
            let index = (self.next_listener + empty) % count;
            // An accept on an empty queue first creates a socket and a file, then discards both.
            // That costs four times as much as this check.
            if !poller::any_pending(std::iter::once(&self.listeners[index].fd)) {
                empty += 1;
                continue;
            }
            if let Some(end) = self.check_balancer() {
                return end;
            }
            match self.listeners[index].accept() {
                AcceptOutcome::Connection(connection) => {
                    // Before the next decision, of this process and of all others.
                    self.slot.connection_opened();
                    batch.push(connection);
                }
                // Another worker has accepted it.
                AcceptOutcome::Empty => empty += 1,
                AcceptOutcome::Lost(error) if lost >= MAX_BATCH_CONNECTIONS => {
                    return TurnEnd::Exhausted(error);
                }
                AcceptOutcome::Lost(_) => lost += 1,
                AcceptOutcome::Exhausted(error) => return TurnEnd::Exhausted(error),
                AcceptOutcome::Dead(error) => return TurnEnd::Dead(index, error),
            }
        }
        TurnEnd::Empty
    }

    /// Asks the balancer about the next connection. Returns `None` to accept it, otherwise why not
    /// and until when.
    fn check_balancer(&mut self) -> Option<TurnEnd> {
        if self.kick_fds.is_empty() {
            return None;
        }
        loop {
            let now_us = monotonic_us();
            let (rival, patience_us) = match self.balancer.decide(now_us) {
                Decision::Take => {
                    self.left_since_us = None;
                    return None;
                }
                Decision::LeaveToLeastLoaded(rival) => (rival, MAX_LEAVE_AHEAD_US),
                Decision::LeaveToResponsive(rival) => (rival, MAX_LEAVE_SLOW_US),
            };
            if !poller::any_pending(self.listeners.iter().map(|listener| &listener.fd)) {
                self.left_since_us = None;
                return Some(TurnEnd::Empty);
            }
            let since_us = *self.left_since_us.get_or_insert(now_us);
            let patience_until_us = since_us + patience_us;
            if now_us >= patience_until_us {
                // No other worker has accepted it, although one could. Whatever the reason, no
                // connection waits forever. Take one at a time: the queue may merely be long.
                self.left_since_us = (patience_us == MAX_LEAVE_SLOW_US).then_some(since_us);
                return None;
            }
            let recheck_at_us = match self.balancer.kick(rival, now_us) {
                KickOutcome::Send => {
                    poller::signal(self.kick_fds[rival]);
                    now_us + KICK_TIMEOUT_US
                }
                KickOutcome::Pending { recheck_at_us } => recheck_at_us,
                KickOutcome::Unresponsive => continue,
            };
            return Some(TurnEnd::Leave { until_us: recheck_at_us.min(patience_until_us) });
        }
    }

    /// Receives the connections that other workers have transferred to this one.
    fn receive_transfers(&mut self) {
        let Some(inbox) = &mut self.inbox else { return };
        let batch = inbox.take(MAX_BATCH_CONNECTIONS, &self.on_error);
        for _ in &batch {
            self.slot.connection_received();
        }
        if !batch.is_empty() {
            (self.on_accepted)(batch);
        }
    }

    fn back_off(&mut self, error: io::Error) {
        self.disarm();
        self.balancer.set_accept_paused(true);
        let (until_us, is_reported) = self.backoff.fail(monotonic_us());
        if is_reported {
            (self.on_error)(error);
        }
        self.kick_other_if_pending();
        self.commands.is_exhausted.store(true, Relaxed);
        (self.on_shortage)();
        self.phase = AcceptPhase::Exhausted { until_us };
    }

    fn close(&mut self, which: impl Fn(&Listener) -> bool) {
        self.disarm();
        self.kick_other_if_pending();
        self.listeners.retain(|listener| !which(listener));
        self.update_phase();
    }

    /// Kicks another worker if a queue holds a connection: perhaps only this worker was woken.
    fn kick_other_if_pending(&self) {
        let listeners = self.listeners.iter().map(|listener| &listener.fd);
        if self.kick_fds.is_empty() || !poller::any_pending(listeners) {
            return;
        }
        if let Some(other) = self.balancer.least_loaded_other()
            && self.balancer.kick(other, monotonic_us()) == KickOutcome::Send
        {
            poller::signal(self.kick_fds[other]);
        }
    }

    /// Updates the phase after the pause or the list of listeners has changed.
    fn update_phase(&mut self) {
        if self.is_paused || self.listeners.is_empty() {
            self.disarm();
            self.balancer.set_accept_paused(true);
            self.left_since_us = None;
        } else if self.phase == AcceptPhase::Idle {
            self.arm();
        }
    }

    fn arm(&mut self) {
        if self.phase == AcceptPhase::Armed {
            return;
        }
        self.commands.is_exhausted.store(false, Relaxed);
        self.balancer.set_accept_paused(false);
        self.phase = AcceptPhase::Armed;
        for listener in &self.listeners {
            if let Err(error) = self.poller.arm(&listener.fd) {
                return self.back_off(error);
            }
        }
    }

    fn disarm(&mut self) {
        if self.phase == AcceptPhase::Armed {
            self.listeners.iter().for_each(|listener| self.poller.disarm(&listener.fd));
        }
        self.phase = AcceptPhase::Idle;
    }
}

impl Drop for AcceptLoop {
    /// Closes the listeners and the command queue, so that no caller waits for this thread.
    fn drop(&mut self) {
        self.close(|_| true);
        self.commands.close();
    }
}

/// Maximum number of connections accepted before they are passed to the I/O thread.
const MAX_BATCH_CONNECTIONS: usize = 32;
/// How long a connection is left to workers with fewer connections, in microseconds.
const MAX_LEAVE_AHEAD_US: u64 = 20_000;
/// How long a connection is left to workers whose JavaScript does not lag, in microseconds.
const MAX_LEAVE_SLOW_US: u64 = 100_000;
/// The longest wait before the queues are examined without an event, in microseconds.
const MAX_WAIT_US: u64 = 1_000_000;
