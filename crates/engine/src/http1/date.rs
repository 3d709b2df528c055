//! The value of `Date`, made once a second (RFC 9110 section 5.6.7).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

/// The value for this second.
pub(crate) struct Date {
    second: u64,
    text: String,
}

impl Date {
    pub fn now() -> Self {
        let mut date = Self { second: u64::MAX, text: String::new() };
        date.refresh();
        date
    }

    /// Looks at the clock again.
    pub fn refresh(&mut self) {
        // A clock before 1970 is a clock that is not set.
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

/// The last of the year 9999: the form has no room for another one.
const LAST_SECOND: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_made_anew_with_each_second() {
        let mut date = Date { second: 784_111_777, text: "stale".to_owned() };
        date.refresh();
        assert_eq!(date.text().len(), "Sun, 06 Nov 1994 08:49:37 GMT".len());
        assert!(date.text().ends_with(b" GMT"));
    }
}
