//! How the engine's threads stand to the others on their processor.
#![allow(unsafe_code, reason = "the standard library has no policies")]

/// Lets this thread interrupt nobody on its processor: on a busy one it runs when the thread that runs there is done with
/// its turn or its slice, and then does all that has come meanwhile. On an idle one it runs at once, as ever.
pub(crate) fn use_batch_scheduling() {
    #[cfg(target_os = "linux")]
    {
        let parameter = libc::sched_param { sched_priority: 0 };
        // SAFETY: no pointers but one to a live value of our own. Whoever has chosen another policy for the process keeps
        // it, and a system that refuses leaves things as they are.
        unsafe {
            if libc::sched_getscheduler(0) == libc::SCHED_OTHER {
                libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameter);
            }
        }
    }
}
