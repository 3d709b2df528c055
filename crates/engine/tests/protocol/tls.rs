//! TLS: handshakes of every kind, and HTTP after them.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use monoceros_engine::guard::addresses::AddressList;
use monoceros_engine::pressure::limits::Limits;
use monoceros_engine::pressure::settings::ProxyProtocol;
use monoceros_engine::pressure::settings::Settings;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};

use crate::deadlines::let_a_deadline_pass;
use crate::harness::{
    Engine, Event, Identity, LENGTH, SecureClient, echo, pattern, secure_listener, when_complete,
    with_client,
};

#[test]
fn requests_are_served_over_both_versions() {
    let identity = Identity::new(&["localhost"]);
    let mut engine = Engine::new(echo());
    let address = secure_listener(&engine, &identity.material());
    for version in [&TLS12, &TLS13] {
        let mut roots = RootCertStore::empty();
        roots.add(identity.der.clone()).unwrap();
        let mut config = ClientConfig::builder_with_protocol_versions(&[version])
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h9".to_vec(), b"http/1.1".to_vec()];
        let (answers, protocol) = with_client(&mut engine, move || {
            let mut client = SecureClient::connect(address, config).unwrap();
            let answers =
                ["/1", "/2"].map(|path| client.ask(get(path)).map(String::from_utf8).unwrap());
            (answers, client.stream.conn.alpn_protocol().map(<[u8]>::to_vec))
        });
        assert_eq!(answers, [Ok("GET /1\n".into()), Ok("GET /2\n".into())]);
        assert_eq!(protocol.as_deref(), Some(&b"http/1.1"[..]));
    }
}

#[test]
fn proxy_information_precedes_the_handshake() {
    let mut limits = Limits::default();
    limits.parse_policy.proxy_protocol = ProxyProtocol::Auto;
    limits.parse_policy.proxy_allow_ips = AddressList::parse("127.0.0.1").unwrap();
    let line = b"PROXY TCP4 192.0.2.7 192.0.2.1 4660 443\r\n".to_vec();
    let binary =
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x01\x12\x34\x01\xbb".to_vec();
    for header in [line, binary, Vec::new()] {
        let identity = Identity::new(&["localhost"]);
        let config = identity.client();
        let mut engine = Engine::with_limits(limits.clone(), echo());
        let address = secure_listener(&engine, &identity.material());
        let has_header = !header.is_empty();
        let answer = with_client(&mut engine, move || {
            let mut socket = TcpStream::connect(address).unwrap();
            for byte in header {
                socket.write_all(&[byte]).unwrap();
            }
            SecureClient::on(socket, Arc::new(config), "localhost").unwrap().ask(get("/")).unwrap()
        });
        assert_eq!(answer, b"GET /\n");
        let client = engine.event("the connection", |event| match event {
            Event::Connection { remote, remote_port, .. } => Some((remote.clone(), *remote_port)),
            _ => None,
        });
        assert_eq!(client == ("192.0.2.7".to_owned(), 4660), has_header);
    }
}

#[test]
fn a_peer_that_is_no_trusted_proxy_is_cut() {
    let mut limits = Limits::default();
    limits.parse_policy.proxy_protocol = ProxyProtocol::V1;
    limits.parse_policy.proxy_allow_ips = AddressList::parse("192.0.2.1").unwrap();
    let identity = Identity::new(&["localhost"]);
    let mut engine = Engine::with_limits(limits, echo());
    let address = secure_listener(&engine, &identity.material());
    let received = with_client(&mut engine, move || {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.write_all(b"PROXY TCP4 192.0.2.7 192.0.2.1 4660 443\r\n").unwrap();
        let mut received = Vec::new();
        let end = socket.read_to_end(&mut received);
        // The end, or a reset.
        (received.len(), end.unwrap_or(0))
    });
    assert_eq!(received, (0, 0));
}

#[test]
fn large_bodies_come_through_in_both_directions() {
    let identity = Identity::new(&["localhost"]);
    let (config, body) = (identity.client(), pattern(3_000_000));
    let mut engine = Engine::new(when_complete(|js, received| {
        let (id, body) = (received.request.id, received.body.clone());
        js.head_with_length(id, 200, "", LENGTH, body.len() as u32);
        js.large(id, body);
        js.end(id, false);
    }));
    let address = secure_listener(&engine, &identity.material());
    let expected = body.clone();
    let answer = with_client(&mut engine, move || {
        let mut client = SecureClient::connect(address, config).unwrap();
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
        client.ask([head.as_bytes(), &body].concat()).unwrap()
    });
    assert!(answer == expected);
}

