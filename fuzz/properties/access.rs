//! What must hold for a line of the access log, whatever the operator wrote for a format and whatever a client sent: no
//! panic, no byte that could end the line or move a terminal's cursor, and no quote that ends a quoted string early.

use std::time::Duration;

use monoceros_engine::log::access::{AccessEntry, AccessFormat, RequestFields};

/// Makes a format and an entry of an input, whose sections stand between lines of two dashes: format, method, target,
/// version, client, fields of the request, fields of the answer.
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
        let foreign =
            line.iter().find(|&&byte| !printable(byte) && !format.as_bytes().contains(&byte));
        assert_eq!(foreign, None, "{format:?} gives {:?}", String::from_utf8_lossy(&line));
    }
    let line = render(&AccessFormat::compile(QUOTED).expect("it is a format"), &entry);
    assert!(line.iter().copied().all(printable), "{:?}", String::from_utf8_lossy(&line));
    assert_eq!(quoted_strings(&line), Some(QUOTED_STRINGS), "{:?}", String::from_utf8_lossy(&line));
}

fn sections(input: &[u8]) -> Vec<&[u8]> {
    let mut sections = Vec::new();
    let mut rest = input;
    while let Some(at) = rest.windows(BETWEEN.len()).position(|window| window == BETWEEN) {
        sections.push(&rest[..at]);
        rest = &rest[at + BETWEEN.len()..];
    }
    sections.push(rest);
    sections
}

fn render(format: &AccessFormat, entry: &AccessEntry<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    format.render(entry, "[24/Nov/2026:15:00:00 +0000]", &mut line);
    line
}

fn printable(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte)
}

/// How many quoted strings a line has; `None` if it has anything else.
fn quoted_strings(line: &[u8]) -> Option<usize> {
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

const BETWEEN: &[u8] = b"\n--\n";
/// Every atom whose value somebody else chooses.
const QUOTED: &str = r#""%(r)s""%(m)s""%(U)s""%(q)s""%(H)s""%(u)s""%(h)s""%(f)s""%(a)s""%({x}i)s""%({x}o)s""%({HTTP_X}e)s""%({RAW_URI}e)s""#;
const QUOTED_STRINGS: usize = 13;
