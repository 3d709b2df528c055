//! Tests for heads that are accepted and heads that are refused.

use super::*;
use crate::pressure::settings::Settings;

fn read(text: &str) -> Result<RequestHead, Refusal> {
    let mut head = RequestHead::default();
    parse_head(text.as_bytes(), &mut head, &Limits::default(), None).map(|()| head)
}

/// Node's rules for `Host`, which apply to programs that listen by themselves.
#[test]
fn any_host_is_accepted_under_nodes_rules() {
    let lax = Limits {
        parse_policy: ParsePolicy { accepts_any_host: true, ..ParsePolicy::default() },
        ..Limits::default()
    };
    let node = |text: &str| {
        let mut head = RequestHead::default();
        parse_head(text.as_bytes(), &mut head, &lax, None)?;
        let (_, host) = head.fields.first().copied().unwrap_or_default();
        Ok(String::from_utf8_lossy(host.of(text.as_bytes())).into_owned())
    };
    assert_eq!(node("GET / HTTP/1.1\r\nHost: http://a/b\r\n\r\n").as_deref(), Ok("http://a/b"));
    assert_eq!(node("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n").as_deref(), Ok("b"));
    let upgrade = "GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    assert_eq!(node(upgrade).as_deref(), Ok("upgrade"));
    assert_eq!(node("CONNECT /a HTTP/1.1\r\nHost: b\r\n\r\n").as_deref(), Ok("b"));
    assert_eq!(node("GET / HTTP/1.1\r\n\r\n"), Err(Refusal::BadHost));
    assert_eq!(node("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").as_deref(), Ok("a"));
    let types = "GET / HTTP/1.1\r\nHost: a\r\nContent-Type: b\r\nContent-Type: c\r\n\r\n";
    assert_eq!(node(types).as_deref(), Ok("a"));
    assert_eq!(read(upgrade).map(drop), Err(Refusal::BadHost));
}

#[test]
fn methods_outside_the_list_are_refused() {
    let allowed_methods = ["GET", "M-SEARCH"].map(|name| name.as_bytes().to_vec()).to_vec();
    let limits = Limits {
        parse_policy: ParsePolicy { allowed_methods, ..ParsePolicy::default() },
        ..Limits::default()
    };
    let check = |method: &str| {
        let text = format!("{method} / HTTP/1.1\r\nHost: x\r\n\r\n");
        parse_head(text.as_bytes(), &mut RequestHead::default(), &limits, None)
    };
    assert_eq!((check("GET"), check("M-SEARCH")), (Ok(()), Ok(())));
    let as_node = Limits { node_compatible: true, ..limits.clone() };
    for (start, expected) in [("", Ok(None)), ("M-", Ok(None)), ("*", Err(Refusal::BadMethod))] {
        assert_eq!(find_head_end(start.as_bytes(), &mut 0, &as_node), expected, "{start}");
    }
    assert_eq!((check("GETS"), check("get")), (Err(Refusal::BadMethod), Err(Refusal::BadMethod)));
}

#[test]
fn a_simple_get_is_parsed() {
    let text = "GET /a?b HTTP/1.1\r\nHost: x\r\nX-Y:  z \r\n\r\n";
    let head = read(text).unwrap();
    assert_eq!(head.method.of(text.as_bytes()), b"GET");
    assert_eq!(head.target.of(text.as_bytes()), b"/a?b");
    assert_eq!(head.fields[1].1.of(text.as_bytes()), b"z");
    assert!(head.allows_keep_alive && head.framing == Framing::None);
}

#[test]
fn each_error_has_its_refusal() {
    for (text, refusal) in [
        ("GET / HTTP/1.1\nHost: x\r\n\r\n", Refusal::BadLineEnd),
        ("GET / HTTP/1.1\r\n\r\n", Refusal::BadHost),
        ("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", Refusal::BadHost),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Refusal::BadHost),
        ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", Refusal::BadRequestLine),
        ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", Refusal::UnsupportedVersion),
        ("GET / HTTP/1.1 \r\nHost: x\r\n\r\n", Refusal::BadRequestLine),
        ("G@T / HTTP/1.1\r\nHost: x\r\n\r\n", Refusal::BadMethod),
        ("GET x HTTP/1.1\r\nHost: x\r\n\r\n", Refusal::BadTarget),
        ("GET / HTTP/1.1\r\nHost : x\r\n\r\n", Refusal::BadField),
        ("GET / HTTP/1.1\r\nHost: x\r\n fold\r\n\r\n", Refusal::BadField),
        ("GET / HTTP/1.1\r\nHost: x\r\nA: \x01\r\n\r\n", Refusal::BadField),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n", Refusal::BadContentLength),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            Refusal::RepeatedContentLength,
        ),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            Refusal::BadTransferEncoding,
        ),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Refusal::BadTransferEncoding),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            Refusal::UnknownTransferCoding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
            Refusal::BadTransferEncoding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xyz\r\n\r\n",
            Refusal::UnknownTransferCoding,
        ),
    ] {
        assert_eq!(read(text).unwrap_err(), refusal, "{text:?}");
    }
}

