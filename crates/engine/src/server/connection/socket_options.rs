//! Socket options that the application has set, stored until the task that owns the socket applies
//! them. Most connections have none, so they are packed into four bytes.

use std::cell::Cell;

use crate::bridge::ring::SocketOption;

/// The last value that was set for each socket option.
#[derive(Default)]
pub(crate) struct PendingSocketOptions(Cell<u32>);

impl PendingSocketOptions {
    /// Stores an option, which replaces an earlier value of it.
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

    /// Takes the stored options. Their order does not matter, because none depends on another.
    pub fn take(&self) -> impl Iterator<Item = SocketOption> {
        let bits = self.0.take();
        let is = |shift: u32| bits >> shift & 1 == 1;
        let choice = |off: u32| if is(off + 1) { Some(true) } else { is(off).then_some(false) };
        let keep_alive =
            choice(KEEP_ALIVE_SHIFT).map(|on| SocketOption::KeepAlive(on, bits >> SECONDS_SHIFT));
        choice(0).map(SocketOption::NoDelay).into_iter().chain(keep_alive)
    }
}

/// One bit, which is shifted to the position of an option's value.
const IS_SET: u32 = 1;
/// Bits of `TCP_NODELAY`: bit 0 if it is set to off, bit 1 if it is set to on.
const NO_DELAY: u32 = 0b11;
/// First of the two bits of `SO_KEEPALIVE`, off and on.
const KEEP_ALIVE_SHIFT: u32 = 2;
/// First bit of the keep-alive time in seconds.
const SECONDS_SHIFT: u32 = 4;
/// Maximum of `TCP_KEEPIDLE` in seconds that Linux accepts (`MAX_TCP_KEEPIDLE`).
const MAX_SECONDS: u32 = 32_767;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_each_option_applies() {
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
