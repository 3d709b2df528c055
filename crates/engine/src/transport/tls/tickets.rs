//! Session tickets with keys that the arbiter makes and rotates: whichever worker a client comes back to, its session is
//! known there.

use rustls::server::ProducesTickets;

use super::cryptography::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use super::cryptography::rand::{SecureRandom, SystemRandom};

/// The keys, the one that makes tickets first.
#[derive(Debug)]
pub(super) struct Tickets {
    keys: Vec<Key>,
}

/// A ticket begins with the name of its key.
#[derive(Debug)]
struct Key {
    name: [u8; NAME],
    key: LessSafeKey,
}

impl Tickets {
    /// Of keys of 48 bytes: 16 are the name.
    pub fn new(keys: &[Vec<u8>]) -> Result<Self, String> {
        let keys = keys
            .iter()
            .map(|bytes| {
                let wrong = || format!("a key of tickets has {} bytes", bytes.len());
                let (name, secret) = bytes.split_first_chunk::<NAME>().ok_or_else(wrong)?;
                let key = UnboundKey::new(&AES_256_GCM, secret).map_err(|_| wrong())?;
                Ok(Key { name: *name, key: LessSafeKey::new(key) })
            })
            .collect::<Result<Vec<_>, String>>()?;
        Ok(Self { keys })
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let Key { name, key } = self.keys.first()?;
        // Of a key's half day no nonce comes twice: there are 2^96, and a key makes far fewer than 2^32 tickets.
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(NAME + NONCE_LEN + plain.len() + TAG);
        ticket.extend_from_slice(name);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = &mut ticket[NAME + NONCE_LEN..];
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(name), sealed).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = cipher.split_first_chunk::<NAME>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let Key { key, .. } = self.keys.iter().find(|key| key.name == *name)?;
        let mut plain = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let len = key.open_in_place(nonce, Aad::from(name), &mut plain).ok()?.len();
        plain.truncate(len);
        Some(plain)
    }
}

/// Half a day: the arbiter makes a key as often and keeps the one before.
const LIFETIME: u32 = 43_200;
const NAME: usize = 16;
const TAG: usize = 16;

#[cfg(test)]
mod tests {
    use super::{NAME, Tickets};
    use rustls::server::ProducesTickets;

    fn key(byte: u8) -> Vec<u8> {
        vec![byte; 48]
    }

    #[test]
    fn a_ticket_is_read_by_whoever_has_its_key() {
        let (first, second) =
            (Tickets::new(&[key(1)]).unwrap(), Tickets::new(&[key(2), key(1)]).unwrap());
        let ticket = first.encrypt(b"session").unwrap();
        assert_eq!(second.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        let newer = second.encrypt(b"session").unwrap();
        assert_eq!(first.decrypt(&newer), None);
        assert_ne!(first.encrypt(b"session").unwrap(), ticket);
    }

    #[test]
    fn a_ticket_that_was_changed_is_none() {
        let tickets = Tickets::new(&[key(1)]).unwrap();
        let ticket = tickets.encrypt(b"session").unwrap();
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(tickets.decrypt(&changed), None, "byte {at}");
        }
        for len in [0, 1, NAME, NAME + 12, ticket.len() - 1] {
            assert_eq!(tickets.decrypt(&ticket[..len]), None, "{len} bytes");
        }
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        assert!(Tickets::new(&[vec![1; 47]]).is_err());
        assert!(Tickets::new(&[vec![1; 3]]).is_err());
    }
}
