//! Limits are exact: what is at the boundary passes, one more is refused.

use monoceros_engine::guard::addresses::AddressList;
use monoceros_engine::pressure::limits::Limits;
use monoceros_engine::pressure::settings::ProxyProtocol;
use monoceros_engine::pressure::settings::Settings;

use crate::harness::{Client, End, Engine, echo};

/// The status of the response to `input`, sent at once or in pieces.
fn status(limits: &Limits, input: &str, pieces: usize) -> u16 {
    let mut engine = Engine::with_limits(limits.clone(), echo());
    let mut client = Client::connect(&engine);
    for piece in input.as_bytes().chunks(pieces) {
        client.send(&mut engine, piece);
    }
    client.response(&mut engine).status
}

/// Checks that `make(at)` passes and `make(at + 1)` is refused.
fn boundary(limits: &Limits, at: usize, refusal: u16, make: impl Fn(usize) -> String) {
    for pieces in [usize::MAX, 1_000] {
        assert_eq!(status(limits, &make(at), pieces), 200, "{at} in pieces of {pieces}");
        assert_eq!(
            status(limits, &make(at + 1), pieces),
            refusal,
            "{at} + 1 in pieces of {pieces}"
        );
    }
}

#[test]
fn the_request_line_is_limited_exactly() {
    let line = |length: usize| {
        let target = "a".repeat(length - "GET / HTTP/1.1".len());
        format!("GET /{target} HTTP/1.1\r\nHost: x\r\n\r\n")
    };
    boundary(&Limits::default(), 16_384, 414, line);
    boundary(
        &Limits::from(Settings { limit_request_line: 100, ..Settings::default() }),
        100,
        414,
        line,
    );
    boundary(
        &Limits::from(Settings { limit_request_line: 0, ..Settings::default() }).bounded(),
        65_535,
        414,
        line,
    );
}

#[test]
fn the_number_of_fields_is_limited_exactly() {
    let fields = |count: usize| {
        let fields = (1..count).map(|at| format!("X-{at}: v\r\n")).collect::<Vec<_>>().concat();
        format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
    };
    boundary(&Limits::default(), 100, 431, fields);
    boundary(
        &Limits::from(Settings { limit_request_fields: 3, ..Settings::default() }),
        3,
        431,
        fields,
    );
    boundary(
        &Limits::from(Settings { limit_request_fields: 1_000, ..Settings::default() }),
        1_000,
        431,
        fields,
    );
}

#[test]
fn the_most_fields_that_a_setting_allows_can_be_sent() {
    for count in [24_575, 24_576, 32_768] {
        let limits =
            Limits::from(Settings { limit_request_fields: count, ..Settings::default() }).bounded();
        let fields = (1..limits.settings.limit_request_fields).map(|at| format!("{at:x}:\r\n"));
        let fields = fields.collect::<Vec<_>>().concat();
        let head = format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
        assert_eq!(status(&limits, &head, usize::MAX), 200, "{count}");
    }
}

#[test]
fn a_field_is_limited_exactly() {
    let field = |length: usize| {
        let value = "v".repeat(length - "X: \r\n".len());
        format!("GET / HTTP/1.1\r\nHost: x\r\nX: {value}\r\n\r\n")
    };
    boundary(&Limits::default(), 16_384, 431, field);
    boundary(
        &Limits::from(Settings { limit_request_field_size: 20, ..Settings::default() }),
        20,
        431,
        field,
    );
    boundary(
        &Limits::from(Settings { limit_request_field_size: 0, ..Settings::default() }).bounded(),
        65_535,
        431,
        field,
    );
}

#[test]
fn a_head_of_only_the_largest_fields_is_refused_before_it_is_a_megabyte() {
    let field = format!("X: {}\r\n", "v".repeat(8_190 - "X: \r\n".len()));
    for (count, expected) in [(12, 200), (17, 431)] {
        let head = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", field.repeat(count));
        for pieces in [usize::MAX, 1_000] {
            assert_eq!(status(&Limits::default(), &head, pieces), expected, "{count} of them");
        }
    }
}

#[test]
fn a_body_is_limited_exactly() {
    let limits = Limits::from(Settings { limit_request_body: 2_000, ..Settings::default() });
    boundary(&limits, 2_000, 413, |length| {
        let body = "b".repeat(length);
        format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}")
    });
    boundary(&limits, 2_000, 413, |length| {
        let (one, two) = ("b".repeat(1_000), "b".repeat(length - 1_000));
        let rest = format!("3e8\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n", two.len());
        format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{rest}")
    });
}

