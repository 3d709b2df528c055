//! The output of the access log: a file, or standard output, which may be a pipe without a reader.

#![expect(unsafe_code, reason = "poll, to ask a pipe for room; descriptors by number")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

/// The open output of an access log.
pub(super) struct Sink {
    file: File,
    /// `None` for standard output, which cannot be opened again.
    path: Option<String>,
    /// Whether the output can be full, as pipes, terminals and sockets can. Then a write first asks
    /// for room: setting it non-blocking would do so for every process that shares it.
    may_be_full: bool,
}

impl Sink {
    /// Opens a path, standard output (`-`), or an inherited descriptor (`fd://N`).
    pub(super) fn open(target: &str) -> io::Result<Self> {
        let (file, path) = match target {
            "-" => (File::from(io::stdout().as_fd().try_clone_to_owned()?), None),
            // The arbiter's standard output, for a worker whose own is another file.
            inherited if inherited.starts_with("fd://") => (duplicate(&inherited[5..])?, None),
            path => (append(path)?, Some(path.to_owned())),
        };
        Ok(Self::new(file, path))
    }

    pub(super) fn new(file: File, path: Option<String>) -> Self {
        let may_be_full = !file.metadata().is_ok_and(|data| data.is_file());
        Self { file, path, may_be_full }
    }

    /// Opens the path again, if there is one.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if let Some(path) = &self.path {
            *self = Self::new(append(path)?, Some(path.clone()));
        }
        Ok(())
    }

    /// Writes whole lines from the buffer's start and removes what is written. The rest is kept,
    /// with an error unless a pipe is merely full.
    pub(super) fn write(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        let mut done = 0;
        let mut result = Ok(());
        while done < buffer.len() {
            let rest = &buffer[done..];
            let part = if self.may_be_full { portion(rest) } else { rest };
            if self.may_be_full && !self.has_room() {
                break;
            }
            match self.file.write(part) {
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Disk full or reader closed: kept, and tried again with the next lines.
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        buffer.drain(..done);
        result
    }

    /// Whether a portion can be written without blocking, as POSIX defines it for pipes.
    fn has_room(&self) -> bool {
        let mut asked =
            libc::pollfd { fd: self.file.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
        // SAFETY: one entry, alive through the call.
        unsafe { libc::poll(&raw mut asked, 1, 0) == 1 && asked.revents & libc::POLLOUT != 0 }
    }
}

fn duplicate(number: &str) -> io::Result<File> {
    let fd = number.parse().ok().filter(|fd: &RawFd| *fd >= 0);
    let fd = fd.ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))?;
    // SAFETY: not negative, and borrowed only for the duplication, which fails for a number that is
    // not open.
    let inherited = unsafe { BorrowedFd::borrow_raw(fd) };
    Ok(File::from(inherited.try_clone_to_owned()?))
}

fn append(path: &str) -> io::Result<File> {
    // Closed once the writing end is open.
    let _reader = read_end(path);
    // The standard library opens with CLOEXEC, and O_APPEND keeps the lines of several workers
    // whole.
    OpenOptions::new().append(true).create(true).open(path)
}

/// Opens the reading end of a FIFO first, without blocking. Otherwise open(2) of the writing end
/// would wait for a reader, and block the whole worker.
fn read_end(path: &str) -> Option<File> {
    fs::metadata(path).ok().filter(|data| data.file_type().is_fifo())?;
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()
}

/// As many whole lines as a pipe takes without interleaving them with another process's
/// (`PIPE_BUF`), or a part of a line that is longer.
fn portion(lines: &[u8]) -> &[u8] {
    if lines.len() <= libc::PIPE_BUF {
        return lines;
    }
    let end = lines[..libc::PIPE_BUF].iter().rposition(|byte| *byte == b'\n');
    &lines[..end.map_or(libc::PIPE_BUF, |at| at + 1)]
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;

    use super::*;

    #[test]
    fn a_full_pipe_keeps_the_lines_and_does_not_wait() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut sink = Sink::new(File::from(OwnedFd::from(writer)), None);
        assert!(sink.may_be_full);
        let lines = b"0123456789abcdef0123456789abcde\n".repeat(10_000);
        let mut buffer = lines.clone();
        sink.write(&mut buffer).unwrap();
        assert!(!buffer.is_empty() && buffer.len() < lines.len());
        let mut read = vec![0; lines.len() - buffer.len()];
        reader.read_exact(&mut read).unwrap();
        sink.write(&mut buffer).unwrap();
        let mut rest = vec![0; lines.len() - buffer.len() - read.len()];
        reader.read_exact(&mut rest).unwrap();
        assert!([read, rest, buffer].concat() == lines);
    }

    #[test]
    fn portions_end_with_a_line() {
        let lines = [b"a\n".repeat(2_000), vec![b'x'; 10_000]].concat();
        assert_eq!(portion(&lines).len(), 4_000);
        assert_eq!(portion(&lines[4_000..]).len(), libc::PIPE_BUF);
        assert_eq!(portion(b"short\n"), b"short\n");
    }
}
