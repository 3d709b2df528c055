//! Tests of each atom, and of what a client can do to a line.

use std::time::Duration;

use super::*;
use crate::log::access::RequestFields;

const TIME: &str = "[24/Nov/2026:14:17:00 +0000]";

fn entry() -> AccessEntry<'static> {
    AccessEntry {
        remote: Some("192.0.2.1"),
        method: b"POST",
        target: b"/caf%C3%A9/a%20b?x=1&y=%22",
        version: b"HTTP/1.1",
        status: 201,
        body_bytes: 0,
        duration: Duration::new(90_061, 234_567_891),
        request_fields: RequestFields::Pairs(&[
            (b"Host", b"example.org"),
            (b"REFERER", b"http://from/"),
            (b"User-Agent", b"curl/8 \"x\""),
            (b"Authorization", b"Basic YW5uYTpzZWNyZXQ="),
            (b"X-Forwarded-For", b"1.1.1.1"),
            (b"x-forwarded-for", b"2.2.2.2"),
            (b"X-Empty", b""),
        ]),
        response_fields: b"Content-Type: text/plain\r\nSet-Cookie: a=1\r\nset-cookie:b=2\r\n",
        pid: 41,
    }
}

fn render(format: &str, entry: &AccessEntry<'_>) -> String {
    let mut line = Vec::new();
    AccessFormat::compile(format).unwrap().render(entry, TIME, &mut line);
    String::from_utf8(line).unwrap()
}

#[test]
fn every_atom_has_gunicorns_value() {
    for (atom, expected) in [
        ("h", "192.0.2.1"),
        ("l", "-"),
        ("u", "anna"),
        ("t", TIME),
        ("r", "POST /caf%C3%A9/a%20b?x=1&y=%22 HTTP/1.1"),
        ("m", "POST"),
        ("U", r"/caf\u00c3\u00a9/a b"),
        ("q", "x=1&y=%22"),
        ("H", "HTTP/1.1"),
        ("s", "201"),
        ("b", "0"),
        ("B", "0"),
        ("f", "http://from/"),
        ("a", r#"curl/8 \"x\""#),
        ("T", "90061"),
        ("M", "90061234"),
        ("D", "90061234567"),
        ("L", "90061.234567"),
        ("p", "<41>"),
        ("{host}i", "example.org"),
        ("{X-Forwarded-For}i", "1.1.1.1, 2.2.2.2"),
        ("{content-type}o", "text/plain"),
        ("{Set-Cookie}o", "a=1, b=2"),
        ("{REQUEST_METHOD}e", "POST"),
        ("{RAW_URI}e", "/caf%C3%A9/a%20b?x=1&y=%22"),
        ("{HTTP_X_FORWARDED_FOR}e", "1.1.1.1, 2.2.2.2"),
    ] {
        assert_eq!(render(&format!("%({atom})s"), &entry()), expected, "%({atom})s");
    }
}

#[test]
fn a_missing_value_is_a_dash() {
    let bare = AccessEntry {
        remote: None,
        request_fields: RequestFields::Pairs(&[]),
        response_fields: b"",
        ..entry()
    };
    let format = "%(h)s %(u)s %(f)s %(a)s %({x}i)s %({x}o)s %({NOT_SET_ANYWHERE}e)s %(Z)s %({x}y)s";
    assert_eq!(render(format, &bare), "- - - - - - - - -");
    assert_eq!(render("%({x-empty}i)s", &entry()), "-");
}

#[test]
fn the_environment_of_the_process_is_looked_up() {
    let path = std::env::var("PATH").unwrap();
    assert_eq!(render("%({PATH}e)s", &entry()), path);
}

#[test]
fn gunicorns_default_format_gives_the_combined_line() {
    let format = r#"%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s""#;
    let entry = AccessEntry { target: b"/", ..entry() };
    let expected =
        format!(r#"192.0.2.1 - anna {TIME} "POST / HTTP/1.1" 201 0 "http://from/" "curl/8 \"x\"""#);
    assert_eq!(render(format, &entry), expected);
}

#[test]
fn no_value_can_end_a_line_or_a_string() {
    let fields: &[(&[u8], &[u8])] = &[
        (b"user-agent", b"a\"b\\c\r\nd\0e\x1b[31m\x7f\xff"),
        (b"authorization", b"Basic IgoiOng="),
    ];
    let forged = AccessEntry {
        method: b"G\"T",
        target: b"/%0A%22?\n\"",
        request_fields: RequestFields::Pairs(fields),
        response_fields: b"X: a\"\x0bb\r\n",
        ..entry()
    };
    let format = r"%(m)s|%(U)s|%(q)s|%(r)s|%(a)s|%(u)s|%({x}o)s";
    let line = render(format, &forged);
    assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    let expected = [
        r#"G\"T"#,
        r#"/\u000a\""#,
        r#"\u000a\""#,
        r#"G\"T /%0A%22?\u000a\" HTTP/1.1"#,
        r#"a\"b\\c\u000d\u000ad\u0000e\u001b[31m\u007f\u00ff"#,
        r#"\"\u000a\""#,
        r#"a\"\u000bb"#,
    ];
    assert_eq!(line, expected.join("|"));
}

#[test]
fn text_and_percent_signs_stay() {
    assert_eq!(render("100%% of %(s)d, é", &entry()), "100% of 201, é");
    assert_eq!(render("", &entry()), "");
}

#[test]
fn an_invalid_atom_is_an_error_with_its_position() {
    for format in ["%h", "a %(h", "%(h)", "%(h)x", "50%", "%"] {
        let error = AccessFormat::compile(format).unwrap_err();
        assert!(error.contains("must follow at \"%"), "{format}: {error}");
    }
}

#[test]
fn path_and_query_of_every_form_of_target() {
    for (target, path, query) in [
        ("/", "/", ""),
        ("/a?", "/a", ""),
        ("/a?b?c", "/a", "b?c"),
        ("/a://b?c", "/a://b", "c"),
        ("http://h/p?q", "/p", "q"),
        ("http://h", "/", ""),
        ("http://h?q", "", "q"),
        ("*", "*", ""),
        ("://h/p", "://h/p", ""),
        ("h?a://b", "h", "a://b"),
        ("host:443", "host:443", ""),
        ("/%zz%4", "/%zz%4", ""),
    ] {
        let entry = AccessEntry { target: target.as_bytes(), ..entry() };
        assert_eq!(render("%(U)s %(q)s", &entry), format!("{path} {query}"), "{target}");
    }
}

#[test]
fn only_sound_basic_credentials_name_a_user() {
    for (value, expected) in [
        ("Basic YW5uYTpzZWNyZXQ=", "anna"),
        ("basic  YW5uYTo", "anna"),
        ("Basic OnNlY3JldA==", "-"),
        ("Basic YW5uYQ==", "-"),
        ("Basic !!!!", "-"),
        ("Bearer YW5uYTpzZWNyZXQ=", "-"),
        ("Basi", "-"),
    ] {
        let fields: &[(&[u8], &[u8])] = &[(b"authorization", value.as_bytes())];
        assert_eq!(
            render(
                "%(u)s",
                &AccessEntry { request_fields: RequestFields::Pairs(fields), ..entry() }
            ),
            expected,
            "{value}"
        );
    }
}

#[test]
fn all_spellings_of_a_value_are_the_same() {
    assert_eq!(decode_percent(b"a%2Fb%2f"), b"a/b/");
    assert_eq!(decode_percent(b"100%%4"), b"100%%4");
    assert_eq!(decode_percent(b"plain"), b"plain");
}