/// A client of another protocol is refused before its head ends. With node's rules, so is a
/// malformed request line.
#[test]
fn invalid_first_bytes_are_refused_before_the_head_is_complete() {
    let as_node = Limits { node_compatible: true, ..Limits::default() };
    for (text, refusal, by_all) in [
        ("\u{16}\u{3}\u{1}\u{2}", Refusal::BadMethod, true),
        ("\r\nGE\u{7f}", Refusal::BadMethod, true),
        ("\r\nG@", Refusal::BadMethod, false),
        (" GET", Refusal::BadMethod, false),
        ("oops\r\n", Refusal::BadRequestLine, false),
        ("GET / HTTP/9.9\r\n", Refusal::UnsupportedVersion, false),
        ("\r\nGET x HTTP/1.1\r\nHost", Refusal::BadTarget, false),
    ] {
        let found = |limits: &Limits| find_head_end(text.as_bytes(), &mut 0, limits);
        assert_eq!(found(&as_node), Err(refusal), "{text:?}");
        assert_eq!(found(&Limits::default()), if by_all { Err(refusal) } else { Ok(None) });
        assert_eq!(read(&format!("{text}\r\n\r\n")).unwrap_err(), refusal, "{text:?}");
    }
    for text in ["G", "GET", "GET /", "GET / HTTP/1.1\r", "\r", "\r\n", "GET / HTTP/1.1\r\nHo"] {
        assert_eq!(find_head_end(text.as_bytes(), &mut 0, &as_node), Ok(None), "{text:?}");
    }
}

#[test]
fn limits_are_exact() {
    let limits = Limits::from(Settings {
        limit_request_line: 16,
        limit_request_fields: 2,
        limit_request_field_size: 12,
        ..Settings::default()
    });
    let check =
        |text: &str| parse_head(text.as_bytes(), &mut RequestHead::default(), &limits, None);
    assert_eq!(check("GET /ab HTTP/1.1\r\nHost: x\r\n\r\n"), Ok(()));
    assert_eq!(check("GET /abc HTTP/1.1\r\nHost: x\r\n\r\n"), Err(Refusal::UriTooLong));
    assert_eq!(check("GET /ab HTTP/1.1\r\nHost: 1234\r\n\r\n"), Ok(()));
    assert_eq!(check("GET /ab HTTP/1.1\r\nHost: 12345\r\n\r\n"), Err(Refusal::FieldTooLarge));
    assert_eq!(
        check("GET /ab HTTP/1.1\r\nHost: x\r\na: b\r\nc: d\r\n\r\n"),
        Err(Refusal::TooManyFields)
    );
}

/// Node counts the target, the names and the values, and refuses a head that reaches the limit.
#[test]
fn the_size_of_a_head_is_counted_as_nodes_parser_counts() {
    let limits = Limits { head_bytes: 100, ..Limits::default() };
    let find = |head: &str| find_head_end(head.as_bytes(), &mut 0, &limits);
    for filled in [99, 100] {
        let start = "GET /ab HTTP/1.1\r\nHost: x\r\nA:  ";
        let head = format!("{start}{}", "b".repeat(filled - 3 - 5 - 1));
        let refused = Err(Refusal::FieldTooLarge);
        assert_eq!(find(&head), if filled < 100 { Ok(None) } else { refused });
        let whole = format!("\r\n{head}\r\n\r\n");
        assert_eq!(find(&whole), if filled < 100 { Ok(Some(whole.len())) } else { refused });
    }
    // White space before a value does not count, but is not buffered without a limit.
    let padded = format!("GET / HTTP/1.1\r\nA:{}", " ".repeat(limits.head_buffer()));
    assert_eq!(find(&padded), Err(Refusal::FieldTooLarge));
}

