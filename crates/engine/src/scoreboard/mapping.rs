//! The shared memory of the scoreboard, and its other system calls: event descriptors and the
//! monotonic clock.

#![expect(unsafe_code, reason = "mmap, and references into what it returns")]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};

use super::cells::{Header, SlotCells};
use super::sessions::{self, Bucket};

/// Shared memory that holds a header and slots; unmapped at drop.
pub(super) struct Mapping {
    start: NonNull<u8>,
    len: usize,
    fd: RawFd,
    /// Set only in the process that created the memory: an inherited descriptor is closed by its
    /// owner.
    _owner: Option<OwnedFd>,
}

// SAFETY: the memory is only reached through references to atomics and stays mapped until drop.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Creates and maps shared memory of `len` bytes.
    pub(super) fn create(len: usize) -> io::Result<Self> {
        let file = File::from(create_shared_memory()?);
        file.set_len(len as u64)?;
        seal(&file)?;
        Self::map(file.as_raw_fd(), Some(file.into()), len)
    }

    /// Maps the first `len` bytes of an inherited descriptor.
    pub(super) fn open(fd: RawFd, len: usize) -> io::Result<Self> {
        // SAFETY: plain data, valid when zeroed; fstat checks the descriptor itself.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is to a live stat of our own.
        check(unsafe { libc::fstat(fd, &raw mut stat) })?;
        // Access to a page beyond the end of the file would raise SIGBUS.
        if u64::try_from(stat.st_size).unwrap_or(0) < len as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the scoreboard is too short"));
        }
        Self::map(fd, None, len)
    }

    /// The descriptor of the memory.
    pub(super) fn fd(&self) -> RawFd {
        self.fd
    }

    /// The header.
    pub(super) fn header(&self) -> &Header {
        // SAFETY: the mapping is longer than a header, aligned to a page, and any bytes are a
        // valid header, since it consists of atomics.
        unsafe { self.start.cast::<Header>().as_ref() }
    }

    /// The slots. `slots` must be the number that the mapping was created or opened with.
    pub(super) fn cells(&self, slots: u32) -> &[SlotCells] {
        let end = size_of::<Header>() + slots as usize * size_of::<SlotCells>();
        assert!(end <= self.len, "the board checks its slots when it is created");
        // SAFETY: in bounds as just checked; the header's size is a multiple of the slots'
        // alignment; any bytes are valid slots, since they consist of atomics.
        unsafe {
            let first = self.start.add(size_of::<Header>()).cast::<SlotCells>();
            std::slice::from_raw_parts(first.as_ptr(), slots as usize)
        }
    }

    /// The table of sessions, which follows the slots.
    pub(super) fn sessions(&self, slots: u32) -> &[Bucket] {
        let start = size_of::<Header>() + slots as usize * size_of::<SlotCells>();
        assert!(
            start + size_of::<Bucket>() * sessions::BUCKETS <= self.len,
            "checked when created"
        );
        // SAFETY: in bounds as just checked; the sizes of header and slots are multiples of the
        // buckets' alignment; any bytes are valid buckets, since they consist of atomics.
        unsafe {
            let first = self.start.add(start).cast::<Bucket>();
            std::slice::from_raw_parts(first.as_ptr(), sessions::BUCKETS)
        }
    }

    fn map(fd: RawFd, owner: Option<OwnedFd>, len: usize) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at a place that the kernel chooses touches nothing of ours.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, access, libc::MAP_SHARED, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { start, len, fd, _owner: owner })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: ours, of this length, and no reference outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// Wakes the process that waits on the event descriptor.
pub(super) fn signal_kick(kick_fd: &OwnedFd) -> io::Result<()> {
    let one = 1_u64.to_ne_bytes();
    // SAFETY: the buffer is alive and eight bytes long.
    let written = unsafe { libc::write(kick_fd.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    let error = io::Error::last_os_error();
    // A full counter means that the owner has been kicked already.
    if written < 0 && error.kind() != io::ErrorKind::WouldBlock { Err(error) } else { Ok(()) }
}

/// Microseconds on `CLOCK_MONOTONIC`.
pub(super) fn monotonic_us() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec of our own.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    // Neither part of the monotonic clock is ever negative.
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000
}

/// Creates a non-blocking event descriptor (eventfd(2)).
#[cfg(target_os = "linux")]
pub(super) fn create_kick_fd() -> io::Result<Option<OwnedFd>> {
    // SAFETY: no pointers; a descriptor that is not negative is new and ours.
    unsafe {
        let fd = check(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?;
        Ok(Some(OwnedFd::from_raw_fd(fd)))
    }
}

/// Other systems have no event descriptors and so no kicks: the kernel alone distributes
/// connections.
#[cfg(not(target_os = "linux"))]
pub(super) fn create_kick_fd() -> io::Result<Option<OwnedFd>> {
    Ok(None)
}

#[cfg(target_os = "linux")]
fn create_shared_memory() -> io::Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // The function of this name is in glibc only since 2.27, and the binary loads on 2.17.
    // SAFETY: the name is a C string; a descriptor that is not negative is new and ours.
    unsafe {
        let name = c"monoceros-scoreboard".as_ptr();
        let fd = libc::syscall(libc::SYS_memfd_create, name, flags);
        Ok(OwnedFd::from_raw_fd(check(fd as RawFd)?))
    }
}

#[cfg(not(target_os = "linux"))]
fn create_shared_memory() -> io::Result<OwnedFd> {
    let name = std::ffi::CString::new(format!("/mono-{}-{}", std::process::id(), monotonic_us()))?;
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
    // SAFETY: the name is a C string; a descriptor that is not negative is new and ours. The name
    // is removed at once, so no other process can open it.
    unsafe {
        let fd = check(libc::shm_open(name.as_ptr(), flags, 0o600))?;
        libc::shm_unlink(name.as_ptr());
        check(libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Prevents a process with the descriptor from truncating the file: the next access of another one
/// would raise SIGBUS.
#[cfg(target_os = "linux")]
fn seal(file: &File) -> io::Result<()> {
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: no pointers, and the descriptor is open.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) }).map(drop)
}

#[cfg(not(target_os = "linux"))]
fn seal(_file: &File) -> io::Result<()> {
    Ok(())
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_memory_cannot_be_truncated() {
        let mapping = Mapping::create(4_096).unwrap();
        // SAFETY: no pointers, and the descriptor is open.
        let result = check(unsafe { libc::ftruncate(mapping.fd(), 0) });
        assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EPERM));
    }
}
