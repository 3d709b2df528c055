//! An acceptor that runs out of descriptors. The limit applies to the process, so the test starts
//! itself again in a new one.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;

use monoceros_engine::transport::listener::{Acceptor, AcceptorOptions};
use socket2::{Domain, Socket, Type};

const CLIENTS: usize = 8;
const WAIT: Duration = Duration::from_secs(10);

#[test]
fn without_descriptors_connections_wait_and_nothing_spins() {
    if std::env::var_os("MONOCEROS_TEST_DESCRIPTORS").is_some() {
        return run_out();
    }
    let name = "without_descriptors_connections_wait_and_nothing_spins";
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", name, "--nocapture"]).env("MONOCEROS_TEST_DESCRIPTORS", "1");
    let output = again.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn run_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let (send, accepted) = channel();
    let (report, errors) = channel();
    let options = AcceptorOptions {
        worker_slot: None,
        lifeline: None,
        max_in_flight: u32::MAX,
        on_orphaned: Box::new(|| {}),
        on_shortage: Box::new(|| {}),
        on_error: Box::new(move |error| report.send(error).unwrap()),
    };
    let acceptor = Acceptor::start(options, move |batch| {
        for each in batch {
            send.send(each).unwrap();
        }
    });
    let acceptor = acceptor.unwrap();
    acceptor.add(listener.into(), 0, false);
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| Socket::new(Domain::IPV4, Type::STREAM, None).unwrap()).collect();
    let highest = clients.iter().map(std::os::fd::AsRawFd::as_raw_fd).max().unwrap();
    let before = limit_descriptors(highest as libc::rlim_t + 4);
    for client in &clients {
        client.connect(&address.into()).unwrap();
    }
    let open: Vec<_> = (0..3).map(|_| accepted.recv_timeout(WAIT).unwrap()).collect();
    let error = errors.recv_timeout(WAIT).unwrap();
    assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
    let cpu = cpu_time();
    // A span to measure over, not a time to wait for something.
    std::thread::sleep(Duration::from_millis(400));
    assert!(cpu_time().saturating_sub(cpu) < Duration::from_millis(100), "it spins");
    assert!(errors.try_recv().is_err(), "one series of failures is reported once");
    limit_descriptors(before);
    for _ in open.len()..CLIENTS {
        accepted.recv_timeout(WAIT).unwrap();
    }
    assert_eq!(acceptor.slot().snapshot().connections as usize, CLIENTS);
}

/// Sets the limit and returns what it was.
fn limit_descriptors(count: libc::rlim_t) -> libc::rlim_t {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointers are to a live value of our own.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        let before = limit.rlim_cur;
        limit.rlim_cur = count;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
        before
    }
}

/// Processor time of the whole process.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live value of our own.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