#[test]
fn chunk_lines_and_trailers_are_limited() {
    let chunk = |length: usize| {
        let extension = "e".repeat(length - "1;\r\n".len());
        format!(
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
             1;{extension}\r\na\r\n0\r\n\r\n"
        )
    };
    boundary(&Limits::default(), 16_384, 413, chunk);
    let trailers = |length: usize| {
        let value = "v".repeat(length - "A: \r\n".len());
        format!(
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
             0\r\nA: {value}\r\n\r\n"
        )
    };
    boundary(&Limits::default(), 16_000, 431, trailers);
    let many = |count: usize| {
        let lines = (0..count).map(|at| format!("A-{at}: v\r\n")).collect::<Vec<_>>().concat();
        format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{lines}\r\n")
    };
    boundary(&Limits::default(), 100, 431, many);
    let wide = |length: usize| {
        let (first, second) = ("v".repeat(8_000), "w".repeat(length - 8_000 - 2 * "A: \r\n".len()));
        format!(
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
             0\r\nA: {first}\r\nB: {second}\r\n\r\n"
        )
    };
    let limits = Limits::from(Settings { limit_request_field_size: 20_000, ..Settings::default() });
    boundary(&limits, 16_000, 431, wide);
}

#[test]
fn an_endless_head_is_refused_before_its_end() {
    for (status_expected, start) in
        [(414, "GET /".to_owned()), (431, "GET / HTTP/1.1\r\nHost: x\r\nX: ".to_owned())]
    {
        let mut engine = Engine::new(echo());
        let mut client = Client::connect(&engine);
        client.send(&mut engine, &start);
        let mut sent = 0;
        while client.available() == 0 && sent < 2_000_000 {
            client.send(&mut engine, [b'a'; 1_000]);
            engine.settle();
            sent += 1_000;
        }
        assert_eq!(client.response(&mut engine).status, status_expected);
        assert!(sent <= 20_000, "{status_expected} after {sent} bytes");
    }
}

#[test]
fn the_connections_of_an_address_are_limited_exactly() {
    let mut engine = Engine::with_limits(
        Limits::from(Settings { limit_connections_per_address: 2, ..Settings::default() }),
        echo(),
    );
    let mut clients = [0; 5].map(|_| Client::connect(&engine));
    let request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    for client in &mut clients[..2] {
        assert_eq!(client.ask(&mut engine, request).status, 200);
    }
    for client in &mut clients[2..4] {
        let response = client.response(&mut engine);
        assert_eq!((response.status, response.field("Connection")), (503, Some("close")));
        assert_eq!(response.field("Retry-After"), Some("1"));
        assert_eq!(client.end(&mut engine), End::Closed);
    }
    // Nothing was sent to it that it could read.
    assert_eq!(clients[4].end(&mut engine), End::Closed);
    drop(clients);
    engine.until("all have gone", |engine| (engine.js.io.counters()[0] == 0).then_some(()));
    let again = Client::connect(&engine).ask(&mut engine, request);
    assert_eq!(again.status, 200);
}

#[test]
fn proxies_are_not_counted() {
    let mut limits =
        Limits::from(Settings { limit_connections_per_address: 1, ..Settings::default() });
    limits.parse_policy.forwarded_allow_ips = AddressList::parse("127.0.0.0/8").unwrap();
    let mut engine = Engine::with_limits(limits.clone(), echo());
    let mut clients = [0; 4].map(|_| Client::connect(&engine));
    for client in &mut clients {
        let request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_eq!(client.ask(&mut engine, request).status, 200);
    }
    limits.parse_policy.forwarded_allow_ips = AddressList::default();
    limits.parse_policy.proxy_protocol = ProxyProtocol::V1;
    limits.parse_policy.proxy_allow_ips = AddressList::parse("127.0.0.1").unwrap();
    let mut engine = Engine::with_limits(limits, echo());
    let mut clients = [0; 4].map(|_| Client::connect(&engine));
    for client in &mut clients {
        let request = "PROXY TCP4 192.0.2.7 192.0.2.1 1 80\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_eq!(client.ask(&mut engine, request).status, 200);
    }
}
