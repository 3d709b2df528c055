//! Tests for the conversion of HTTP/2 requests into HTTP/1.1 heads.

use h2::ext::Protocol;
use http::{HeaderValue, Request};

use super::*;

fn parts(method: &str, uri: &str, fields: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn written(parts: &Parts, is_end_stream: bool) -> Result<String, Refusal> {
    let mut out = Vec::new();
    write_request_head(parts, is_end_stream, &ParsePolicy::default(), &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn a_request_is_written_in_the_form_of_http_1() {
    let fields = [("cookie", "a=1"), ("accept", "*/*"), ("cookie", ""), ("cookie", "b=2")];
    assert_eq!(
        written(&parts("GET", "https://a.example:8443/x?y=z", &fields), true).unwrap(),
        "GET /x?y=z HTTP/1.1\r\nhost: a.example:8443\r\ncookie: a=1; b=2\r\naccept: */*\r\n\r\n"
    );
}

#[test]
fn a_body_of_unknown_length_gets_transfer_encoding() {
    let text = |fields: &[_], is_end_stream| {
        written(&parts("POST", "https://a/", fields), is_end_stream).unwrap()
    };
    assert!(text(&[], false).contains("transfer-encoding: chunked\r\n"));
    assert!(!text(&[], true).contains("transfer-encoding"));
    assert!(!text(&[("content-length", "3")], false).contains("transfer-encoding"));
}

#[test]
fn host_replaces_a_missing_authority_and_must_not_contradict_one() {
    let host = |uri: &str, fields: &[_]| written(&parts("GET", uri, fields), true);
    assert!(host("/", &[("host", "b")]).unwrap().contains("host: b\r\n"));
    assert!(host("https://B/", &[("host", "b")]).unwrap().contains("host: B\r\n"));
    assert_eq!(host("https://a/", &[("host", "b")]), Err(Refusal::BadHost));
    assert_eq!(host("/", &[("host", "b"), ("host", "b")]), Err(Refusal::BadHost));
    assert_eq!(host("https://user@a/", &[]), Err(Refusal::BadHost));
}

#[test]
fn a_target_is_a_path_or_the_asterisk_of_options() {
    assert!(written(&parts("OPTIONS", "*", &[("host", "a")]), true).is_ok());
    assert_eq!(written(&parts("GET", "*", &[("host", "a")]), true), Err(Refusal::BadTarget));
}

#[test]
fn white_space_at_either_end_of_a_value_is_refused() {
    for value in [" a", "a ", "\ta", "a\t"] {
        let parts = parts("GET", "https://a/", &[("x", value)]);
        assert_eq!(written(&parts, true), Err(Refusal::BadField), "{value:?}");
    }
}

#[test]
fn an_extended_connect_is_an_upgrade_for_the_application() {
    let mut parts = parts("CONNECT", "https://a/chat", &[("sec-websocket-version", "13")]);
    parts.extensions.insert(Protocol::from_static("websocket"));
    let text = written(&parts, false).unwrap();
    assert!(text.starts_with("GET /chat HTTP/1.1\r\nhost: a\r\nsec-websocket-version: 13\r\n"));
    assert!(text.contains("\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: "));
    assert!(!text.contains("transfer-encoding"));
    // A proxy may pass on the client's own key.
    parts.headers.insert("sec-websocket-key", HeaderValue::from_static("own"));
    let text = written(&parts, false).unwrap();
    assert_eq!(text.matches("sec-websocket-key: ").count(), 1, "{text}");
    assert!(text.contains("sec-websocket-key: own\r\n"));
}

#[test]
fn a_plain_connect_has_its_authority_as_target() {
    let text = written(&parts("CONNECT", "a:443", &[]), false).unwrap();
    assert!(text.starts_with("CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n"), "{text}");
}
