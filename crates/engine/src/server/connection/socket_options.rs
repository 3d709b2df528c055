//! What the application wants of a connection's socket, until the task that owns the socket runs. Thousands of connections
//! never want anything: it takes four bytes of each.

use std::cell::Cell;

use crate::bridge::ring::SocketOption;

/// The last wish of each kind.
#[derive(Default)]
pub(crate) struct PendingSocketOptions(Cell<u32>);

impl PendingSocketOptions {
    pub fn note(&self, wish: SocketOption) {
        let before = self.0.get();
        self.0.set(match wish {
            SocketOption::NoDelay(on) => before & !NO_DELAY | WANTED << u32::from(on),
            SocketOption::KeepAlive(on, seconds) => {
                let time = seconds.min(MAX_SECONDS) << SECONDS_SHIFT;
                before & NO_DELAY | WANTED << (KEEP_ALIVE_SHIFT + u32::from(on)) | time
            }
        });
    }

    /// Takes them, in any order: none depends on another.
    pub fn take(&self) -> impl Iterator<Item = SocketOption> {
        let bits = self.0.take();
        let is = |shift: u32| bits >> shift & 1 == 1;
        let choice = |off: u32| if is(off + 1) { Some(true) } else { is(off).then_some(false) };
        let keep_alive =
            choice(KEEP_ALIVE_SHIFT).map(|on| SocketOption::KeepAlive(on, bits >> SECONDS_SHIFT));
        choice(0).map(SocketOption::NoDelay).into_iter().chain(keep_alive)
    }
}

const WANTED: u32 = 1;
/// Off and on, a bit each.
const NO_DELAY: u32 = 0b11;
const KEEP_ALIVE_SHIFT: u32 = 2;
const SECONDS_SHIFT: u32 = 4;
/// What Linux takes at most.
const MAX_SECONDS: u32 = 32_767;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_wish_of_each_kind_counts() {
        let wishes = PendingSocketOptions::default();
        assert_eq!(wishes.take().count(), 0);
        wishes.note(SocketOption::NoDelay(true));
        wishes.note(SocketOption::KeepAlive(true, 90_000));
        wishes.note(SocketOption::NoDelay(false));
        let taken: Vec<_> = wishes.take().collect();
        assert_eq!(
            taken,
            [SocketOption::NoDelay(false), SocketOption::KeepAlive(true, MAX_SECONDS)]
        );
        wishes.note(SocketOption::KeepAlive(true, 5));
        wishes.note(SocketOption::KeepAlive(false, 0));
        assert_eq!(wishes.take().collect::<Vec<_>>(), [SocketOption::KeepAlive(false, 0)]);
        assert_eq!(wishes.take().count(), 0);
    }
}
