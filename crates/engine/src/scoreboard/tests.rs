//! Tests of two mappings of one board, of wrong arguments, and of counters that outlive their
//! worker.

use super::layout::{JAVASCRIPT_CELLS, LOOP_CELLS, MAX_SERIES, MetricCell};
use super::*;

#[test]
fn a_second_mapping_sees_what_the_first_counts() {
    let board = Board::create(4).unwrap();
    let same = Board::open(board.fd(), 4).unwrap();
    assert_eq!(board.claim(2, 41).unwrap(), 1);
    let slot = same.slot(2).unwrap();
    slot.connection_opened();
    slot.request_started();
    slot.request_started();
    finish(&slot, 204, 1_000);
    let view = board.slot(2).unwrap().snapshot();
    assert_eq!((view.pid, view.generation, view.state), (41, 1, WorkerState::Booting));
    assert_eq!((view.connections, view.in_flight, view.counters.requests), (1, 1, 1));
    assert_eq!((view.counters.bytes_in, view.counters.bytes_out), (10, 300));
    assert!(view.beat_age_ms < 5_000);
}

#[test]
fn the_totals_never_decrease_when_a_worker_dies() {
    let board = Board::create(2).unwrap();
    board.claim(1, 7).unwrap();
    let slot = board.slot(1).unwrap();
    for status in [200, 301, 404, 503, 101, 700] {
        slot.connection_opened();
        slot.request_started();
        finish(&slot, status, 5);
    }
    let alive = board.totals();
    assert_eq!((alive.requests, alive.accepted), (6, 6));
    let metrics = read_sum(&board, &[1]);
    board.release(1).unwrap();
    assert_eq!(board.totals(), alive);
    board.release(1).unwrap();
    assert_eq!(board.totals(), alive, "releasing twice adds once");
    assert_eq!(read_sum(&board, &[1]), metrics);
    assert_eq!(board.claim(1, 8).unwrap(), 2, "a slot is reused with a new generation");
    let view = board.slot(1).unwrap().snapshot();
    assert_eq!((view.connections, view.in_flight, view.counters), (0, 0, Counters::default()));
}

#[test]
fn a_taken_slot_is_not_claimed_twice() {
    let board = Board::create(1).unwrap();
    board.claim(1, 7).unwrap();
    assert_eq!(board.claim(1, 8).unwrap_err().to_string(), "slot 1 is taken");
}

#[test]
fn slots_outside_the_board_are_refused() {
    let board = Board::create(3).unwrap();
    assert!(board.slot(0).is_err() && board.slot(4).is_err() && board.slot(u32::MAX).is_err());
    assert!(board.claim(4, 1).is_err() && board.release(0).is_err() && board.kick(4).is_err());
    assert!(Board::create(0).is_err() && Board::create(MAX_SLOTS + 1).is_err());
}

#[test]
fn other_memory_is_refused() {
    let board = Board::create(2).unwrap();
    assert!(Board::open(-1, 2).is_err());
    assert!(Board::open(board.fd(), 3).is_err(), "another number of slots");
    let message = |result: io::Result<Board>| result.err().unwrap().to_string();
    assert!(message(Board::open(board.fd(), 1)).contains("2 slots"));
    board.inner.mapping.header().layout.store(99, Relaxed);
    assert!(message(Board::open(board.fd(), 2)).contains("layout 99"));
    board.inner.mapping.header().magic.store(1, Relaxed);
    assert!(message(Board::open(board.fd(), 2)).contains("not a scoreboard"));
    let file = std::fs::File::open("/proc/self/exe").or_else(|_| std::fs::File::open("/bin/sh"));
    assert!(Board::open(file.unwrap().as_raw_fd(), 2).is_err());
}

#[test]
fn durations_fall_into_the_buckets_of_their_series() {
    let board = Board::create(1).unwrap();
    board.claim(1, 7).unwrap();
    let slot = board.slot(1).unwrap();
    for us in [0, 5_000, 5_001, 20_000_000] {
        slot.request_started();
        finish(&slot, 200, us);
    }
    assert_eq!(board.series_keys()[1..], [SeriesKey::new(1, 200, 1).number()]);
    let series = &board.read_metrics(1, 2).unwrap()[LOOP_CELLS + JAVASCRIPT_CELLS + 16..];
    assert_eq!(series[..3], [2, 1, 0]);
    assert_eq!(series[14..], [1, 20_010_001], "slower ones, and the sum");
}

#[test]
fn requests_beyond_the_last_series_are_counted_together() {
    let board = Board::create(1).unwrap();
    board.claim(1, 7).unwrap();
    let slot = board.slot(1).unwrap();
    for status in 0..2_000 {
        finish(&slot, status, 1);
    }
    assert_eq!(board.series_keys().len(), MAX_SERIES);
    let values = board.read_metrics(1, MAX_SERIES).unwrap();
    let first = LOOP_CELLS + JAVASCRIPT_CELLS;
    assert_eq!(values[first], 2_000 - MAX_SERIES as u64 + 1);
    board.claim(1, 8).unwrap_err();
    board.release(1).unwrap();
    board.claim(1, 8).unwrap();
    assert!(board.read_metrics(1, MAX_SERIES).unwrap().iter().all(|value| *value == 0));
}

