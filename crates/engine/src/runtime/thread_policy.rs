//! The scheduling policy and the processor time of the engine's threads.
#![allow(unsafe_code, reason = "the standard library has neither")]

use std::time::Duration;

/// Switches this thread to `SCHED_BATCH` (sched(7)), so that its wake-ups preempt no other thread.
/// On a busy processor it runs when the running thread waits or its time slice is over, and then
/// handles all that has arrived meanwhile. On an idle processor it still runs at once.
pub(crate) fn use_batch_scheduling() {
    #[cfg(target_os = "linux")]
    {
        let parameter = libc::sched_param { sched_priority: 0 };
        // SAFETY: the only pointer is to a live value of our own. A policy that the user chose for
        // the process stays, and if the system refuses, the policy stays as it is.
        unsafe {
            if libc::sched_getscheduler(0) == libc::SCHED_OTHER {
                libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameter);
            }
        }
    }
}

/// The processor time of a thread, for other threads to read.
pub(crate) struct ThreadClock {
    #[cfg(target_os = "linux")]
    clock: Option<libc::clockid_t>,
}

impl ThreadClock {
    /// Returns the clock of the calling thread.
    #[cfg(target_os = "linux")]
    pub fn of_this_thread() -> Self {
        let mut clock = 0;
        // SAFETY: the thread exists, since it runs this; the pointer is to a live value.
        let failed = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock) };
        Self { clock: (failed == 0).then_some(clock) }
    }

    /// Returns a clock that is always zero: other threads cannot read one on this system.
    #[cfg(not(target_os = "linux"))]
    pub fn of_this_thread() -> Self {
        Self {}
    }

    /// Returns the processor time that the thread has used; zero where it is not known.
    pub fn now(&self) -> Duration {
        #[cfg(target_os = "linux")]
        if let Some(clock) = self.clock {
            let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: the pointer is to a live value. A clock whose thread has ended is an error.
            if unsafe { libc::clock_gettime(clock, &raw mut time) } == 0 {
                return Duration::new(time.tv_sec as u64, time.tv_nsec as u32);
            }
        }
        Duration::ZERO
    }
}