#[test]
fn a_handshake_may_come_byte_by_byte() {
    let identity = Identity::new(&["localhost"]);
    let config = identity.client();
    let mut engine = Engine::new(echo());
    let address = secure_listener(&engine, &identity.material());
    let answer = with_client(&mut engine, move || {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        let mut tls =
            rustls::ClientConnection::new(config.into(), "localhost".try_into().unwrap()).unwrap();
        tls.writer().write_all(get("/").as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"GET /\n") {
            let mut out = Vec::new();
            while tls.wants_write() {
                tls.write_tls(&mut out).unwrap();
            }
            for byte in out {
                (&socket).write_all(&[byte]).unwrap();
            }
            tls.read_tls(&mut &socket).unwrap();
            tls.process_new_packets().unwrap();
            let mut piece = [0; 4_096];
            if let Ok(count) = tls.reader().read(&mut piece) {
                answer.extend_from_slice(&piece[..count]);
            }
        }
        answer
    });
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[test]
fn aes_128_is_taken_unless_the_client_likes_chacha_best() {
    use rustls::CipherSuite::{
        TLS13_AES_128_GCM_SHA256 as AES_128, TLS13_AES_256_GCM_SHA384 as AES_256,
        TLS13_CHACHA20_POLY1305_SHA256 as CHACHA,
    };
    let identity = Identity::new(&["localhost"]);
    let mut engine = Engine::new(echo());
    let address = secure_listener(&engine, &identity.material());
    let orders = [([AES_256, CHACHA, AES_128], AES_128), ([CHACHA, AES_128, AES_256], CHACHA)];
    for (order, expected) in orders {
        let mut provider =
            rustls::crypto::CryptoProvider::clone(ClientConfig::builder().crypto_provider());
        provider.cipher_suites.retain(|suite| order.contains(&suite.suite()));
        provider
            .cipher_suites
            .sort_by_key(|one| order.iter().position(|suite| *suite == one.suite()));
        let mut roots = RootCertStore::empty();
        roots.add(identity.der.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let taken = with_client(&mut engine, move || {
            let mut client = SecureClient::connect(address, config).unwrap();
            client.ask(get("/")).unwrap();
            client.stream.conn.negotiated_cipher_suite().unwrap().suite()
        });
        assert_eq!(taken, expected);
    }
}

#[test]
fn a_ticket_is_sent_with_the_first_response_or_where_none_comes_a_moment_later() {
    let identity = Identity::new(&["localhost"]);
    let mut engine = Engine::new(echo());
    let material = monoceros_engine::transport::tls::TlsServerMaterial {
        ticket_keys: vec![vec![7; 48]],
        ..identity.material()
    };
    let address = secure_listener(&engine, &material);
    let config = Arc::new(identity.client());
    let (silent, tickets, end) = with_client(&mut engine, move || {
        let mut client = SecureClient::connect_as(address, config.clone(), "localhost").unwrap();
        let silent = client.stream.sock.read(&mut [0; 4_096]).unwrap();
        let mut client = SecureClient::connect_as(address, config, "localhost").unwrap();
        client.ask("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let tickets = client.stream.conn.tls13_tickets_received();
        // The server must send `close_notify`, or this is an error.
        (silent, tickets, client.stream.read(&mut [0; 10]).map_err(|error| error.kind()))
    });
    assert!(silent > 100, "{silent}");
    assert_eq!((tickets, end), (1, Ok(0)));
}

#[test]
fn http_without_tls_has_header_so() {
    let identity = Identity::new(&["localhost"]);
    let mut engine = Engine::new(echo());
    let address = secure_listener(&engine, &identity.material());
    let answer = with_client(&mut engine, move || converse(address, get("/").as_bytes()));
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.contains("https://"), "{answer}");
}

#[test]
fn what_is_no_tls_gets_an_alert_and_the_end() {
    let identity = Identity::new(&["localhost"]);
    let mut engine = Engine::new(echo());
    let address = secure_listener(&engine, &identity.material());
    for garbage in [&[22, 3, 1, 0, 4, 1, 0, 0, 0][..], &[0xff; 100], &[0x17, 3, 3, 0, 1, 0]] {
        let answer = with_client(&mut engine, move || converse(address, garbage));
        // An alert, fatal.
        assert_eq!((answer.first(), answer.get(5)), (Some(&21), Some(&2)), "{garbage:?}");
    }
    assert_eq!(engine.js.io.counters()[0], 0);
}

#[test]
fn a_handshake_that_stalls_is_cut_and_blocks_no_other_connection() {
    let identity = Identity::new(&["localhost"]);
    let limits = Limits::from(Settings {
        handshake_timeout: Duration::from_millis(600),
        ..Settings::default()
    });
    let config = identity.client();
    let mut engine = Engine::with_limits(limits, echo());
    let address = secure_listener(&engine, &identity.material());
    let stalled = stall(address, 50);
    let answer = with_client(&mut engine, move || {
        SecureClient::connect(address, config).unwrap().ask(get("/")).unwrap()
    });
    assert_eq!(answer, b"GET /\n");
    let ends =
        with_client(&mut engine, move || stalled.into_iter().map(end_of).collect::<Vec<_>>());
    assert!(ends.iter().all(|end| *end == 0), "{ends:?}");
}

#[test]
fn one_handshake_too_many_ends_the_oldest() {
    let identity = Identity::new(&["localhost"]);
    let limits = Limits::from(Settings {
        limit_handshakes: 4,
        // Longer than the second for which a handshake may only be about to go on.
        header_timeout: Duration::from_millis(1_200),
        ..Settings::default()
    });
    let config = identity.client();
    let mut engine = Engine::with_limits(limits, echo());
    let address = secure_listener(&engine, &identity.material());
    let mut stalled = stall(address, 1);
    engine.settle();
    let_a_deadline_pass(&mut engine);
    stalled.extend(stall(address, 4));
    let oldest = stalled.remove(0);
    // The handshake deadline is ten seconds: by it the client's patience would be at its end.
    assert_eq!(with_client(&mut engine, move || end_of(oldest)), 0);
    let answer = with_client(&mut engine, move || {
        SecureClient::connect(address, config).unwrap().ask(get("/")).unwrap()
    });
    assert_eq!(answer, b"GET /\n");
}

#[test]
fn handshakes_that_come_at_once_are_no_stalled_ones_up_to_four_times_as_many() {
    let identity = Identity::new(&["localhost"]);
    let limits = Limits::from(Settings { limit_handshakes: 4, ..Settings::default() });
    let config = identity.client();
    let mut engine = Engine::with_limits(limits, echo());
    let address = secure_listener(&engine, &identity.material());
    let mut stalled = stall(address, 1);
    engine.settle();
    stalled.extend(stall(address, 14));
    let answer = with_client(&mut engine, move || {
        SecureClient::connect(address, config).unwrap().ask(get("/")).unwrap()
    });
    assert_eq!(answer, b"GET /\n");
    let oldest = stalled.remove(0);
    oldest.set_nonblocking(true).unwrap();
    let waits =
        (&oldest).read(&mut [0; 9]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    assert!(waits);
    stalled.extend(stall(address, 3));
    oldest.set_nonblocking(false).unwrap();
    assert_eq!(with_client(&mut engine, move || end_of(oldest)), 0);
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// Sends bytes and reads to the end of the connection.
fn converse(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // What was not read when the engine closed makes a reset of its end.
    let _ = socket.read_to_end(&mut answer);
    answer
}

/// Clients that connect: every second one sends nothing, the others half a hello.
fn stall(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    (0..count)
        .map(|number| {
            let mut socket = TcpStream::connect(address).unwrap();
            if number % 2 == 1 {
                socket.write_all(&[22, 3, 1, 1, 0, 1, 0, 0]).unwrap();
            }
            socket
        })
        .collect()
}

/// Bytes that come until the connection ends.
fn end_of(mut socket: TcpStream) -> usize {
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut bytes = Vec::new();
    match socket.read_to_end(&mut bytes) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("it is still open"),
        _ => bytes.len(),
    }
}
