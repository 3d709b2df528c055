//! Connections that wait give back what only requests need, and go on as if they had not.

use std::time::Duration;

use monoceros_engine::limits::Limits;

use crate::harness::{Client, Engine, echo};

/// Returns when a connection that began to wait now has been closed by `keepalive`: longer than parking takes.
fn let_connections_park(engine: &mut Engine) {
    let mut other = Client::connect(engine);
    other.send(engine, "GET /slow HTTP/1.1\r\n");
    assert_eq!(other.response(engine).status, 408);
}

#[test]
fn a_parked_connection_answers_as_before() {
    let limits = Limits { header: Duration::from_millis(600), ..Limits::default() };
    let mut engine = Engine::with_limits(limits, echo());
    let mut client = Client::connect(&engine);
    for (number, message) in [
        "GET /0 HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab",
        "POST /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        "GET /3 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "GET /4 HTTP/1.1\r\nHost: x\r\n\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        let response = client.ask(&mut engine, message);
        assert!(response.text().contains(&format!(" /{number}\n")), "{:?}", response.text());
        let_connections_park(&mut engine);
    }
}
