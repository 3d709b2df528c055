//! Whose cryptography TLS uses: aws-lc's, or ring's where that cannot be built (cargo feature `ring` without the default ones).
//! With both it is aws-lc's.

#[cfg(feature = "aws-lc")]
pub(super) use aws_lc_rs::{aead, rand};
#[cfg(not(feature = "aws-lc"))]
pub(super) use ring::{aead, rand};
#[cfg(feature = "aws-lc")]
pub(super) use rustls::crypto::aws_lc_rs::default_provider;
#[cfg(not(feature = "aws-lc"))]
pub(super) use rustls::crypto::ring::default_provider;
