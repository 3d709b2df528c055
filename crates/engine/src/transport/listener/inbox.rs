//! The inbox of a worker: where connections arrive that other workers transfer to this one.

use std::io;
use std::os::fd::{OwnedFd, RawFd};

use super::{AcceptedConnection, poller};
use crate::transport::transfer;

/// The reading end of this worker's inbox.
pub(super) struct Inbox {
    fd: OwnedFd,
    /// Holds one message.
    buffer: Vec<u8>,
}

impl Inbox {
    /// Opens the inbox with an inherited descriptor.
    pub(super) fn open(fd: RawFd) -> io::Result<Self> {
        Ok(Self { fd: poller::duplicate(fd)?, buffer: Vec::new() })
    }

    /// The descriptor that is readable while connections wait.
    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Takes up to `max` connections.
    pub(super) fn take(
        &mut self,
        max: usize,
        on_error: &dyn Fn(io::Error),
    ) -> Vec<AcceptedConnection> {
        let mut batch = Vec::new();
        while batch.len() < max {
            match transfer::receive(&self.fd, &mut self.buffer) {
                Ok(Some(connection)) => batch.push(connection),
                Ok(None) => break,
                Err(error) => {
                    let is_lost = error.kind() == io::ErrorKind::InvalidData;
                    on_error(error);
                    // Any other error would repeat.
                    if !is_lost {
                        break;
                    }
                }
            }
        }
        batch
    }
}
