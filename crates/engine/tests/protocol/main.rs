//! The engine's HTTP over real sockets, without Node: raw bytes in, raw bytes out. The test takes
//! the part of JavaScript.

mod aborts;
mod bodies;
mod deadlines;
mod early_responses;
mod golden;
mod harness;
mod http2;
mod http2_bodies;
mod http2_ends;
mod http2_floods;
mod http2_stream_admission;
mod idle;
mod ids;
mod keep_alive;
mod limits;
mod load;
mod memory;
mod refusals;
mod responses;
mod stopping;
mod surroundings;
mod tls;
mod tunnels;
mod withdrawn;
mod write_deadlines;
