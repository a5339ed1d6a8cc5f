//! Key exchange that a quantum computer does not undo: X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem), which is X25519 and
//! ML-KEM-768 (FIPS 203) side by side, so that it is as strong as the stronger of the two.
//!
//! ring has X25519 alone. rustls sends the share of X25519 a second time by itself, so a server that does not know the
//! hybrid answers as fast as before.

use ml_kem::kem::{Decapsulate, KeyExport};
use ml_kem::ml_kem_768::{Ciphertext, DecapsulationKey};
use ml_kem::{Seed, SharedKey};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::crypto::ring::kx_group::X25519;
use rustls::crypto::{ActiveKeyExchange, SharedSecret, SupportedKxGroup};
use rustls::ffdhe_groups::FfdheGroup;
use rustls::{Error, NamedGroup, PeerMisbehaved, ProtocolVersion};
use zeroize::Zeroizing;

/// The bytes of the server's part that belong to ML-KEM; the rest is for X25519.
const CIPHERTEXT: usize = 1088;

/// The group, as rustls takes it.
#[derive(Debug)]
pub(super) struct X25519MlKem768;

impl SupportedKxGroup for X25519MlKem768 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let classical = X25519.start()?;
        let mut seed = Zeroizing::new([0; 64]);
        SystemRandom::new().fill(&mut *seed).map_err(|_| Error::FailedToGetRandomBytes)?;
        let key = DecapsulationKey::from_seed(Seed::from(*seed));
        let share = [&key.encapsulation_key().to_bytes()[..], classical.pub_key()].concat();
        Ok(Box::new(Started { classical, key, share }))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }

    fn usable_for_version(&self, version: ProtocolVersion) -> bool {
        version == ProtocolVersion::TLSv1_3
    }
}

/// An exchange that the server has not answered yet.
struct Started {
    classical: Box<dyn ActiveKeyExchange>,
    key: DecapsulationKey,
    /// What the server gets: the key of ML-KEM, then that of X25519.
    share: Vec<u8>,
}

impl ActiveKeyExchange for Started {
    fn complete(self: Box<Self>, theirs: &[u8]) -> Result<SharedSecret, Error> {
        const WRONG: Error = Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare);
        let (ciphertext, point) = theirs.split_at_checked(CIPHERTEXT).ok_or(WRONG)?;
        let ciphertext = Ciphertext::try_from(ciphertext).map_err(|_| WRONG)?;
        let classical = self.classical.complete(point)?;
        let secret: Zeroizing<SharedKey> = Zeroizing::new(self.key.decapsulate(&ciphertext));
        Ok(SharedSecret::from([&secret[..], classical.secret_bytes()].concat()))
    }

    fn hybrid_component(&self) -> Option<(NamedGroup, &[u8])> {
        Some((self.classical.group(), self.classical.pub_key()))
    }

    fn complete_hybrid_component(self: Box<Self>, theirs: &[u8]) -> Result<SharedSecret, Error> {
        self.classical.complete(theirs)
    }

    fn pub_key(&self) -> &[u8] {
        &self.share
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }
}
