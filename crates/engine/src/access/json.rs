//! A line as one JSON object: `access_log_format` "json".
//!
//! What is not there is `null`. Text that is UTF-8 is that text, any other is taken byte by byte; all that is not
//! printable ASCII is escaped, so that no reader and no terminal takes it for anything else.

use std::io::Write;

use super::Entry;
use super::format::{decode_percent, split_target, user};

/// Appends the object without a line's end; `time` is what `%(t)s` stands for.
pub(super) fn render(entry: &Entry<'_>, time: &str, line: &mut Vec<u8>) {
    let (path, query) = split_target(entry.target);
    let mut object = Object { line, first: true };
    object.text("time", iso(time).as_deref().map(str::as_bytes));
    object.number("pid", entry.pid);
    object.text("remote", entry.remote.map(str::as_bytes));
    object.text("user", user(entry).as_deref());
    object.text("method", Some(entry.method));
    object.text("target", Some(entry.target));
    object.text("path", Some(&decode_percent(path)));
    object.text("query", Some(query));
    object.text("protocol", Some(entry.version));
    object.number("status", entry.status);
    object.number("bytes", entry.body_bytes);
    object.number("duration_us", entry.duration.as_micros());
    object.text("referer", field(entry, b"referer").as_deref());
    object.text("user_agent", field(entry, b"user-agent").as_deref());
    object.text("host", field(entry, b"host").as_deref());
    object.text("forwarded_for", field(entry, b"x-forwarded-for").as_deref());
    object.text("request_id", field(entry, b"x-request-id").as_deref());
    line.push(b'}');
}

struct Object<'a> {
    line: &'a mut Vec<u8>,
    first: bool,
}

impl Object<'_> {
    fn name(&mut self, name: &str) {
        self.line.push(if self.first { b'{' } else { b',' });
        self.first = false;
        self.put(format_args!("\"{name}\":"));
    }

    fn number(&mut self, name: &str, value: impl std::fmt::Display) {
        self.name(name);
        self.put(format_args!("{value}"));
    }

    fn text(&mut self, name: &str, value: Option<&[u8]>) {
        self.name(name);
        let Some(value) = value else { return self.put(format_args!("null")) };
        self.line.push(b'"');
        match std::str::from_utf8(value) {
            Ok(text) => text.chars().for_each(|character| self.character(character)),
            Err(_) => value.iter().for_each(|byte| self.character(char::from(*byte))),
        }
        self.line.push(b'"');
    }

    fn character(&mut self, character: char) {
        match character {
            '"' | '\\' => self.put(format_args!("\\{character}")),
            ' '..='~' => self.line.push(character as u8),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    self.put(format_args!("\\u{unit:04x}"));
                }
            }
        }
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to memory does not fail.
        let _ = self.line.write_fmt(text);
    }
}

/// All values of a field of the request, as one list (RFC 9110 section 5.3).
fn field(entry: &Entry<'_>, name: &[u8]) -> Option<Vec<u8>> {
    let mut values =
        entry.request_fields.iter().filter(|(each, _)| each.eq_ignore_ascii_case(name));
    let mut all = values.next()?.1.to_vec();
    for (_, value) in values {
        all.extend_from_slice(b", ");
        all.extend_from_slice(value);
    }
    Some(all)
}

/// `[24/Nov/2026:14:17:00 +0100]` as `2026-11-24T14:17:00+01:00` (RFC 3339).
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
