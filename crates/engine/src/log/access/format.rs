//! The format of an access log line: text with atoms such as `%(h)s`, compiled once.
//!
//! Every value that a client or an application chose is escaped, so that it cannot end a line, end
//! a quoted string, or look like another field. `"` and `\` get a backslash, and bytes that are not
//! printable ASCII become `\u00NN`. So a format that builds JSON produces valid JSON for every
//! request.

use std::io::Write;

use super::{AccessEntry, json};
use crate::http1::encoder::write_decimal;

/// A compiled `access_log_format`.
#[derive(Clone, Debug)]
pub struct AccessFormat {
    parts: Vec<FormatPart>,
}

/// A part of a compiled format.
#[derive(Clone, Debug, PartialEq)]
enum FormatPart {
    Atom(Atom),
    /// The whole entry as one JSON object.
    Json,
    /// The values of a request field, by its name.
    RequestField(String),
    /// The values of a response field, by its name.
    ResponseField(String),
    /// Literal text.
    Text(Vec<u8>),
}

/// A value of the log entry that an atom inserts.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Atom {
    BodyBytes,
    Microseconds,
    Milliseconds,
    Method,
    /// An atom that is always `-`.
    None,
    Path,
    Pid,
    Query,
    RequestLine,
    Remote,
    Seconds,
    SecondsDecimal,
    Status,
    Target,
    Time,
    User,
    Version,
}

impl AccessFormat {
    /// Compiles a format. `json` alone means one JSON object with all values. Unknown atoms become
    /// `-`, as in Gunicorn.
    ///
    /// # Errors
    ///
    /// When a percent sign begins neither an atom nor `%%`.
    ///
    /// ```
    /// use monoceros_engine::log::access::AccessFormat;
    ///
    /// assert!(AccessFormat::compile(r#"%(h)s "%(r)s" %(s)s %({x-request-id}i)s"#).is_ok());
    /// assert!(AccessFormat::compile("%h").is_err());
    /// ```
    pub fn compile(format: &str) -> Result<Self, String> {
        if format == "json" {
            return Ok(Self { parts: vec![FormatPart::Json] });
        }
        let mut parts = Vec::new();
        let mut text = Vec::new();
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            text.extend_from_slice(&rest.as_bytes()[..at]);
            let after = &rest[at + 1..];
            if let Some(rest_after) = after.strip_prefix('%') {
                text.push(b'%');
                rest = rest_after;
                continue;
            }
            let (name, rest_after) = split_atom(after).ok_or_else(|| {
                let shown: String = rest[at..].chars().take(16).collect();
                format!("%(name)s or %% must follow at {shown:?}")
            })?;
            rest = rest_after;
            match compile_atom(name) {
                FormatPart::Atom(Atom::None) => text.push(b'-'),
                part => {
                    if !text.is_empty() {
                        parts.push(FormatPart::Text(std::mem::take(&mut text)));
                    }
                    parts.push(part);
                }
            }
        }
        text.extend_from_slice(rest.as_bytes());
        if !text.is_empty() {
            parts.push(FormatPart::Text(text));
        }
        Ok(Self { parts })
    }

    /// Appends a line without its line feed; `time` is the value of `%(t)s`.
    pub fn render(&self, entry: &AccessEntry<'_>, time: &str, line: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                FormatPart::Text(text) => line.extend_from_slice(text),
                FormatPart::Atom(atom) => atom.render(entry, time, line),
                FormatPart::Json => json::render(entry, time, line),
                FormatPart::RequestField(name) => {
                    append_field_values(line, name, entry.request_fields.iter());
                }
                FormatPart::ResponseField(name) => {
                    append_field_values(line, name, split_fields(entry.response_fields));
                }
            }
        }
    }
}

