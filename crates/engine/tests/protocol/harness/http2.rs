//! An HTTP/2 client on a thread of its own, and handwritten frames for what it would not send.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use http::{HeaderMap, Request, Response};
use monoceros_engine::pressure::limits::{Cleartext, Limits};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::timeout;

/// Limits with which HTTP/2 is spoken without TLS.
pub fn with_http2(limits: Limits) -> Limits {
    Limits { cleartext: Cleartext::Beside, ..limits }
}

/// Runs a client's part on a connection of its own.
pub fn http2_client<T, F: Future<Output = T>>(
    address: SocketAddr,
    run: impl FnOnce(SendRequest<Bytes>) -> F,
) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let socket = TcpStream::connect(address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let (client, connection) = h2::client::handshake(socket).await.unwrap();
        // Each stream reports how the connection ended.
        tokio::spawn(async { drop(connection.await) });
        timeout(PATIENCE, run(client)).await.expect("the client's part ends")
    })
}

/// A request without a body.
pub fn get(path: &str) -> Request<()> {
    Request::get(format!("http://x{path}")).body(()).unwrap()
}

/// A request whose body follows.
pub fn post(path: &str) -> Request<()> {
    Request::post(format!("http://x{path}")).body(()).unwrap()
}

/// Returns a body in which no part equals another near it.
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// Sends a request and reads the complete response.
pub async fn ask(client: &SendRequest<Bytes>, request: Request<()>, body: &[u8]) -> Answer {
    let mut ready = client.clone().ready().await.unwrap();
    let (response, mut stream) = ready.send_request(request, body.is_empty()).unwrap();
    if !body.is_empty() {
        stream.send_data(Bytes::copy_from_slice(body), true).unwrap();
    }
    Answer::read(response.await.unwrap()).await
}

/// Waits until a connection accepts no more requests; `http2_client` limits the time.
pub async fn until_closing(client: &SendRequest<Bytes>) {
    while client.clone().ready().await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A complete response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub fields: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    pub async fn read(response: Response<RecvStream>) -> Self {
        let (parts, mut stream) = response.into_parts();
        let mut body = Vec::new();
        while let Some(piece) = stream.data().await {
            let piece = piece.unwrap();
            stream.flow_control().release_capacity(piece.len()).unwrap();
            body.extend_from_slice(&piece);
        }
        let trailers = stream.trailers().await.unwrap();
        Self { status: parts.status.as_u16(), fields: parts.headers, body, trailers }
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(|value| value.to_str().unwrap())
    }
}

/// What every client begins with, and settings that change nothing.
pub const OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A block of header fields, none of them compressed: `GET /` on `http://x`, and further fields.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    // Of the static table: GET, http, /, and a name for the authority.
    let mut block = vec![0x82, 0x86, 0x84, 0x01, 1, b'x'];
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127);
            block.push(text.len() as u8);
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

const PATIENCE: Duration = Duration::from_secs(10);
