//! Properties of the access log, for any format of the operator and any request. A line never
//! contains a byte that ends the line or controls a terminal. A quote never ends a quoted string
//! early. Rendering never panics.

use std::time::Duration;

use monoceros_engine::log::access::{AccessEntry, AccessFormat, RequestFields};

/// Builds a format and a log entry from the input and checks the line. Separators split the input
/// into format, method, target, version, client, request fields and response fields.
pub fn check(input: &[u8]) {
    let sections = sections(input);
    let section = |at: usize| sections.get(at).copied().unwrap_or_default();
    let format = String::from_utf8_lossy(section(0));
    let remote = String::from_utf8_lossy(section(4));
    let fields: Vec<_> = section(5)
        .split(|&byte| byte == b'\n')
        .map(|line| {
            let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
            (&line[..colon], line.get(colon + 1..).unwrap_or_default())
        })
        .collect();
    let entry = AccessEntry {
        remote: (!remote.is_empty()).then_some(&*remote),
        method: section(1),
        target: section(2),
        version: section(3),
        status: input.len() as u16,
        body_bytes: u64::MAX,
        duration: Duration::from_micros(input.len() as u64 * 999_999),
        request_fields: RequestFields::Pairs(&fields),
        response_fields: section(6),
        pid: u32::MAX,
    };
    if let Ok(compiled) = AccessFormat::compile(&format) {
        let line = render(&compiled, &entry);
        let unsafe_byte =
            line.iter().find(|&&byte| !is_printable(byte) && !format.as_bytes().contains(&byte));
        assert_eq!(unsafe_byte, None, "{format:?} gives {:?}", String::from_utf8_lossy(&line));
    }
    let line = render(&AccessFormat::compile(QUOTED).expect("it is a format"), &entry);
    assert!(line.iter().copied().all(is_printable), "{:?}", String::from_utf8_lossy(&line));
    assert_eq!(
        count_quoted_strings(&line),
        Some(QUOTED_STRINGS),
        "{:?}",
        String::from_utf8_lossy(&line)
    );
}

fn sections(input: &[u8]) -> Vec<&[u8]> {
    let mut sections = Vec::new();
    let mut rest = input;
    while let Some(at) = rest.windows(SEPARATOR.len()).position(|window| window == SEPARATOR) {
        sections.push(&rest[..at]);
        rest = &rest[at + SEPARATOR.len()..];
    }
    sections.push(rest);
    sections
}

fn render(format: &AccessFormat, entry: &AccessEntry<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    format.render(entry, "[24/Nov/2026:15:00:00 +0000]", &mut line);
    line
}

fn is_printable(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte)
}

/// Returns the number of quoted strings in a line; `None` if it contains anything else.
fn count_quoted_strings(line: &[u8]) -> Option<usize> {
    let (mut count, mut rest) = (0, line);
    while let Some(inside) = rest.strip_prefix(b"\"") {
        let mut at = 0;
        while *inside.get(at)? != b'"' {
            at += if inside[at] == b'\\' { 2 } else { 1 };
        }
        count += 1;
        rest = &inside[at + 1..];
    }
    rest.is_empty().then_some(count)
}

const SEPARATOR: &[u8] = b"\n--\n";
/// Every atom whose value a client or the application can choose.
const QUOTED: &str = concat!(
    r#""%(r)s""%(m)s""%(U)s""%(q)s""%(H)s""#,
    r#""%(u)s""%(h)s""%(f)s""%(a)s""%({x}i)s""%({x}o)s""%({HTTP_X}e)s""%({RAW_URI}e)s""#
);
const QUOTED_STRINGS: usize = 13;
