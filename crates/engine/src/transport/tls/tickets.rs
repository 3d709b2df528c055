//! Session tickets. The arbiter generates and rotates their keys, so a client can resume its
//! session with any worker.

use rustls::server::ProducesTickets;

use super::cryptography::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use super::cryptography::rand::{SecureRandom, SystemRandom};

/// The ticket keys; the first one encrypts.
#[derive(Debug)]
pub(super) struct TicketKeys {
    keys: Vec<TicketKey>,
}

/// A key with its name, which each of its tickets begins with.
#[derive(Debug)]
struct TicketKey {
    name: [u8; KEY_NAME_BYTES],
    key: LessSafeKey,
}

impl TicketKeys {
    /// Creates the keys from 48 bytes each: 16 bytes of name and 32 of secret.
    pub fn new(keys: &[Vec<u8>]) -> Result<Self, String> {
        let keys = keys
            .iter()
            .map(|bytes| {
                let wrong = || format!("a ticket key has {} bytes, not 48", bytes.len());
                let (name, secret) =
                    bytes.split_first_chunk::<KEY_NAME_BYTES>().ok_or_else(wrong)?;
                let key = UnboundKey::new(&AES_256_GCM, secret).map_err(|_| wrong())?;
                Ok(TicketKey { name: *name, key: LessSafeKey::new(key) })
            })
            .collect::<Result<Vec<_>, String>>()?;
        Ok(Self { keys })
    }
}

impl ProducesTickets for TicketKeys {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        TICKET_LIFETIME_SECONDS
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let TicketKey { name, key } = self.keys.first()?;
        // No nonce repeats in the half day of a key: there are 2^96, and a key encrypts far fewer
        // than 2^32 tickets.
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(KEY_NAME_BYTES + NONCE_LEN + plain.len() + TAG_BYTES);
        ticket.extend_from_slice(name);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = &mut ticket[KEY_NAME_BYTES + NONCE_LEN..];
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(name), sealed).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = cipher.split_first_chunk::<KEY_NAME_BYTES>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let TicketKey { key, .. } = self.keys.iter().find(|key| key.name == *name)?;
        let mut plain = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let len = key.open_in_place(nonce, Aad::from(name), &mut plain).ok()?.len();
        plain.truncate(len);
        Some(plain)
    }
}

/// The lifetime of a ticket, in seconds: half a day. The arbiter generates a key as often, and
/// keeps the previous one.
const TICKET_LIFETIME_SECONDS: u32 = 43_200;
const KEY_NAME_BYTES: usize = 16;
const TAG_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::{KEY_NAME_BYTES, TicketKeys};
    use rustls::server::ProducesTickets;

    fn key(byte: u8) -> Vec<u8> {
        vec![byte; 48]
    }

    #[test]
    fn a_ticket_is_decrypted_with_its_key() {
        let (first, second) =
            (TicketKeys::new(&[key(1)]).unwrap(), TicketKeys::new(&[key(2), key(1)]).unwrap());
        let ticket = first.encrypt(b"session").unwrap();
        assert_eq!(second.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        let newer = second.encrypt(b"session").unwrap();
        assert_eq!(first.decrypt(&newer), None);
        assert_ne!(first.encrypt(b"session").unwrap(), ticket);
    }

    #[test]
    fn a_modified_ticket_is_rejected() {
        let tickets = TicketKeys::new(&[key(1)]).unwrap();
        let ticket = tickets.encrypt(b"session").unwrap();
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(tickets.decrypt(&changed), None, "byte {at}");
        }
        for len in [0, 1, KEY_NAME_BYTES, KEY_NAME_BYTES + 12, ticket.len() - 1] {
            assert_eq!(tickets.decrypt(&ticket[..len]), None, "{len} bytes");
        }
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        assert!(TicketKeys::new(&[vec![1; 47]]).is_err());
        assert!(TicketKeys::new(&[vec![1; 3]]).is_err());
    }
}
