//! Tests of two mappings of one board, of wrong arguments, and of counters that outlive their
//! worker.

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
    slot.request_finished(204, 10, 300, 1_000);
    let view = board.slot(2).unwrap().snapshot();
    assert_eq!((view.pid, view.generation, view.state), (41, 1, WorkerState::Booting));
    assert_eq!((view.connections, view.in_flight, view.counters.requests), (1, 1, 1));
    assert_eq!((view.counters.bytes_in, view.counters.bytes_out), (10, 300));
    assert_eq!(view.counters.status, [0, 1, 0, 0, 0]);
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
        slot.request_finished(status, 1, 2, 5);
    }
    let alive = board.totals();
    assert_eq!((alive.requests, alive.accepted, alive.status), (6, 6, [1, 1, 1, 1, 1]));
    board.release(1).unwrap();
    assert_eq!(board.totals(), alive);
    board.release(1).unwrap();
    assert_eq!(board.totals(), alive, "releasing twice adds once");
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
fn durations_fall_into_buckets_of_powers_of_two() {
    let board = Board::create(1).unwrap();
    board.claim(1, 7).unwrap();
    let slot = board.slot(1).unwrap();
    for us in [0, 1, 2, 3, 4, 1_023, 1_024, u64::MAX / 4] {
        slot.request_started();
        slot.request_finished(200, 0, 0, us);
    }
    let latency = board.totals().latency;
    assert_eq!(latency.buckets[..4], [1, 1, 2, 1]);
    assert_eq!((latency.buckets[10], latency.buckets[11]), (1, 1));
    assert_eq!(latency.buckets[BUCKETS - 1], 1);
    assert_eq!(latency.buckets.iter().sum::<u64>(), 8);
}

#[test]
fn a_close_too_many_does_not_wrap() {
    let board = Board::create(1).unwrap();
    let slot = board.slot(1).unwrap();
    slot.connection_closed();
    slot.request_finished(200, 0, 0, 0);
    let view = slot.snapshot();
    assert_eq!((view.connections, view.in_flight), (0, 0));
}
