//! Whether servers ask for a client's certificate, and what they get.
//!
//! Some say in the handshake that they wanted one, some break off without a reason, and nginx answers with a status: what
//! they say is better understood by who knows that they had asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;

/// What has become of the question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Asked {
    /// No server has asked.
    #[default]
    Never,
    /// One has, and there was none.
    InVain,
    /// One has, and got it.
    Answered,
}

/// Notes what servers ask for. All users share it: sessions are only resumed with the one that they began with.
#[derive(Debug)]
pub(super) struct Identity {
    inner: Arc<dyn ResolvesClientCert>,
    asked: AtomicU8,
}

// === Identity ===

impl Identity {
    /// In place of what the configuration has.
    pub(super) fn watch(config: &mut rustls::ClientConfig) -> Arc<Self> {
        let inner = Arc::clone(&config.client_auth_cert_resolver);
        let identity = Arc::new(Self { inner, asked: AtomicU8::default() });
        config.client_auth_cert_resolver = Arc::<Self>::clone(&identity);
        identity
    }

    pub(super) fn asked(&self) -> Asked {
        match self.asked.load(Ordering::Relaxed) {
            0 => Asked::Never,
            1 => Asked::InVain,
            _ => Asked::Answered,
        }
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let found = self.inner.resolve(authorities, schemes);
        self.asked.store(1 + u8::from(found.is_some()), Ordering::Relaxed);
        found
    }

    fn only_raw_public_keys(&self) -> bool {
        self.inner.only_raw_public_keys()
    }

    fn has_certs(&self) -> bool {
        self.inner.has_certs()
    }
}

// === Asked ===

impl Asked {
    /// What may be behind a response with this status, for people.
    pub(super) fn remark(self, status: u16) -> Option<&'static str> {
        match (self, status) {
            (Self::InVain, 400 | 401 | 403 | 495 | 496) => {
                Some("the server wants a client certificate: set `http.tls.cert` and `http.tls.key`")
            }
            (Self::Answered, 400 | 401 | 403 | 495 | 496) => {
                Some("the server asked for a client certificate, and may not accept that of `http.tls.cert`")
            }
            _ => None,
        }
    }
}
