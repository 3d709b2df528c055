//! An access log line as one JSON object, for `access_log_format = "json"`. A missing value is
//! `null`.

use super::AccessEntry;
use super::format::{basic_auth_user, decode_percent, split_target};
use crate::log::json::JsonObject;

/// Appends the object without a line feed; `time` is the value of `%(t)s`.
pub(super) fn render(entry: &AccessEntry<'_>, time: &str, line: &mut Vec<u8>) {
    let (path, query) = split_target(entry.target);
    let mut object = JsonObject::begin(line);
    object.text("time", iso(time).as_deref().map(str::as_bytes));
    object.plain("pid", entry.pid);
    object.text("remote", entry.remote.map(str::as_bytes));
    object.text("user", basic_auth_user(entry).as_deref());
    object.text("method", Some(entry.method));
    object.text("target", Some(entry.target));
    object.text("path", Some(&decode_percent(path)));
    object.text("query", Some(query));
    object.text("protocol", Some(entry.version));
    object.plain("status", entry.status);
    object.plain("bytes", entry.body_bytes);
    object.plain("duration_us", entry.duration.as_micros());
    object.text("referer", field(entry, b"referer").as_deref());
    object.text("user_agent", field(entry, b"user-agent").as_deref());
    object.text("host", field(entry, b"host").as_deref());
    object.text("forwarded_for", field(entry, b"x-forwarded-for").as_deref());
    object.text("request_id", field(entry, b"x-request-id").as_deref());
    object.end();
}

/// All values of a request field, as one list (RFC 9110 section 5.3).
fn field(entry: &AccessEntry<'_>, name: &[u8]) -> Option<Vec<u8>> {
    let mut values =
        entry.request_fields.iter().filter(|(each, _)| each.eq_ignore_ascii_case(name));
    let mut all = values.next()?.1.to_vec();
    for (_, value) in values {
        all.extend_from_slice(b", ");
        all.extend_from_slice(value);
    }
    Some(all)
}

/// Converts `[24/Nov/2026:14:17:00 +0100]` to `2026-11-24T14:17:00+01:00` (RFC 3339).
fn iso(time: &str) -> Option<String> {
    let (date, rest) = time.strip_prefix('[')?.strip_suffix(']')?.split_once(':')?;
    let mut parts = date.split('/');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.find(month)? / 3 + 1;
    let (clock, offset) = rest.split_once(' ')?;
    let (hours, minutes) = offset.split_at_checked(3)?;
    Some(format!("{year}-{month:02}-{day}T{clock}{hours}:{minutes}"))
}

const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
