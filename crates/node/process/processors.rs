//! CPU affinity: the processors on which a process may run.

use std::io;

/// Pins a process to one of the processors that the calling process may use,
/// `sched_setaffinity(2)`. `number` is an index into them, modulo their count.
#[cfg(target_os = "linux")]
pub(super) fn pin_to_processor(pid: i32, number: u32) -> io::Result<bool> {
    use std::mem;

    // SAFETY: a zeroed set is the empty set.
    let (mut allowed, mut chosen): (libc::cpu_set_t, libc::cpu_set_t) = unsafe { mem::zeroed() };
    // SAFETY: the set outlives the call, and the size is that of the set.
    if unsafe { libc::sched_getaffinity(0, size_of_val(&allowed), &raw mut allowed) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the numbers are within the range of the set.
    let list: Vec<usize> = (0..libc::CPU_SETSIZE as usize)
        .filter(|processor| unsafe { libc::CPU_ISSET(*processor, &allowed) })
        .collect();
    let Some(processor) = list.get(number as usize % list.len().max(1)) else { return Ok(false) };
    // SAFETY: the number is within the range of the set.
    unsafe { libc::CPU_SET(*processor, &mut chosen) };
    // SAFETY: the set outlives the call, and the size is that of the set.
    match unsafe { libc::sched_setaffinity(pid, size_of_val(&chosen), &raw const chosen) } {
        0 => Ok(true),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Returns false: other systems have no such call.
#[cfg(not(target_os = "linux"))]
pub(super) fn pin_to_processor(_pid: i32, _number: u32) -> io::Result<bool> {
    Ok(false)
}
