//! How far the guard has come with the input of a connection.

/// Result of a call of [`Guard::advance`].
///
/// [`Guard::advance`]: crate::guard::Guard::advance
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// The start of the connection has been read. If a PROXY protocol header was present,
    /// [`Guard::proxied_addresses`](crate::guard::Guard::proxied_addresses) has its addresses.
    ProxyHeader,
    /// All input has been used and more is needed.
    More,
    /// The data of a chunk begins; `output` has the data of the chunks before it.
    NextChunk,
    /// A head is complete; bytes of its body may follow in further calls.
    Head,
    /// The message is complete.
    Complete,
}
