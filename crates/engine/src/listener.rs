//! Listening sockets: binding them and accepting from them.

mod bind;

pub use bind::{LocalAddress, TcpOptions, adopt, bind_tcp, bind_unix, local_address};
