//! Which processors a process runs on.

use std::io;

/// Lets a process run on one of the processors that this one may use only.
#[cfg(target_os = "linux")]
pub(super) fn pin(pid: i32, number: u32) -> io::Result<bool> {
    use std::mem;

    // SAFETY: all zeroes is the empty set.
    let (mut allowed, mut chosen): (libc::cpu_set_t, libc::cpu_set_t) = unsafe { mem::zeroed() };
    // SAFETY: the set lives through the call, and its size is its own.
    if unsafe { libc::sched_getaffinity(0, size_of_val(&allowed), &raw mut allowed) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the numbers are within the set.
    let list: Vec<usize> = (0..libc::CPU_SETSIZE as usize)
        .filter(|processor| unsafe { libc::CPU_ISSET(*processor, &allowed) })
        .collect();
    let Some(processor) = list.get(number as usize % list.len().max(1)) else { return Ok(false) };
    // SAFETY: the number is within the set.
    unsafe { libc::CPU_SET(*processor, &mut chosen) };
    // SAFETY: the set lives through the call, and its size is its own.
    match unsafe { libc::sched_setaffinity(pid, size_of_val(&chosen), &raw const chosen) } {
        0 => Ok(true),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Elsewhere there is no such call.
#[cfg(not(target_os = "linux"))]
pub(super) fn pin(_pid: i32, _number: u32) -> io::Result<bool> {
    Ok(false)
}
