//! A simulated queue: requests arrive at times, JavaScript takes one after the other.

use std::collections::VecDeque;

use super::*;

const MS: u64 = 1_000;
const SECOND: u64 = 1_000 * MS;
const TARGET: Duration = Duration::from_millis(250);

/// A worker with a queue of requests by their times of arrival.
struct Worker {
    delay: QueueDelay,
    queue: VecDeque<u64>,
    now: u64,
    /// When the next request arrives, and the time between two.
    next_arrival: u64,
    every: u64,
    taken: u64,
    rejected: u64,
    longest_wait: u64,
}

impl Worker {
    fn new(target: Duration) -> Self {
        Self {
            delay: QueueDelay::new(target),
            queue: VecDeque::new(),
            now: 0,
            next_arrival: 0,
            every: u64::MAX,
            taken: 0,
            rejected: 0,
            longest_wait: 0,
        }
    }

    /// One request arrives every `every` microseconds from now on.
    fn load(&mut self, every: u64) {
        (self.next_arrival, self.every) = (self.now, every);
    }

    fn burst(&mut self, count: u64) {
        self.delay.record_arrivals(count);
        self.queue.extend((0..count).map(|_| self.now));
    }

    /// Moves the clock. Requests arrive, and those that have waited too long are rejected.
    fn pass(&mut self, time: u64) {
        let until = self.now + time;
        while self.every != u64::MAX && self.next_arrival <= until {
            self.delay.record_arrivals(1);
            self.queue.push_back(self.next_arrival);
            self.next_arrival += self.every;
        }
        self.now = until;
        let Some(max_wait) = self.delay.max_wait_us() else { return };
        while self.queue.len() > MIN_QUEUE && self.queue[0] + max_wait < self.now {
            let wait = self.now - self.queue.pop_front().unwrap();
            self.rejected += 1;
            self.delay.record_rejected(self.now, 1, wait);
        }
    }

    /// Handles requests, each for `service` microseconds, until a time.
    fn work_until(&mut self, until: u64, service: u64) {
        while self.now < until {
            if let Some(arrived) = self.queue.pop_front() {
                let wait = self.now - arrived;
                self.longest_wait = self.longest_wait.max(wait);
                self.taken += 1;
                self.delay.record_taken(self.now, wait, 1, self.queue.len());
                self.pass(service);
            } else {
                self.delay.record_short_wait();
                self.pass(MS);
            }
        }
    }
}

#[test]
fn a_load_beyond_the_capacity_is_rejected_after_an_interval_and_the_rest_is_served() {
    for factor in [2, 3, 10] {
        let mut worker = Worker::new(TARGET);
        worker.load(5 * MS / factor);
        worker.work_until(20 * SECOND, 5 * MS);
        assert!(worker.taken >= 3_990, "{factor}: {}", worker.taken);
        assert!(worker.rejected > 0);
        // Those that arrived before the overload was noticed have waited longest.
        assert!(worker.longest_wait < 900 * MS, "{factor}: {}", worker.longest_wait);
        worker.longest_wait = 0;
        worker.work_until(25 * SECOND, 5 * MS);
        assert!(worker.longest_wait <= 506 * MS, "{factor}: {}", worker.longest_wait);
    }
}

#[test]
fn a_load_within_the_capacity_is_never_rejected() {
    let mut worker = Worker::new(TARGET);
    worker.load(5 * MS);
    worker.work_until(20 * SECOND, 5 * MS);
    assert_eq!((worker.rejected, worker.delay.max_wait_us()), (0, None));
}

#[test]
fn a_garbage_collection_of_500_ms_rejects_nothing() {
    for load in [10 * MS, 6 * MS, 5_200] {
        let mut worker = Worker::new(TARGET);
        worker.load(load);
        worker.work_until(2 * SECOND, 5 * MS);
        worker.pass(500 * MS);
        worker.work_until(30 * SECOND, 5 * MS);
        assert_eq!(worker.rejected, 0, "{load}");
        assert!(worker.longest_wait >= 490 * MS);
    }
}

#[test]
fn a_burst_of_1000_requests_rejects_nothing() {
    for load in [u64::MAX, 10 * MS] {
        let mut worker = Worker::new(TARGET);
        worker.work_until(SECOND, 5 * MS);
        worker.load(load);
        worker.burst(1_000);
        worker.work_until(20 * SECOND, 5 * MS);
        assert_eq!(worker.rejected, 0);
        assert!(worker.longest_wait > 4 * SECOND);
    }
}

