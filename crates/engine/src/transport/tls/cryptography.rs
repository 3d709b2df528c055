//! Selects the cryptography library of TLS: aws-lc, or ring where aws-lc cannot be built (the cargo
//! feature `ring` without the default features). With both features, aws-lc is used.

#[cfg(feature = "aws-lc")]
pub(super) use aws_lc_rs::{aead, rand};
#[cfg(not(feature = "aws-lc"))]
pub(super) use ring::{aead, rand};
#[cfg(feature = "aws-lc")]
pub(super) use rustls::crypto::aws_lc_rs::default_provider;
#[cfg(not(feature = "aws-lc"))]
pub(super) use rustls::crypto::ring::default_provider;
