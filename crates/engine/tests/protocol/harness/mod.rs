//! The engine without Node: the test's own thread takes the part of JavaScript, one turn at a time,
//! so that a test decides when JavaScript runs.

mod client;
mod http2;
mod records;
mod response;
mod ring;
mod tls;
mod uses;

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use monoceros_engine::bridge::event_batch::{BatchPosition, EventBatch};
use monoceros_engine::log::access::AccessLog;
use monoceros_engine::pressure::limits::Limits;
use monoceros_engine::server::io_thread::{IoThread, IoThreadOptions, LoopMode};
use socket2::SockRef;

pub use client::{Client, End, SMALL};
pub use http2::{
    Answer, OPENING, ask, block, frame, get, http2_client, pattern, post, until_closing, with_http2,
};
pub use records::{Event, Request, RequestBody};
pub use ring::{
    CHUNKED, CHUNKED_SILENT, CLOSE, CONNECTION, DATE, DISCARDS, Js, LENGTH, Memory, NO_BODY,
};
pub use tls::{Identity, SecureClient, secure_listener, with_client};

/// What JavaScript does with an event.
pub type Handler = Box<dyn FnMut(&mut Js, &Event)>;

/// A running engine with its listener.
pub struct Engine {
    pub js: Js,
    pub address: SocketAddr,
    /// Everything that has crossed, in order.
    pub events: Vec<Event>,
    handler: Handler,
    batch: EventBatch,
    wakes: UnixStream,
    /// Where `settle` connects, and its connections.
    fence: SocketAddr,
    fenced: HashSet<u32>,
}

/// What an engine is started with.
pub struct Setup {
    pub limits: Limits,
    pub ring_bytes: usize,
    pub access: Option<AccessLog>,
    /// Whether the kernel buffers little for the sockets that the engine accepts.
    pub small_buffers: bool,
}

/// A request that has crossed whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    pub request: Request,
    pub body: Vec<u8>,
    pub trailers: String,
    pub complete: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self { limits: Limits::default(), ring_bytes: 1 << 20, access: None, small_buffers: false }
    }
}

impl Engine {
    /// An engine with all defaults.
    pub fn new(handler: Handler) -> Self {
        Self::start(Setup::default(), handler)
    }

    pub fn with_limits(limits: Limits, handler: Handler) -> Self {
        Self::start(Setup { limits, ..Setup::default() }, handler)
    }

    pub fn start(setup: Setup, handler: Handler) -> Self {
        uses::record(&setup.limits.settings);
        let (wakes, waker) = UnixStream::pair().unwrap();
        wakes.set_nonblocking(true).unwrap();
        waker.set_nonblocking(true).unwrap();
        let memory = Memory::new(setup.ring_bytes);
        let io = IoThread::start(IoThreadOptions {
            limits: setup.limits.bounded(),
            announces_at_accept: false,
            ring: memory.ring(),
            worker_slot: None,
            lifeline: None,
            access: setup.access,
            statsd: None,
            loop_mode: LoopMode::IoThread,
            // A full pipe holds a wake already.
            wake_javascript: Box::new(move || drop((&waker).write(&[0]))),
        })
        .unwrap();
        let [listener, fence] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        if setup.small_buffers {
            // Accepted sockets inherit both.
            SockRef::from(&listener).set_recv_buffer_size(SMALL).unwrap();
            SockRef::from(&listener).set_send_buffer_size(SMALL).unwrap();
        }
        let [address, fenced] =
            [(listener, SERVER_ID), (fence, FENCE)].map(|(listener, server_id)| {
                listener.set_nonblocking(true).unwrap();
                let address = listener.local_addr().unwrap();
                io.listen(listener.into(), server_id);
                address
            });
        Self {
            js: Js::new(io, memory),
            address,
            events: Vec::new(),
            handler,
            batch: EventBatch::default(),
            wakes,
            fence: fenced,
            fenced: HashSet::new(),
        }
    }

    /// Lets JavaScript run until `check` finds something.
    pub fn until<T>(&mut self, what: &str, check: impl FnMut(&mut Self) -> Option<T>) -> T {
        self.until_readable(what, self.wakes.as_raw_fd(), check)
    }

