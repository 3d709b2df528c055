//! The scheduling policy of the engine's threads, and what one thread can see of another.
#![allow(unsafe_code, reason = "the standard library has neither")]

#[cfg(target_os = "linux")]
use std::fs::File;
#[cfg(target_os = "linux")]
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// Switches this thread to `SCHED_BATCH` (sched(7)), so that its wake-ups preempt no other thread.
/// On a busy processor it runs when the running thread waits or its time slice is over, and then
/// handles all that has arrived meanwhile. On an idle processor it still runs at once.
pub(crate) fn use_batch_scheduling() {
    #[cfg(target_os = "linux")]
    {
        // The kernel's `struct sched_param`. The functions of these names do nothing on musl.
        let parameter: libc::c_int = 0;
        // SAFETY: the only pointer is to a live value of our own. A policy that the user chose for
        // the process stays, and if the system refuses, the policy stays as it is.
        unsafe {
            if libc::syscall(libc::SYS_sched_getscheduler, 0) == libc::SCHED_OTHER.into() {
                let pointer = &raw const parameter;
                libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_BATCH, pointer);
            }
        }
    }
}

/// What other threads can see of a thread: its processor time, and whether it waits for a
/// processor.
pub(crate) struct ThreadProbe {
    #[cfg(target_os = "linux")]
    clock: Option<libc::clockid_t>,
    /// The file `stat` of the thread (`proc_pid_stat(5)`).
    #[cfg(target_os = "linux")]
    stat: Option<File>,
}

#[cfg(target_os = "linux")]
impl ThreadProbe {
    /// Returns the probe of the calling thread.
    pub fn of_this_thread() -> Self {
        let mut clock = 0;
        // SAFETY: the thread exists, since it runs this; the pointer is to a live value.
        let failed = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock) };
        // A system may not show processes as files.
        let stat = File::open("/proc/thread-self/stat").ok();
        Self { clock: (failed == 0).then_some(clock), stat }
    }

    /// Returns the processor time that the thread has used; zero where it is not known.
    pub fn processor_time(&self) -> Duration {
        let Some(clock) = self.clock else { return Duration::ZERO };
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the pointer is to a live value. A clock whose thread has ended is an error.
        let failed = unsafe { libc::clock_gettime(clock, &raw mut time) } != 0;
        if failed {
            return Duration::ZERO;
        }
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }

    /// Whether the thread runs or waits for a processor, and so for no event. `false` where that is
    /// not known.
    pub fn is_runnable(&self) -> bool {
        let mut text = [0; 64];
        let read = self.stat.as_ref().and_then(|stat| stat.read_at(&mut text, 0).ok());
        // The state follows the name of the thread, which may itself have parentheses.
        let text = &text[..read.unwrap_or(0)];
        let end = text.iter().rposition(|&byte| byte == b')');
        end.and_then(|end| text.get(end + 2)) == Some(&b'R')
    }
}

#[cfg(not(target_os = "linux"))]
impl ThreadProbe {
    /// Returns a probe that knows nothing: other threads cannot look at one on this system.
    pub fn of_this_thread() -> Self {
        Self {}
    }

    /// Returns zero: the processor time is not known.
    pub fn processor_time(&self) -> Duration {
        Duration::ZERO
    }

    /// Returns `false`: whether the thread waits for a processor is not known.
    pub fn is_runnable(&self) -> bool {
        false
    }
}
