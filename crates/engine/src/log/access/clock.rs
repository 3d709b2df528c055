//! The local time as the log shows it, formatted once a second.

#![expect(unsafe_code, reason = "the time zone and the coarse clock are the C library's")]

/// Caches the formatted text of the current second.
pub(super) struct LogClock {
    second: i64,
    formatted: String,
}

impl LogClock {
    /// Reads the time zone, also from the environment: call it while no thread changes that. Later
    /// calls of the C library use what this call has read.
    pub(super) fn new() -> Self {
        let mut clock = Self { second: i64::MIN, formatted: String::new() };
        clock.now();
        clock
    }

    /// The current time, such as `[24/Nov/2026:14:17:00 +0100]`.
    pub(super) fn now(&mut self) -> &str {
        let second = second_now();
        if second != self.second {
            self.second = second;
            self.formatted = format_time(second);
        }
        &self.formatted
    }
}

/// The second of the coarse clock. It is a few milliseconds late and much cheaper, and every line
/// reads it.
#[cfg(target_os = "linux")]
fn second_now() -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a live value of our own. Linux has this clock since 2.6.32; without it `now` stays 0.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &raw mut now) };
    now.tv_sec
}

#[cfg(not(target_os = "linux"))]
fn second_now() -> i64 {
    // A clock before 1970 is a clock that is not set.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(now.unwrap_or_default().as_secs()).unwrap_or(i64::MAX)
}

fn format_time(second: i64) -> String {
    // `time_t` has 64 bits wherever the engine builds. Its name is deprecated for musl.
    let time = libc::timespec { tv_sec: second, tv_nsec: 0 };
    // SAFETY: plain data, valid when zeroed.
    let mut local: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values of our own. On failure `local` stays zeroed.
    unsafe { libc::localtime_r(&raw const time.tv_sec, &raw mut local) };
    let month = usize::try_from(local.tm_mon).ok().and_then(|month| MONTHS.get(month));
    let minutes_east = local.tm_gmtoff / 60;
    format!(
        "[{:02}/{}/{}:{:02}:{:02}:{:02} {}{:02}{:02}]",
        local.tm_mday,
        month.unwrap_or(&"???"),
        i64::from(local.tm_year) + 1_900,
        local.tm_hour,
        local.tm_min,
        local.tm_sec,
        if minutes_east < 0 { '-' } else { '+' },
        minutes_east.abs() / 60,
        minutes_east.abs() % 60,
    )
}

/// Month names, independent of the locale: programs read the log.
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// The time zone belongs to the process, so each zone needs a process of its own: this test
    /// runs itself again.
    #[test]
    fn times_are_in_the_zone_of_the_process() {
        if let Ok(expected) = std::env::var("MONOCEROS_TEST_TIME") {
            assert_eq!(format_time(1_795_529_820), expected);
            return;
        }
        for (zone, expected) in [
            ("UTC0", "[24/Nov/2026:14:17:00 +0000]"),
            ("XST-05:45", "[24/Nov/2026:20:02:00 +0545]"),
            ("XST+03:30", "[24/Nov/2026:10:47:00 -0330]"),
        ] {
            let name = "log::access::clock::tests::times_are_in_the_zone_of_the_process";
            let mut again = Command::new(std::env::current_exe().unwrap());
            again.args(["--exact", name]).env("TZ", zone).env("MONOCEROS_TEST_TIME", expected);
            let output = again.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
    }

    #[test]
    fn the_text_is_formatted_again_each_second() {
        let mut clock = LogClock::new();
        clock.second -= 10;
        clock.formatted = "old".to_owned();
        assert!(clock.now().starts_with('[') && clock.now().ends_with(']'));
    }
}
