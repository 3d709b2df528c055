//! Socket options that the application has set, kept until the task that owns the socket applies
//! them. Most connections have none, so they take four bytes each.

use std::cell::Cell;

use crate::bridge::ring::SocketOption;

/// The last value of each option.
#[derive(Default)]
pub(crate) struct PendingSocketOptions(Cell<u32>);

impl PendingSocketOptions {
    pub fn set(&self, option: SocketOption) {
        let before = self.0.get();
        self.0.set(match option {
            SocketOption::NoDelay(on) => before & !NO_DELAY | IS_SET << u32::from(on),
            SocketOption::KeepAlive(on, seconds) => {
                let time = seconds.min(MAX_SECONDS) << SECONDS_SHIFT;
                before & NO_DELAY | IS_SET << (KEEP_ALIVE_SHIFT + u32::from(on)) | time
            }
        });
    }

    /// Takes the options, in any order: none depends on another.
    pub fn take(&self) -> impl Iterator<Item = SocketOption> {
        let bits = self.0.take();
        let is = |shift: u32| bits >> shift & 1 == 1;
        let choice = |off: u32| if is(off + 1) { Some(true) } else { is(off).then_some(false) };
        let keep_alive =
            choice(KEEP_ALIVE_SHIFT).map(|on| SocketOption::KeepAlive(on, bits >> SECONDS_SHIFT));
        choice(0).map(SocketOption::NoDelay).into_iter().chain(keep_alive)
    }
}

const IS_SET: u32 = 1;
/// One bit each for off and on.
const NO_DELAY: u32 = 0b11;
const KEEP_ALIVE_SHIFT: u32 = 2;
const SECONDS_SHIFT: u32 = 4;
/// The maximum that Linux accepts for TCP_KEEPIDLE.
const MAX_SECONDS: u32 = 32_767;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_wish_of_each_kind_counts() {
        let options = PendingSocketOptions::default();
        assert_eq!(options.take().count(), 0);
        options.set(SocketOption::NoDelay(true));
        options.set(SocketOption::KeepAlive(true, 90_000));
        options.set(SocketOption::NoDelay(false));
        let taken: Vec<_> = options.take().collect();
        assert_eq!(
            taken,
            [SocketOption::NoDelay(false), SocketOption::KeepAlive(true, MAX_SECONDS)]
        );
        options.set(SocketOption::KeepAlive(true, 5));
        options.set(SocketOption::KeepAlive(false, 0));
        assert_eq!(options.take().collect::<Vec<_>>(), [SocketOption::KeepAlive(false, 0)]);
        assert_eq!(options.take().count(), 0);
    }
}