impl Atom {
    fn render(self, entry: &AccessEntry<'_>, time: &str, line: &mut Vec<u8>) {
        match self {
            Atom::BodyBytes => write_decimal(line, entry.body_bytes),
            Atom::Microseconds => write_decimal(line, entry.duration.as_micros() as u64),
            Atom::Milliseconds => write_decimal(line, entry.duration.as_millis() as u64),
            Atom::Method => escape(line, entry.method),
            Atom::None => line.push(b'-'),
            Atom::Path => escape(line, &decode_percent(split_target(entry.target).0)),
            Atom::Pid => write_formatted(line, format_args!("<{}>", entry.pid)),
            Atom::Query => escape(line, split_target(entry.target).1),
            Atom::RequestLine => {
                escape(line, entry.method);
                line.push(b' ');
                escape(line, entry.target);
                line.push(b' ');
                escape(line, entry.version);
            }
            Atom::Remote => escape_or_dash(line, entry.remote.map(str::as_bytes)),
            Atom::Seconds => write_decimal(line, entry.duration.as_secs()),
            Atom::SecondsDecimal => {
                let (seconds, micros) = (entry.duration.as_secs(), entry.duration.subsec_micros());
                write_formatted(line, format_args!("{seconds}.{micros:06}"));
            }
            Atom::Status => write_decimal(line, entry.status.into()),
            Atom::Target => escape(line, entry.target),
            Atom::Time => line.extend_from_slice(time.as_bytes()),
            Atom::User => escape_or_dash(line, basic_auth_user(entry).as_deref()),
            Atom::Version => escape(line, entry.version),
        }
    }
}

/// Splits `(name)s` or `(name)d`, in Python's syntax, from the text after it.
fn split_atom(text: &str) -> Option<(&str, &str)> {
    let (name, rest_after) = text.strip_prefix('(')?.split_once(')')?;
    let rest_after = rest_after.strip_prefix(['s', 'd'])?;
    Some((name, rest_after))
}

fn compile_atom(name: &str) -> FormatPart {
    if let Some((field, kind)) = name.strip_prefix('{').and_then(|rest| rest.rsplit_once('}')) {
        return match kind {
            "i" => FormatPart::RequestField(field.to_owned()),
            "o" => FormatPart::ResponseField(field.to_owned()),
            "e" => environment_part(field),
            _ => FormatPart::Atom(Atom::None),
        };
    }
    match name {
        "f" => FormatPart::RequestField("referer".to_owned()),
        "a" => FormatPart::RequestField("user-agent".to_owned()),
        _ => FormatPart::Atom(
            ATOMS.iter().find(|(known, _)| *known == name).map_or(Atom::None, |row| row.1),
        ),
    }
}

/// A variable of the request's WSGI environment, or else of the process, looked up once.
fn environment_part(name: &str) -> FormatPart {
    if let Some(field) = name.strip_prefix("HTTP_") {
        return FormatPart::RequestField(field.replace('_', "-"));
    }
    if let Some((_, atom)) = WSGI_VARIABLES.iter().find(|(known, _)| *known == name) {
        return FormatPart::Atom(*atom);
    }
    let mut text = Vec::new();
    escape_or_dash(&mut text, std::env::var(name).ok().as_ref().map(String::as_bytes));
    FormatPart::Text(text)
}

/// Appends all values of a field, as one list (RFC 9110 section 5.3).
fn append_field_values<'a>(
    line: &mut Vec<u8>,
    name: &str,
    all: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) {
    let start = line.len();
    for (_, value) in all.filter(|(each, _)| each.eq_ignore_ascii_case(name.as_bytes())) {
        if line.len() > start {
            line.extend_from_slice(b", ");
        }
        escape(line, value);
    }
    if line.len() == start {
        line.push(b'-');
    }
}

/// Returns the names and values of field lines.
pub(crate) fn split_fields(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    block.split(|byte| *byte == b'\n').filter_map(|field| {
        let colon = memchr::memchr(b':', field)?;
        Some((&field[..colon], field[colon + 1..].trim_ascii()))
    })
}

