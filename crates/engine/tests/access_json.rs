//! `access_log_format` "json": one object a line, valid and whole whatever a client sends.

use std::time::Duration;

use monoceros_engine::log::access::{AccessEntry, AccessFormat, RequestFields};
use serde_json::{Value, json};

fn rendered(entry: &AccessEntry<'_>) -> Value {
    let mut line = Vec::new();
    let format = AccessFormat::compile("json").unwrap();
    format.render(entry, "[24/Nov/2026:14:17:00 +0100]", &mut line);
    assert!(line.iter().all(|byte| matches!(byte, b' '..=b'~')));
    serde_json::from_slice(&line).unwrap()
}

fn entry() -> AccessEntry<'static> {
    AccessEntry {
        remote: Some("192.0.2.1"),
        method: b"GET",
        target: b"/caf%C3%A9?a=b",
        version: b"HTTP/1.1",
        status: 200,
        body_bytes: 5,
        duration: Duration::from_micros(2_345),
        request_fields: RequestFields::Pairs(&[
            (b"Host", b"example.org"),
            (b"authorization", b"Basic YW5uOnNlY3JldA=="),
            (b"X-Forwarded-For", b"10.0.0.1"),
            (b"x-forwarded-for", b"10.0.0.2"),
        ]),
        response_fields: b"",
        pid: 41,
    }
}

#[test]
fn everything_is_in_one_object() {
    let expected = json!({
        "time": "2026-11-24T14:17:00+01:00", "pid": 41, "remote": "192.0.2.1", "user": "ann",
        "method": "GET", "target": "/caf%C3%A9?a=b", "path": "/caf\u{e9}", "query": "a=b",
        "protocol": "HTTP/1.1", "status": 200, "bytes": 5, "duration_us": 2_345,
        "referer": null, "user_agent": null, "host": "example.org",
        "forwarded_for": "10.0.0.1, 10.0.0.2", "request_id": null,
    });
    assert_eq!(rendered(&entry()), expected);
}

#[test]
fn no_value_can_forge_a_line_or_a_member() {
    let hostile = b"a\",\"status\":500,\"x\":\"\\\r\n\x1b[2J\xff";
    let fields: &[(&[u8], &[u8])] =
        &[(b"user-agent", hostile), (b"referer", "\u{1f600}".as_bytes())];
    let value = rendered(&AccessEntry {
        request_fields: RequestFields::Pairs(fields),
        remote: None,
        ..entry()
    });
    assert_eq!(value["status"], 200);
    assert_eq!(value["user_agent"], "a\",\"status\":500,\"x\":\"\\\r\n\u{1b}[2J\u{ff}");
    assert_eq!(value["referer"], "\u{1f600}");
    assert_eq!(value["remote"], Value::Null);
}

#[test]
fn each_month_has_its_number() {
    let format = AccessFormat::compile("json").unwrap();
    for (time, expected) in [
        ("[01/Jan/2026:00:00:00 -0330]", "2026-01-01T00:00:00-03:30"),
        ("[31/Dec/2026:23:59:59 +0000]", "2026-12-31T23:59:59+00:00"),
    ] {
        let mut line = Vec::new();
        format.render(&entry(), time, &mut line);
        let value: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["time"], expected);
    }
}
