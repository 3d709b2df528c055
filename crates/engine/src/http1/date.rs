//! The value of the `Date` field, formatted once per second (RFC 9110 section 5.6.7).

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

/// The formatted date of a second.
pub(crate) struct Date {
    /// The time of the last look at the clock.
    looked_at: Instant,
    second: u64,
    text: String,
}

impl Date {
    pub fn now() -> Self {
        let mut date = Self { looked_at: Instant::now(), second: u64::MAX, text: String::new() };
        date.look();
        date
    }

    /// Updates the value if the clock has reached another second. It looks at the clock once for
    /// each turn, which has begun at `now`.
    pub fn refresh(&mut self, now: Instant) {
        if now != self.looked_at {
            self.looked_at = now;
            self.look();
        }
    }

    fn look(&mut self) {
        // A clock before 1970 has not been set.
        let second = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        if second != self.second {
            self.second = second;
            let second = second.min(LAST_SECOND);
            self.text = HttpDate::from(UNIX_EPOCH + Duration::from_secs(second)).to_string();
        }
    }

    pub fn text(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// The last second of the year 9999, in seconds since 1970: the format has four digits for the
/// year.
const LAST_SECOND: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_formatted_again_each_second() {
        let now = Instant::now();
        let mut date = Date { looked_at: now, second: 784_111_777, text: "stale".to_owned() };
        date.refresh(now);
        assert_eq!(date.text(), b"stale");
        date.refresh(now + Duration::from_millis(1));
        assert_eq!(date.text().len(), "Sun, 06 Nov 1994 08:49:37 GMT".len());
        assert!(date.text().ends_with(b" GMT"));
    }
}