#[test]
fn the_worker_recovers_when_the_load_falls() {
    let mut worker = Worker::new(TARGET);
    worker.load(MS);
    worker.work_until(5 * SECOND, 5 * MS);
    assert!(worker.delay.max_wait_us().is_some());
    worker.load(10 * MS);
    worker.work_until(6 * SECOND, 5 * MS);
    let rejected = worker.rejected;
    assert_eq!(worker.delay.max_wait_us(), None);
    worker.work_until(20 * SECOND, 5 * MS);
    assert_eq!(worker.rejected, rejected);
}

#[test]
fn a_persistent_queue_at_the_capacity_is_no_overload() {
    let mut worker = Worker::new(TARGET);
    worker.burst(80);
    worker.load(5 * MS);
    worker.work_until(20 * SECOND, 5 * MS);
    assert!(worker.queue.len() >= 75);
    assert_eq!((worker.rejected, worker.delay.max_wait_us()), (0, None));
}

#[test]
fn requests_that_are_refused_or_whose_clients_give_up_count_as_waiting() {
    for refuses in [true, false] {
        let mut worker = Worker::new(TARGET);
        worker.load(MS);
        // Either no more than 100 requests are in flight, or clients give up after 400 ms.
        while worker.now < 3 * SECOND {
            worker.work_until(worker.now + 5 * MS, 5 * MS);
            while refuses && worker.queue.len() > 100 {
                worker.queue.pop_back();
            }
            while !refuses && worker.queue[0] + 400 * MS < worker.now {
                worker.queue.pop_front();
            }
        }
        assert!(worker.delay.max_wait_us().is_some(), "{refuses}");
    }
}

#[test]
fn an_idle_worker_is_not_overloaded() {
    let mut worker = Worker::new(TARGET);
    worker.load(MS);
    worker.work_until(5 * SECOND, 5 * MS);
    worker.every = u64::MAX;
    worker.queue.clear();
    worker.work_until(5 * SECOND + 10 * MS, 5 * MS);
    assert_eq!(worker.delay.max_wait_us(), None);
}

#[test]
fn slow_handlers_keep_the_newest_requests() {
    let mut worker = Worker::new(TARGET);
    worker.load(200 * MS);
    worker.work_until(60 * SECOND, 400 * MS);
    assert!(worker.delay.max_wait_us().is_some());
    assert!(worker.rejected > 0);
    assert!(worker.queue.len() >= MIN_QUEUE - 1);
}

#[test]
fn a_target_of_zero_turns_the_check_off() {
    let mut worker = Worker::new(Duration::ZERO);
    worker.load(MS);
    worker.work_until(20 * SECOND, 5 * MS);
    assert_eq!((worker.rejected, worker.delay.max_wait_us()), (0, None));
    assert_eq!(worker.delay.next_check_us(worker.now), None);
}

#[test]
fn the_log_has_one_line_for_the_begin_and_one_for_the_end() {
    let mut worker = Worker::new(TARGET);
    worker.load(MS);
    worker.work_until(3 * SECOND, 5 * MS);
    let Some(Report::Begin(begin)) = worker.delay.take_report(worker.now) else { panic!() };
    assert!(begin.contains("queue_delay_target 250ms"), "{begin}");
    assert!(begin.ends_with("those that wait longer than 500ms get a 503"), "{begin}");
    assert_eq!(worker.delay.take_report(worker.now), None);
    assert_eq!(worker.delay.next_check_us(worker.now), Some(CHECK_INTERVAL_US));
    worker.load(20 * MS);
    worker.work_until(6 * SECOND, 5 * MS);
    assert_eq!(worker.delay.max_wait_us(), None);
    assert_eq!(worker.delay.take_report(worker.now), None);
    let rest = worker.delay.next_check_us(worker.now).unwrap();
    assert!(rest > 0 && rest < REPORT_PAUSE_US);
    worker.pass(rest);
    let Some(Report::End(end)) = worker.delay.take_report(worker.now) else { panic!() };
    assert!(end.starts_with("overload has ended after "), "{end}");
    assert!(end.contains(&format!("{} of ", worker.rejected)), "{end}");
    assert_eq!(worker.delay.next_check_us(worker.now), None);
    assert_eq!(worker.delay.take_report(worker.now), None);
}
