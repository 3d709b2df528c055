//! The scheduling policy of the engine's threads.
#![allow(unsafe_code, reason = "the standard library has no policies")]

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