/// Splits a request target into path and query. The absolute form begins with a scheme and an
/// authority.
pub(super) fn split_target(target: &[u8]) -> (&[u8], &[u8]) {
    let mut rest = target;
    let scheme = rest.iter().position(|byte| matches!(byte, b':' | b'/' | b'?')).unwrap_or(0);
    if scheme > 0
        && let Some(after) = rest[scheme..].strip_prefix(b"://")
    {
        let authority = after.iter().position(|byte| matches!(byte, b'/' | b'?'));
        rest = authority.map_or(b"/", |end| &after[end..]);
    }
    match memchr::memchr(b'?', rest) {
        Some(mark) => (&rest[..mark], &rest[mark + 1..]),
        None => (rest, b""),
    }
}

/// Decodes percent-encoding (RFC 3986 section 2.1). Invalid sequences stay as they are.
pub(crate) fn decode_percent(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, rest_after @ ..] = rest {
        let value = match (*first, rest_after) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        decoded.push(value.unwrap_or(*first));
        rest = if value.is_some() { &rest_after[2..] } else { rest_after };
    }
    decoded
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

/// The user name of Basic authentication (RFC 7617).
pub(super) fn basic_auth_user(entry: &AccessEntry<'_>) -> Option<Vec<u8>> {
    let mut fields = entry.request_fields.iter();
    let (_, value) = fields.find(|(name, _)| name.eq_ignore_ascii_case(b"authorization"))?;
    let (scheme, credentials) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let mut decoded = decode_base64(credentials.trim_ascii())?;
    let end = memchr::memchr(b':', &decoded)?;
    decoded.truncate(end);
    Some(decoded).filter(|user| !user.is_empty())
}

fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.iter().take_while(|byte| **byte != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            decoded.push((bits >> count) as u8);
        }
    }
    Some(decoded)
}

fn escape_or_dash(line: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) if !value.is_empty() => escape(line, value),
        _ => line.push(b'-'),
    }
}

fn escape(line: &mut Vec<u8>, value: &[u8]) {
    // Nearly every value needs no escape. Testing all bytes without an early exit lets the compiler
    // use vector instructions.
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    if value.iter().fold(true, |all, byte| all & plain(*byte)) {
        return line.extend_from_slice(value);
    }
    for byte in value {
        match byte {
            b'"' | b'\\' => line.extend_from_slice(&[b'\\', *byte]),
            b' '..=b'~' => line.push(*byte),
            _ => write_formatted(line, format_args!("\\u{byte:04x}")),
        }
    }
}

fn write_formatted(line: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to memory does not fail.
    let _ = line.write_fmt(text);
}

/// The atoms by name; `f` and `a` are request fields.
const ATOMS: &[(&str, Atom)] = &[
    ("h", Atom::Remote),
    ("l", Atom::None),
    ("u", Atom::User),
    ("t", Atom::Time),
    ("r", Atom::RequestLine),
    ("m", Atom::Method),
    ("U", Atom::Path),
    ("q", Atom::Query),
    ("H", Atom::Version),
    ("s", Atom::Status),
    ("b", Atom::BodyBytes),
    ("B", Atom::BodyBytes),
    ("T", Atom::Seconds),
    ("M", Atom::Milliseconds),
    ("D", Atom::Microseconds),
    ("L", Atom::SecondsDecimal),
    ("p", Atom::Pid),
];

/// The variables of a WSGI environment that formats written for Gunicorn use.
const WSGI_VARIABLES: &[(&str, Atom)] = &[
    ("PATH_INFO", Atom::Path),
    ("QUERY_STRING", Atom::Query),
    ("RAW_URI", Atom::Target),
    ("REMOTE_ADDR", Atom::Remote),
    ("REQUEST_METHOD", Atom::Method),
    ("REQUEST_URI", Atom::Target),
    ("SERVER_PROTOCOL", Atom::Version),
];

#[cfg(test)]
mod tests;