#[test]
fn the_totals_of_an_earlier_board_are_added_by_method_status_and_protocol() {
    let (earlier, later) = (Board::create(2).unwrap(), Board::create(2).unwrap());
    for (board, first, second) in [(&earlier, 200, 404), (&later, 404, 200)] {
        board.claim(1, 7).unwrap();
        let slot = board.slot(1).unwrap();
        finish(&slot, first, 1);
        finish(&slot, second, 1);
        finish(&slot, second, 1);
        slot.set_gauge(MetricCell::OpenTunnels, 3);
        slot.count(MetricCell::LoopTakeovers, 2);
    }
    later.absorb_board(&earlier);
    assert_eq!(later.totals().requests, 6);
    let values = read_sum(&later, &[1]);
    let first = LOOP_CELLS + JAVASCRIPT_CELLS;
    assert_eq!([values[first + 16], values[first + 32]], [3, 3]);
    let cell = |cell: MetricCell| values[cell as usize];
    assert_eq!([cell(MetricCell::LoopTakeovers), cell(MetricCell::OpenTunnels)], [4, 3]);
}

#[test]
fn a_late_heartbeat_is_a_block_until_and_after_it_ends() {
    let board = Board::create(1).unwrap();
    board.claim(1, 7).unwrap();
    let slot = board.slot(1).unwrap();
    let blocked = || board.read_metrics(1, 0).unwrap()[MetricCell::BlockedTime as usize];
    slot.cells().beat_ms.store(1, Relaxed);
    assert_eq!(blocked(), 0, "an application that loads sends no heartbeat");
    slot.set_state(WorkerState::Accepting);
    let pending = blocked();
    assert!(pending > 0);
    slot.beat();
    let ended = blocked();
    assert!(ended >= pending);
    slot.cells().beat_ms.store(1, Relaxed);
    let again = blocked();
    assert!(again > ended);
    board.release(1).unwrap();
    let released = board.read_metrics(0, 0).unwrap()[MetricCell::BlockedTime as usize];
    assert!(released >= again);
}

#[test]
fn readiness_ends_with_half_of_the_workers_or_the_stop() {
    let board = Board::create(4).unwrap();
    let is_ready = || board.check_readiness().iter().all(|check| check.is_ok);
    assert!(is_ready(), "without an arbiter");
    let mut state = ServerState { wanted_workers: 4, is_stopping: false, timeout_ms: 500 };
    board.publish_server_state(state);
    assert!(!is_ready());
    for number in 1..=2 {
        board.claim(number, 7).unwrap();
        board.slot(number).unwrap().set_state(WorkerState::Accepting);
    }
    assert!(is_ready());
    state.is_stopping = true;
    board.publish_server_state(state);
    assert!(!is_ready());
}

#[test]
fn a_worker_is_alive_while_its_event_loop_and_the_arbiter_turn() {
    let board = Board::create(1).unwrap();
    board.claim(1, 7).unwrap();
    let slot = board.slot(1).unwrap();
    let check = || slot.check_liveness().map(|check| check.is_ok);
    let mut state = ServerState { wanted_workers: 1, is_stopping: false, timeout_ms: 500 };
    board.publish_server_state(state);
    assert_eq!(check(), [true, true]);
    slot.cells().beat_ms.store(1, Relaxed);
    assert_eq!(check(), [false, true]);
    state.timeout_ms = 0;
    board.publish_server_state(state);
    assert_eq!(check(), [true, true], "timeout 0 turns it off");
    state.timeout_ms = 500;
    board.publish_server_state(state);
    board.header().arbiter_beat_ms.store(1, Relaxed);
    assert_eq!(check(), [false, false]);
}

#[test]
fn a_close_too_many_does_not_wrap() {
    let board = Board::create(1).unwrap();
    let slot = board.slot(1).unwrap();
    slot.connection_closed();
    finish(&slot, 200, 0);
    let view = slot.snapshot();
    assert_eq!((view.connections, view.in_flight), (0, 0));
}

/// Counts a finished GET request with a body of 10 bytes and a response of 300.
fn finish(slot: &SlotRef, status: u16, us: u64) {
    let key = SeriesKey::new(find_method(b"GET"), status, find_protocol(b"HTTP/1.1"));
    let request = FinishedRequest { key, bytes_in: 10, bytes_out: 300, us };
    slot.request_finished(&SeriesCache::default(), &request);
}

/// Returns the sum of the metrics of released slots and of these slots.
fn read_sum(board: &Board, slots: &[u32]) -> Vec<u64> {
    let series = board.series_keys().len();
    let mut sum = board.read_metrics(0, series).unwrap();
    for slot in slots {
        let values = board.read_metrics(*slot, series).unwrap();
        sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    }
    sum
}
