//! The engine's HTTP over real sockets, without Node: raw bytes in, raw bytes out, JavaScript played by the test.

mod aborts;
mod answers;
mod bodies;
mod deadlines;
mod golden;
mod harness;
mod http2;
mod http2_bodies;
mod http2_ends;
mod http2_floods;
mod http2_standing;
mod ids;
mod keep_alive;
mod limits;
mod load;
mod memory;
mod parking;
mod refusals;
mod stopping;
mod surroundings;
mod tls;
mod tunnels;