    /// As `until`, and looks again as soon as `fd` can be read.
    pub fn until_readable<T>(
        &mut self,
        what: &str,
        fd: RawFd,
        mut check: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            self.run_javascript();
            if let Some(found) = check(self) {
                return found;
            }
            assert!(Instant::now() < end, "in vain: {what}; events: {:?}", self.events);
            self.wait(fd);
        }
    }

    /// Waits until that many requests have crossed whole, and returns them.
    pub fn requests(&mut self, count: usize) -> Vec<Received> {
        self.until("requests cross", |engine| {
            let received = engine.received();
            (received.iter().filter(|each| each.complete).count() >= count).then_some(received)
        })
    }

    /// Waits until an event is there for which `pick` finds something.
    pub fn event<T>(&mut self, what: &str, pick: impl Fn(&Event) -> Option<T>) -> T {
        self.until(what, |engine| engine.events.iter().find_map(&pick))
    }

    /// The id of the request to `target`, once it has crossed.
    pub fn request_to(&mut self, target: &str) -> u32 {
        self.event(&format!("{target} crosses"), |event| match event {
            Event::Request(request) if request.target == target => Some(request.id),
            _ => None,
        })
    }

    /// Waits for the abort of a request, and checks that it is emitted once.
    pub fn aborted(&mut self, id: u32) {
        self.event("the abort", |event| (*event == Event::Aborted(id)).then_some(()));
        self.settle();
        assert_eq!(self.count(|event| *event == Event::Aborted(id)), 1, "{:?}", self.events);
    }

    pub fn count(&self, matches: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| matches(event)).count()
    }

    /// Returns when the I/O thread has had time for everything that was ready: it has served a
    /// connection of a separate server, which tests do not see.
    pub fn settle(&mut self) {
        let mut client = Client::connect_to(self.fence);
        for _ in 0..SETTLE_ROUNDS {
            client.ask(self, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        }
        drop(client);
        self.until("the fence's connection closes", |engine| {
            engine.fenced.is_empty().then_some(())
        });
    }

    /// The requests that have crossed so far, with what has come of their bodies.
    pub fn received(&self) -> Vec<Received> {
        let mut all: Vec<Received> = Vec::new();
        let mut places = HashMap::new();
        for event in &self.events {
            match event {
                Event::Request(request) => {
                    places.insert(request.id, all.len());
                    let (body, complete) = match &request.body {
                        RequestBody::None => (Vec::new(), true),
                        RequestBody::Whole(bytes) => (bytes.to_vec(), true),
                        RequestBody::Streams => (Vec::new(), false),
                    };
                    let trailers = String::new();
                    all.push(Received { request: request.clone(), body, trailers, complete });
                }
                Event::Data(id, bytes) => all[places[id]].body.extend_from_slice(bytes),
                Event::End(id, trailers) => {
                    let received = &mut all[places[id]];
                    assert!(!received.complete, "a body ends once");
                    received.complete = true;
                    received.trailers.clone_from(trailers);
                }
                _ => {}
            }
        }
        all
    }

    /// Takes batches and handles them until nothing waits, as the addon does when it is woken.
    pub fn run_javascript(&mut self) {
        let mut wakes = [0; 64];
        while matches!(self.wakes.read(&mut wakes), Ok(count) if count > 0) {}
        loop {
            self.js.io.take_events(&mut self.batch);
            if self.batch.is_empty() {
                break;
            }
            let mut part = BatchPosition::default();
            while part.text < self.batch.text.len() {
                part = self.js.io.take_part(&mut self.batch, part.text);
            }
            for event in records::read(&mut self.batch) {
                if !self.is_fence(&event) {
                    (self.handler)(&mut self.js, &event);
                    self.events.push(event);
                }
            }
            self.batch.clear();
            self.js.end_batch();
        }
        self.js.wake();
    }

    /// Answers what belongs to the fence.
    fn is_fence(&mut self, event: &Event) -> bool {
        match event {
            Event::Connection { id, server_id: FENCE, .. } => self.fenced.insert(*id),
            Event::ConnectionClosed(id) => self.fenced.remove(id),
            Event::Request(request) if self.fenced.contains(&request.connection) => {
                self.js.reply(request.id, "");
                true
            }
            _ => false,
        }
    }

    /// Sleeps until the engine wakes JavaScript, `fd` can be read, or a moment has passed.
    fn wait(&self, fd: RawFd) {
        let mut watched = [self.wakes.as_raw_fd(), fd].map(|fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        });
        // SAFETY: two entries, alive through the call.
        unsafe { libc::poll(watched.as_mut_ptr(), 2, LOOK_AGAIN_MS) };
    }
}

/// JavaScript that does nothing by itself: the test answers.
pub fn silent() -> Handler {
    Box::new(|_, _| {})
}

/// JavaScript that reads bodies to their end and then calls `answer` with the request.
pub fn when_complete(mut answer: impl FnMut(&mut Js, &Received) + 'static) -> Handler {
    let mut open: HashMap<u32, Received> = HashMap::new();
    Box::new(move |js, event| match event {
        Event::Request(request) => {
            let (body, complete) = match &request.body {
                RequestBody::None => (Vec::new(), true),
                RequestBody::Whole(bytes) => (bytes.to_vec(), true),
                RequestBody::Streams => (Vec::new(), false),
            };
            if request.upgrade {
                js.tunnel(request.id, false);
            }
            if request.expects && !complete {
                js.inform(request.id, 100, "");
            }
            let trailers = String::new();
            let received = Received { request: request.clone(), body, trailers, complete };
            if complete {
                answer(js, &received);
            } else {
                open.insert(request.id, received);
            }
        }
        Event::Data(id, bytes) => {
            if let Some(received) = open.get_mut(id) {
                received.body.extend_from_slice(bytes);
                js.credit(*id, bytes.len());
            }
        }
        Event::End(id, trailers) => {
            if let Some(mut received) = open.remove(id) {
                received.complete = true;
                received.trailers.clone_from(trailers);
                answer(js, &received);
            }
        }
        Event::Aborted(id) => drop(open.remove(id)),
        _ => {}
    })
}

/// JavaScript that answers each whole request with its method, target and body.
pub fn echo() -> Handler {
    when_complete(|js, Received { request, body, .. }| {
        let text = [format!("{} {}\n", request.method, request.target).as_bytes(), body].concat();
        let flags = CONNECTION | LENGTH | if request.method == "HEAD" { NO_BODY } else { 0 };
        js.respond(request.id, 200, "", flags, &text);
    })
}

/// How long a condition may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(10);
/// Conditions on sockets of other clients are looked at so often.
const LOOK_AGAIN_MS: i32 = 2;
const SETTLE_ROUNDS: usize = 3;
/// The server that the listener belongs to.
pub const SERVER_ID: u32 = 7;
const FENCE: u32 = 8;
