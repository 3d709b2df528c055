//! Several processes on one listener: how many connections each accepts, and what happens to those
//! that a stopped or killed process would have accepted.

#![cfg(target_os = "linux")]

mod workers;

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use workers::{Workers, until};

#[test]
#[ignore = "the life of the processes that the other tests start"]
fn worker_process() {
    workers::work();
}

/// Which slot took the connection.
fn slot_of(stream: &mut TcpStream) -> u32 {
    let mut name = [0];
    stream.read_exact(&mut name).unwrap();
    name[0].into()
}

fn shares(streams: &mut [TcpStream]) -> Vec<usize> {
    let mut counts = vec![0; 5];
    for stream in streams {
        counts[slot_of(stream) as usize] += 1;
    }
    counts.split_off(1)
}

fn evenness(shares: &[usize]) -> f64 {
    let most = shares.iter().max().unwrap();
    let least = shares.iter().min().unwrap();
    *most as f64 / *least as f64
}

fn report(what: &str, shares: &[usize], waits: &[Duration]) {
    let mean = waits.iter().sum::<Duration>() / waits.len().max(1) as u32;
    println!("{what}: {shares:?}, mean {mean:?}, most {:?}", waits.iter().max());
}

/// Connects, waits to be served, connects again.
fn one_by_one(workers: &Workers, count: usize) -> (Vec<TcpStream>, Vec<usize>, Vec<Duration>) {
    let (mut open, mut counts, mut waits) = (Vec::new(), vec![0; 4], Vec::new());
    for _ in 0..count {
        let start = Instant::now();
        let mut stream = workers.connect();
        counts[slot_of(&mut stream) as usize - 1] += 1;
        waits.push(start.elapsed());
        open.push(stream);
    }
    (open, counts, waits)
}

#[test]
fn connections_opened_one_by_one_are_shared_evenly() {
    let workers = Workers::start(4);
    let (_open, counts, waits) = one_by_one(&workers, 100);
    report("100 one by one", &counts, &waits);
    assert!(evenness(&counts) <= 1.5, "{counts:?}");
    assert_eq!(workers.connections(), counts.iter().map(|n| *n as u32).collect::<Vec<_>>());
}

#[test]
fn connections_opened_at_once_are_shared_evenly() {
    for count in [100, 1_000] {
        let workers = Workers::start(4);
        let start = Instant::now();
        let mut streams: Vec<_> = (0..count).map(|_| workers.connect()).collect();
        let counts = shares(&mut streams);
        report(&format!("{count} at once"), &counts, &[start.elapsed()]);
        assert!(evenness(&counts) <= 1.5, "{counts:?}");
    }
}

#[test]
fn no_connection_waits_in_a_stopped_worker() {
    let workers = Workers::start(4);
    workers.stop(2);
    let start = Instant::now();
    let mut streams: Vec<_> = (0..1_000).map(|_| workers.connect()).collect();
    let counts = shares(&mut streams);
    let took = start.elapsed();
    report("1000 at once, slot 2 stopped", &counts, &[took]);
    assert_eq!(counts[1], 0);
    assert!(evenness(&[counts[0], counts[2], counts[3]]) <= 1.5, "{counts:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    let (open, more, waits) = one_by_one(&workers, 60);
    report("60 one by one, slot 2 stopped", &more, &waits);
    assert_eq!(more[1], 0);
    assert!(waits.iter().all(|wait| *wait < Duration::from_millis(500)), "{waits:?}");
    drop(open);
}

#[test]
fn a_worker_that_runs_again_gets_its_share() {
    let workers = Workers::start(4);
    workers.stop(3);
    let (first, counts, _) = one_by_one(&workers, 60);
    assert_eq!(counts[2], 0);
    workers.signal(3, libc::SIGCONT);
    // Its acceptor clears the suspicion when it wakes; until then the others ignore it.
    until(|| workers.connect().read_exact(&mut [0]).is_ok() && workers.connections()[2] > 0);
    let (second, _, _) = one_by_one(&workers, 60);
    let counts: Vec<_> = workers.connections().iter().map(|count| *count as usize).collect();
    report("120 one by one, slot 3 stopped for the first 60", &counts, &[]);
    assert!(evenness(&counts) <= 1.5, "{counts:?}");
    drop((first, second));
}

#[test]
fn a_killed_worker_takes_no_queued_connection_with_it() {
    let workers = Workers::start(4);
    let (open, counts, _) = one_by_one(&workers, 40);
    workers.signal(1, libc::SIGKILL);
    let mut streams: Vec<_> = (0..200).map(|_| workers.connect()).collect();
    let more = shares(&mut streams);
    report("200 at once after slot 1 was killed", &more, &[]);
    assert_eq!(more.iter().sum::<usize>(), 200);
    assert!(more[0] <= 1, "{counts:?} {more:?}");
    drop(open);
}

#[test]
fn the_least_loaded_worker_gets_the_next_ones() {
    let workers = Workers::start(2);
    let (mut open, _, _) = one_by_one(&workers, 40);
    // As if the clients of slot 1 had left.
    let slot = workers.board.slot(1).unwrap();
    (0..20).for_each(|_| slot.connection_closed());
    let mut streams: Vec<_> = (0..18).map(|_| workers.connect()).collect();
    let counts = shares(&mut streams);
    assert_eq!(counts[..2], [18, 0]);
    open.clear();
}

#[test]
fn a_worker_whose_javascript_lags_yields_connections_to_others() {
    let workers = Workers::start(2);
    workers.board.slot(2).unwrap().set_waiting_since(1);
    let (_open, counts, waits) = one_by_one(&workers, 40);
    report("40 one by one, slot 2 lags", &counts, &waits);
    assert_eq!(counts[..2], [40, 0]);
    assert!(waits.iter().all(|wait| *wait < Duration::from_millis(500)), "{waits:?}");
}

#[test]
fn a_worker_that_lags_takes_what_no_other_worker_takes() {
    let workers = Workers::start(2);
    workers.board.slot(2).unwrap().set_waiting_since(1);
    workers.stop(1);
    let (_open, counts, waits) = one_by_one(&workers, 5);
    report("5 one by one, slot 2 lags, slot 1 stopped", &counts, &waits);
    assert_eq!(counts[..2], [0, 5]);
    assert!(waits.iter().all(|wait| *wait < Duration::from_millis(1_500)), "{waits:?}");
}