#[test]
fn targets_have_four_forms() {
    for (method, target, accepted) in [
        ("GET", "/", true),
        ("GET", "//a", true),
        ("GET", "/%zz?", true),
        ("GET", "/a#b", false),
        ("GET", "http://a/b#c", false),
        ("GET", "/a b", false),
        ("GET", "/\u{e9}", false),
        ("GET", "/\u{7f}", false),
        ("GET", "*", false),
        ("OPTIONS", "*", true),
        ("OPTIONS", "*a", false),
        ("GET", "a", false),
        ("GET", "a:80", false),
        ("GET", "http://a", true),
        ("GET", "http://a:80/b?c", true),
        ("GET", "HTTPS://[::1]:8/", true),
        ("GET", "ftp://a/b", true),
        ("GET", "http:///b", false),
        ("GET", "http://user@a/b", false),
        ("GET", "http://a:b/c", false),
        ("GET", "1http://a/b", false),
        ("GET", "://a/b", false),
        ("GET", "s://]ufd/:", false),
        ("GET", "a/b://c", false),
        ("CONNECT", "a:443", true),
        ("CONNECT", "[::1]:443", true),
        ("CONNECT", "a", false),
        ("CONNECT", "a:", false),
        ("CONNECT", ":443", false),
        ("CONNECT", "/", false),
        ("CONNECT", "http://a:80", false),
        ("CONNECT", "user@a:80", false),
    ] {
        let result = read(&format!("{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(result.is_ok(), accepted, "{method} {target}");
    }
}

#[test]
fn the_authority_of_absolute_form_replaces_host() {
    let text = "GET http://a:80/b HTTP/1.1\r\nX: y\r\nHost: other\r\n\r\n";
    let head = read(text).unwrap();
    assert_eq!(head.fields[1].1.of(text.as_bytes()), b"a:80");
}

#[test]
fn hosts_follow_rfc_3986() {
    for (host, accepted) in [
        ("", true),
        ("a", true),
        ("a_b.c-d~", true),
        ("0.0.0.0=5000", true),
        ("a:80", true),
        ("a:", true),
        ("a%20b", true),
        ("[::1]", true),
        ("[::ffff:1.2.3.4]:65535", true),
        ("[v1.a:b]", true),
        ("a:65536", false),
        ("a:000080", false),
        ("a:8a", false),
        ("a:80:80", false),
        ("a%2", false),
        ("a%zz", false),
        ("a/b", false),
        ("a@b", false),
        ("a,b", false),
        ("a b", false),
        ("a\\b", false),
        ("::1", false),
        ("[::1", false),
        ("[::1]a", false),
        ("[]", false),
        ("[1]", false),
        ("[fe80::1%25eth0]", false),
        ("[v.a]", false),
    ] {
        assert_eq!(check_host(host.as_bytes()).is_ok(), accepted, "{host}");
    }
}

#[test]
fn methods_are_conventional_unless_permitted() {
    let limits = |permit_unconventional_http_method| {
        let parse_policy =
            ParsePolicy { permit_unconventional_http_method, ..ParsePolicy::default() };
        Limits { parse_policy, ..Limits::default() }
    };
    for method in ["get", "A", "AB", "GE#T", "ABCDEFGHIJKLMNOPQRSTU", "G\u{e9}T", "G@T", ""] {
        let text = format!("{method} / HTTP/1.1\r\nHost: x\r\n\r\n");
        let parse =
            |any| parse_head(text.as_bytes(), &mut RequestHead::default(), &limits(any), None);
        assert!(parse(false).is_err(), "{method}");
        assert_eq!(parse(true).is_ok(), !method.contains(['@', '\u{e9}']) && !method.is_empty());
    }
}

#[test]
fn expect_is_ignored_on_http_1_0() {
    let text = |version: &str| format!("GET / {version}\r\nHost: x\r\nExpect: tea\r\n\r\n");
    assert!(read(&text("HTTP/1.1")).unwrap().has_expect);
    assert!(!read(&text("HTTP/1.0")).unwrap().has_expect);
}

#[test]
fn a_line_that_is_too_long_is_refused_before_the_head_is_complete() {
    let limits = Limits::from(Settings {
        limit_request_line: 20,
        limit_request_field_size: 10,
        ..Settings::default()
    });
    for (input, refusal) in [
        ("GET /4567890 HTTP/1.1", None),
        ("GET /45678901 HTTP/1.1", Some(Refusal::UriTooLong)),
        ("GET /4567890 HTTP/1.1\r\n", Some(Refusal::UriTooLong)),
        ("GET /456789 HTTP/1.1\r\n", None),
        ("\r\nGET /456789 HTTP/1.1\r\n", None),
        ("\r\nGET /4567890 HTTP/1.1\r\n", Some(Refusal::UriTooLong)),
        ("GET / HTTP/1.1\r\nA: 45678\r\n", None),
        ("GET / HTTP/1.1\r\nA: 4567890", Some(Refusal::FieldTooLarge)),
        ("GET / HTTP/1.1\r\nA: 456789\r\n", Some(Refusal::FieldTooLarge)),
        ("GET / HTTP/1.1\r\nA: 456789\r\nB: c", Some(Refusal::FieldTooLarge)),
    ] {
        let whole = find_head_end(input.as_bytes(), &mut 0, &limits).err();
        let mut scanned = 0;
        let pieces = (1..=input.len())
            .find_map(|to| find_head_end(&input.as_bytes()[..to], &mut scanned, &limits).err());
        assert_eq!((whole, pieces), (refusal, refusal), "{input:?}");
    }
}
