//! Properties of the request heads that are written for HTTP/2, for any method, path and fields.
//! The guard reads at most one message in them, with no field more than were written.

use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request};
use monoceros_engine::fuzzing::write_request_head;
use monoceros_engine::guard::parse_policy::ParsePolicy;

use crate::guard;

/// Checks one input: the method, the target and the fields, each on a line of its own. Whether the
/// stream ends comes from the first byte.
pub fn check(input: &[u8]) {
    let mut lines = input.split(|&byte| byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let (method, target) = (next(), next());
    let method = Method::from_bytes(method).unwrap_or(Method::POST);
    let Ok(mut request) = Request::builder().method(method).uri(target).body(()) else { return };
    for line in lines {
        let at = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        let value = line.get(at + 1..).unwrap_or_default();
        // h2 passes on only what these types can hold.
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(&line[..at]), HeaderValue::from_bytes(value))
        {
            request.headers_mut().append(name, value);
        }
    }
    let (parts, ()) = request.into_parts();
    let is_end_stream = input.first().is_some_and(|byte| byte % 2 == 0);
    let mut head = Vec::new();
    if write_request_head(&parts, is_end_stream, &ParsePolicy::default(), &mut head).is_err() {
        return;
    }
    let line_ends = head.windows(2).filter(|pair| *pair == b"\r\n").count();
    let reading = guard::read(&head, head.len());
    assert!(reading.heads.len() <= 1, "several requests: {head:?}");
    for (_, target, fields) in &reading.heads {
        assert_eq!(target.as_slice(), target_of(&parts).as_bytes());
        assert!(fields + 2 <= line_ends, "{fields} fields in {line_ends} lines: {head:?}");
    }
}

fn target_of(Parts { method, uri, .. }: &Parts) -> String {
    let target = if *method == Method::CONNECT {
        uri.authority().map(ToString::to_string)
    } else {
        uri.path_and_query().map(ToString::to_string)
    };
    target.unwrap_or_default()
}
