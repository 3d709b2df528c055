//! The class that `ts/engine/native/engine.ts` uses. Each JavaScript environment that serves has
//! one.

use std::os::fd::{FromRawFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use monoceros_engine::bridge::event_batch::BodyChunk;
use monoceros_engine::error::Error;
use monoceros_engine::scoreboard::Board;
use monoceros_engine::transport::listener::WorkerSlot;
use monoceros_engine::transport::transfer::WorkerTransfers;
use napi::bindgen_prelude::{BufferSlice, Either, Object, Uint8Array, Uint8ArraySlice, Unknown};
use napi::{Env, JsValue, sys};
use napi_derive::napi;

use crate::bridge::{Bridge, Given};
use crate::settings::{self, EngineOptions, NodeLimits, ServerOverrides};
use crate::system_error::system_error;
use crate::tls::{TlsMaterial, server};

/// This worker's slot on the scoreboard of its arbiter.
#[napi(object)]
pub struct WorkerSlotOptions {
    /// The scoreboard's descriptor.
    pub fd: i32,
    pub slots: u32,
    pub slot: u32,
    /// The event descriptors of all slots, in order.
    pub kick_fds: Vec<i32>,
    /// The sockets over which connections move between the workers, with session affinity.
    pub transfers: Option<WorkerTransferFds>,
    /// The workers have more busy threads than processors.
    pub is_oversubscribed: bool,
}

/// The sockets over which a worker transfers connections.
#[napi(object)]
pub struct WorkerTransferFds {
    /// Receives the connections for this worker.
    pub inbox: i32,
    /// Where to send connections for each slot, in order.
    pub outboxes: Vec<i32>,
}

/// The native engine of one JavaScript environment.
#[napi]
pub struct Engine {
    bridge: Rc<Bridge>,
}

#[napi]
impl Engine {
    /// Starts the I/O thread. JavaScript writes responses into `ring`, whose length is a power of
    /// two plus the bytes of the ring's header. `settings` has settings by their names.
    #[napi(
        constructor,
        catch_unwind,
        ts_args_type = "settings: Readonly<Record<string, unknown>>, options: EngineOptions, \
                        ring: Uint8Array"
    )]
    pub fn new(
        env: Env,
        settings: Object<'_>,
        options: EngineOptions,
        ring: Uint8Array,
    ) -> napi::Result<Self, String> {
        let settings = settings::settings(&settings)?;
        let access = settings::access_log(&settings, options.syslog.as_ref())?;
        let statsd = options.statsd.as_ref().map(settings::open_statsd).transpose()?;
        let worker_slot = options.worker_slot.map(open_worker_slot).transpose()?;
        let overrides = ServerOverrides {
            keepalive_grace: None,
            head_bytes: None,
            half_open: None,
            cleartext: options.cleartext,
        };
        let limits = settings::limits(settings, &overrides)?;
        let limits = (limits, options.announces_at_accept.unwrap_or(false));
        let is_movable = options.movable_loop.unwrap_or(false);
        let lifeline = options.lifeline_fd;
        Bridge::start(env, limits, (access, statsd), worker_slot, lifeline, is_movable, ring)
            .map(|bridge| Self { bridge: Rc::new(bridge) })
            .map_err(failed)
    }

    /// The descriptor that becomes readable when a batch waits for `take`; the caller reads and
    /// closes it.
    #[napi(getter)]
    pub fn wake_fd(&self) -> i32 {
        self.bridge.wake_fd
    }

    /// Returns the functions that JavaScript calls for each batch and each response: `take` returns
    /// the next batch of events as one latin1 text, or undefined when nothing waits, and `wake`
    /// sends the responses in the ring. They are no methods, since a method first looks up the type
    /// of its object, which costs a twentieth of a short request.
    #[napi(catch_unwind, ts_return_type = "{ take: () => string | undefined; wake: () => void }")]
    pub fn calls<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>, String> {
        let (taken, woken) = (self.bridge.clone(), self.bridge.clone());
        let take = env.create_function_from_closure::<(), _, _>("take", move |call| {
            let env = *call.env;
            let text = taken.take(env, |text| env.create_string_latin1(text)).transpose()?;
            Ok(text.map(|text| text.raw()))
        });
        let wake = env.create_function_from_closure::<(), _, _>("wake", move |_| {
            // After the end of the engine, there is no client to send to.
            let _ = woken.wake();
            Ok(())
        });
        let system =
            |error: napi::Error| napi::Error::new("ERR_ENGINE_SYSTEM".into(), error.reason.clone());
        let mut calls = Object::new(env).map_err(system)?;
        calls.set("take", take.map_err(system)?).map_err(system)?;
        calls.set("wake", wake.map_err(system)?).map_err(system)?;
        Ok(calls)
    }

    /// Returns the next body chunk that the text of the last part refers to. Short chunks are
    /// copied into `room` instead, as many as there are. Each follows its length in two bytes, and
    /// their number is returned.
    #[napi(catch_unwind)]
    pub fn chunk<'env>(
        &self,
        env: &'env Env,
        mut room: Uint8ArraySlice<'_>,
    ) -> napi::Result<Either<BufferSlice<'env>, u32>, String> {
        // SAFETY: only JavaScript's thread has the memory, and it runs nothing else during this
        // call.
        let room = unsafe { room.as_mut() };
        let given = self.bridge.chunk(room, |chunk| match chunk {
            BodyChunk::Short(bytes) => BufferSlice::copy_from(env, bytes),
            BodyChunk::Own(bytes) if bytes.len() < SHARE_FROM => {
                BufferSlice::copy_from(env, &bytes)
            }
            BodyChunk::Own(bytes) => {
                let (data, len) = (bytes.as_ptr().cast_mut(), bytes.len());
                // SAFETY: the bytes live until JavaScript has freed the Buffer. Nothing else refers
                // to them, and no two chunks share any.
                unsafe { BufferSlice::from_external(env, data, len, bytes, |_, bytes| drop(bytes)) }
            }
        });
        match given {
            Given::Copied(count) => Ok(Either::B(count)),
            Given::Made(buffer) => buffer.map(Either::A).map_err(|error| {
                napi::Error::new("ERR_ENGINE_SYSTEM".into(), error.reason.clone())
            }),
        }
    }

    /// Takes over a listening descriptor and accepts from it for the server with the id
    /// `server_id`, with TLS if `is_secure`.
    #[napi(catch_unwind)]
    pub fn listen(&self, fd: i32, server_id: u32, is_secure: bool) -> napi::Result<(), String> {
        if fd < 0 {
            return Err(napi::Error::new("EBADF".into(), format!("listen EBADF: descriptor {fd}")));
        }
        // SAFETY: the caller gives the descriptor away; `ts/engine/native/engine.ts` passes each
        // one once.
        let listener = unsafe { OwnedFd::from_raw_fd(fd) };
        self.bridge.with(|io| {
            if is_secure {
                io.listen_secure(listener, server_id);
            } else {
                io.listen(listener, server_id);
            }
        })
    }

    /// Sets how the server with this server id does TLS with connections that begin from now on.
    #[napi(catch_unwind)]
    pub fn set_tls(&self, server_id: u32, material: TlsMaterial) -> napi::Result<(), String> {
        let server = server(material)?;
        self.bridge.with(|io| io.set_tls(server_id, server))
    }

    /// Closes the listeners of a server; its connections live on. Returns how many it has accepted.
    #[napi(catch_unwind)]
    pub fn unlisten(&self, server_id: u32) -> napi::Result<f64, String> {
        self.bridge.with(|io| io.unlisten(server_id) as f64)
    }

    /// Gives a server Node's limits, for the connections it has and those it will have.
    #[napi(catch_unwind)]
    pub fn set_node_limits(&self, server_id: u32, limits: NodeLimits) -> napi::Result<(), String> {
        self.bridge.with(|io| io.set_limits(server_id, settings::node_limits(&limits)))
    }

    /// Gives a server settings of its own, for the connections it has and those it will have.
    #[napi(
        catch_unwind,
        ts_args_type = "serverId: number, settings: Readonly<Record<string, unknown>>, \
                        overrides: ServerOverrides"
    )]
    pub fn set_limits(
        &self,
        server_id: u32,
        settings: Object<'_>,
        overrides: ServerOverrides,
    ) -> napi::Result<(), String> {
        let limits = settings::limits(settings::settings(&settings)?, &overrides)?;
        self.bridge.with(|io| io.set_limits(server_id, limits))
    }

    /// Returns the settings that the engine holds for a server, by their names; undefined where the
    /// I/O thread does not reply. For tests.
    #[napi(catch_unwind, ts_return_type = "Record<string, unknown> | undefined")]
    pub fn settings<'env>(
        &self,
        env: &'env Env,
        server_id: u32,
    ) -> napi::Result<Option<Object<'env>>, String> {
        let held = self.bridge.with(|io| io.settings(server_id))?;
        held.map(|held| settings::settings_object(env, &held)).transpose()
    }

    /// Sets whether refusals to clients of the server with this server id are reported to
    /// JavaScript.
    #[napi(catch_unwind)]
    pub fn report_refusals(&self, server_id: u32, on: bool) -> napi::Result<(), String> {
        self.bridge.with(|io| io.report_refusals(server_id, on))
    }

    /// Closes the connections of a server: all of them or the idle ones.
    #[napi(catch_unwind)]
    pub fn close_connections(&self, server_id: u32, idle_only: bool) -> napi::Result<(), String> {
        self.bridge.with(|io| io.abort_connections(server_id, idle_only))
    }

    /// Accepts nothing until `resume`; new connections stay in the queue for other workers.
    #[napi(catch_unwind)]
    pub fn pause(&self) -> napi::Result<(), String> {
        self.bridge.with(|io| io.pause())
    }

    /// Ends a pause.
    #[napi(catch_unwind)]
    pub fn resume(&self) -> napi::Result<(), String> {
        self.bridge.with(|io| io.resume())
    }

    /// Drains: closes every listener and ends every connection soon, idle ones after this many
    /// milliseconds. A batch of events reports when no connection remains. A second call shortens
    /// the wait of idle connections.
    #[napi(catch_unwind)]
    pub fn drain(&self, idle_ms: u32) -> napi::Result<(), String> {
        self.bridge.with(|io| io.drain(Duration::from_millis(u64::from(idle_ms))))
    }

    /// Opens the access log's file again.
    #[napi(catch_unwind)]
    pub fn reopen_log(&self) -> napi::Result<(), String> {
        self.bridge.with(|io| io.reopen_access_log())
    }

    /// Lets this thread's event loop run the I/O loop while JavaScript is calm, if the option
    /// `movableLoop` is set and the runtime has libuv. `run` takes the events; it must not throw.
    #[napi(catch_unwind, ts_args_type = "run: () => void")]
    pub fn watch(&self, env: Env, run: Object<'_>) {
        self.bridge.watch(env, run.raw());
    }

    /// Reports an error that `run` has caught to Node, as an uncaught one.
    #[napi(ts_args_type = "error: unknown")]
    pub fn report_uncaught(&self, env: Env, error: Unknown<'_>) {
        // SAFETY: both values belong to this environment, whose thread this is.
        unsafe { sys::napi_fatal_exception(env.raw(), error.raw()) };
    }

    /// Copies a piece of a response that is too long for the ring; the next `LARGE` record refers
    /// to it.
    #[napi(catch_unwind)]
    pub fn push_large(&self, chunk: &[u8]) -> napi::Result<(), String> {
        self.bridge.with(|io| io.push_large(chunk))
    }

    /// Lends a piece of a response until it is sent; it is kept alive and not copied. The next
    /// `LARGE` record with the flag of a borrowed buffer refers to it. Returns false when it cannot
    /// be lent.
    #[napi(catch_unwind, ts_args_type = "chunk: Uint8Array")]
    pub fn push_borrowed(&self, env: Env, chunk: Object<'_>) -> napi::Result<bool, String> {
        self.bridge.lend(env, chunk.raw())
    }

    /// Waits until the ring has space again.
    #[napi(catch_unwind)]
    pub fn wait_for_space(&self) -> napi::Result<(), String> {
        self.bridge.with(|io| io.wait_for_space())?.map_err(failed)
    }

    /// Returns how many bytes the connection with this id has received and been given to send; null
    /// if it closed long ago. Waits for the I/O thread while that holds the loop.
    #[napi(catch_unwind)]
    pub fn byte_counts(&self, id: u32) -> Option<Vec<f64>> {
        let counts = self.bridge.with(|io| io.byte_counts(id)).ok().flatten()?;
        Some(vec![counts.received as f64, counts.written as f64])
    }

    /// Counts open connections, requests in flight, finished requests, and how often the I/O thread
    /// has taken the loop over.
    #[napi]
    pub fn counters(&self) -> napi::Result<Vec<f64>, String> {
        self.bridge.with(|io| io.counters().map(|count| count as f64).to_vec())
    }

    /// Ends the I/O thread and waits for it.
    #[napi(catch_unwind)]
    pub fn stop(&self, env: Env) {
        self.bridge.stop(env);
    }
}

/// From this size on, a Buffer over the engine's memory costs less than a copy.
const SHARE_FROM: usize = 16_384;

fn open_worker_slot(options: WorkerSlotOptions) -> napi::Result<WorkerSlot, String> {
    let WorkerSlotOptions { fd, slots, slot, kick_fds, transfers, is_oversubscribed } = options;
    let transfers =
        transfers.map(|WorkerTransferFds { inbox, outboxes }| WorkerTransfers { inbox, outboxes });
    let slot = Board::open(fd, slots)
        .and_then(|board| board.slot(slot))
        .map_err(|error| system_error("scoreboard", "", &error))?;
    Ok(WorkerSlot { slot, kick_fds, transfers, is_oversubscribed })
}

/// An error of the engine with its code.
pub(crate) fn failed(error: Error) -> napi::Error<String> {
    let code = if error.is_closed() {
        "ERR_ENGINE_CLOSED"
    } else if error.is_ring_full() {
        "ERR_ENGINE_RING_FULL"
    } else {
        "ERR_ENGINE_SYSTEM"
    };
    napi::Error::new(code.into(), error.to_string())
}

/// The version of the package that the binary was built for.
#[napi]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
