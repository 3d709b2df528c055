//! Worker processes for tests: this test program started anew, as a process that only accepts.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use monoceros_engine::scoreboard::{Board, WorkerState};
use monoceros_engine::transport::listener::{
    Acceptor, AcceptorOptions, LocalAddress, TcpOptions, WorkerSlot, bind_tcp, local_address,
};

/// An arbiter's part: the listener, the board, and the processes.
pub struct Workers {
    pub board: Board,
    pub address: SocketAddr,
    children: Vec<Child>,
    _listener: OwnedFd,
}

impl Workers {
    /// Starts workers on slots 1 to `count` and waits until they accept.
    pub fn start(count: u32) -> Self {
        let board = Board::create(SLOTS).unwrap();
        let options = TcpOptions { backlog: 2_048, reuse_port: false, ipv6_only: false };
        let listener = bind_tcp(&Ipv4Addr::LOCALHOST.to_string(), 0, options).unwrap();
        let LocalAddress::Ip(address) = local_address(listener.as_raw_fd()).unwrap() else {
            panic!("TCP has an IP address");
        };
        let inherited: Vec<RawFd> =
            [board.fd(), listener.as_raw_fd()].into_iter().chain(board.kick_fds()).collect();
        let children = (1..=count).map(|slot| spawn(slot, &inherited)).collect();
        let workers = Self { board, address, children, _listener: listener };
        for (slot, child) in (1..).zip(&workers.children) {
            workers.board.claim(slot, child.id()).unwrap();
        }
        let ready =
            |slot| workers.board.slot(slot).unwrap().snapshot().state == WorkerState::Accepting;
        until(|| (1..=count).all(ready));
        workers
    }

    pub fn signal(&self, slot: u32, signal: i32) {
        let pid = self.children[slot as usize - 1].id() as i32;
        // SAFETY: no pointers; the process is a child of ours that has not been waited for.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// Stops a worker and waits until the system reports it as stopped.
    pub fn stop(&self, slot: u32) {
        self.signal(slot, libc::SIGSTOP);
        let stat = format!("/proc/{}/stat", self.children[slot as usize - 1].id());
        until(|| {
            let text = std::fs::read_to_string(&stat).unwrap();
            text.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('T'))
        });
    }

    /// Open connections by slot.
    pub fn connections(&self) -> Vec<u32> {
        let slots = 1..=self.children.len() as u32;
        slots.map(|slot| self.board.slot(slot).unwrap().snapshot().connections).collect()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for child in &mut self.children {
            // One that has ended already is what is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Runs a worker: accepts, sends its slot number on every connection, keeps it open. Never returns.
pub fn work() -> ! {
    let slot: u32 = std::env::var(SLOT).unwrap().parse().unwrap();
    let board = Board::open(FIRST_FD, SLOTS).unwrap();
    let slot = board.slot(slot).unwrap();
    // SAFETY: the parent passed it under this number, and nothing else here uses it.
    let listener = unsafe { OwnedFd::from_raw_fd(FIRST_FD + 1) };
    let kick_fds = (FIRST_FD + 2..).take(SLOTS as usize).collect();
    let options = AcceptorOptions {
        worker_slot: Some(WorkerSlot {
            slot: slot.clone(),
            kick_fds,
            transfers: None,
            is_oversubscribed: false,
        }),
        lifeline: None,
        max_in_flight: u32::MAX,
        on_orphaned: Box::new(|| {}),
        on_shortage: Box::new(|| {}),
        on_error: Box::new(|error| panic!("{error}")),
    };
    let (open, name) = (Mutex::new(Vec::new()), [slot.number() as u8]);
    let acceptor = Acceptor::start(options, move |batch| {
        for accepted in batch {
            let mut stream = TcpStream::from(accepted.fd);
            stream.write_all(&name).unwrap();
            open.lock().unwrap().push(stream);
        }
    });
    let acceptor = acceptor.unwrap();
    acceptor.add(listener, 0, false);
    // The parent claims the slot right after it has started this process.
    until(|| slot.snapshot().state == WorkerState::Booting);
    slot.set_state(WorkerState::Accepting);
    loop {
        thread::park();
    }
}

/// Waits for a condition; the bound only ends a test that has failed.
pub fn until(mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < end, "it did not come about within ten seconds");
        thread::sleep(Duration::from_millis(1));
    }
}

fn spawn(slot: u32, inherited: &[RawFd]) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "worker_process", "--ignored", "--nocapture"]);
    command.env(SLOT, slot.to_string());
    let copies: Vec<OwnedFd> = inherited.iter().map(|fd| out_of_the_way(*fd)).collect();
    // SAFETY: only dup2, which is safe between fork and exec. The copies are above the numbers that
    // are overwritten.
    unsafe {
        command.pre_exec(move || {
            for (target, copy) in (FIRST_FD..).zip(&copies) {
                if libc::dup2(copy.as_raw_fd(), target) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
    command.spawn().unwrap()
}

fn out_of_the_way(fd: RawFd) -> OwnedFd {
    // SAFETY: the board or the listener is alive, and a new descriptor is ours.
    unsafe {
        let _open = BorrowedFd::borrow_raw(fd);
        OwnedFd::from_raw_fd(libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 200))
    }
}

const SLOT: &str = "MONOCEROS_TEST_SLOT";
const SLOTS: u32 = 8;
const FIRST_FD: RawFd = 100;
