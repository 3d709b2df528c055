//! TLS in tests: temporary certificates, and a client on a thread of its own while the test takes
//! the part of JavaScript.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use monoceros_engine::transport::tls::{CertificateMaterial, TlsServer, TlsServerMaterial};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{Engine, SERVER_ID};

/// A certificate that vouches for itself.
pub struct Identity {
    pub certificate: CertificateMaterial,
    pub der: CertificateDer<'static>,
}

impl Identity {
    pub fn new(names: &[&str]) -> Self {
        let key = KeyPair::generate().unwrap();
        let names = names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let made = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let certificate = CertificateMaterial {
            chain: made.pem().into_bytes(),
            key: key.serialize_pem().into_bytes(),
            ..CertificateMaterial::default()
        };
        Self { certificate, der: made.der().clone() }
    }

    /// What a server shows that has only this one.
    pub fn material(&self) -> TlsServerMaterial {
        TlsServerMaterial {
            certificates: vec![self.certificate.clone()],
            protocols: vec![b"http/1.1".to_vec()],
            ..TlsServerMaterial::default()
        }
    }

    /// A client's side that believes in it.
    pub fn client(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
    }
}

/// Lets the engine speak TLS at an address of its own.
pub fn secure_listener(engine: &Engine, material: &TlsServerMaterial) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    engine.js.io.set_tls(SERVER_ID, TlsServer::new(material).unwrap());
    engine.js.io.listen_secure(listener.into(), SERVER_ID);
    address
}

/// Runs a client on its own thread, and JavaScript on this one until it has ended.
pub fn with_client<T: Send + 'static>(
    engine: &mut Engine,
    client: impl FnOnce() -> T + Send + 'static,
) -> T {
    let client = thread::spawn(client);
    engine.until("the client ends", |_| client.is_finished().then_some(()));
    client.join().unwrap()
}

/// A client that speaks TLS.
pub struct SecureClient {
    pub stream: StreamOwned<ClientConnection, TcpStream>,
}

impl SecureClient {
    pub fn connect(address: SocketAddr, config: ClientConfig) -> io::Result<Self> {
        Self::connect_as(address, Arc::new(config), "localhost")
    }

    pub fn connect_as(
        address: SocketAddr,
        config: Arc<ClientConfig>,
        name: &'static str,
    ) -> io::Result<Self> {
        Self::on(TcpStream::connect(address)?, config, name)
    }

    /// Like `connect`, on a socket on which bytes have been exchanged before.
    pub fn on(
        socket: TcpStream,
        config: Arc<ClientConfig>,
        name: &'static str,
    ) -> io::Result<Self> {
        socket.set_read_timeout(Some(PATIENCE))?;
        let tls = ClientConnection::new(config, ServerName::try_from(name).unwrap())
            .map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(tls, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self { stream })
    }

    /// Sends a request and reads its response, which must have a `Content-Length`.
    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> io::Result<Vec<u8>> {
        self.stream.write_all(request.as_ref())?;
        self.stream.flush()?;
        let mut answer = Vec::new();
        let mut piece = vec![0; 16_384];
        loop {
            let count = self.stream.read(&mut piece)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            answer.extend_from_slice(&piece[..count]);
            let text = String::from_utf8_lossy(&answer);
            let Some((head, _)) = text.split_once("\r\n\r\n") else { continue };
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: "))
                .map_or(0, |length| length.parse::<usize>().unwrap());
            let body = head.len() + 4;
            if answer.len() >= body + length {
                return Ok(answer.split_off(body));
            }
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(10);
