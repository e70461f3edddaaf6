//! The TLS configuration that all users share: it is built once, because reading the platform's roots takes milliseconds.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::{TlsSettings, Version};
use crate::diagnostic::Diagnostic;
use crate::file;

/// The authorities of a whole platform take a quarter of a mebibyte.
const LARGEST_PEM: u64 = 16 << 20;

/// What names each of the files, for messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    pub(crate) ca: &'a str,
    pub(crate) cert: &'a str,
    pub(crate) key: &'a str,
}

/// Builds the configuration.
///
/// # Errors
/// A file that cannot be read or is not the PEM it should be, or a key without its certificate.
pub(super) fn client_config(tls: &TlsSettings, version: Version) -> Result<ClientConfig, Diagnostic> {
    named_config(tls, version, Names { ca: "`tls.ca`", cert: "`tls.cert`", key: "`tls.key`" })
}

/// The same for files that are named elsewhere.
///
/// # Errors
/// As for [`client_config`].
pub(crate) fn named_config(tls: &TlsSettings, version: Version, names: Names<'_>) -> Result<ClientConfig, Diagnostic> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = verifier(tls, &provider, names.ca)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Diagnostic::error(format!("TLS cannot be set up: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => {
            let chain = certificates(names.cert, cert)?;
            let private = read_pem(key)
                .and_then(|bytes| PrivateKeyDer::from_pem_slice(&bytes))
                .map_err(|error| unreadable(names.key, key, "private key", error))?;
            builder.with_client_auth_cert(chain, private).map_err(|error| {
                Diagnostic::error(format!(
                    "the key `{}` does not go with the certificate `{}`: {error}",
                    key.display(),
                    cert.display()
                ))
                .hint(format!("{} is the private key of the first certificate in {}", names.key, names.cert))
            })?
        }
        (None, None) => builder.with_no_client_auth(),
        (Some(_), None) => {
            let message = format!("{} needs {}", names.cert, names.key);
            return Err(Diagnostic::error(message).hint("name the file of its private key"));
        }
        (None, Some(_)) => {
            let message = format!("{} needs {}", names.key, names.cert);
            return Err(Diagnostic::error(message).hint("name the file of its certificate"));
        }
    };
    config.alpn_protocols = match version {
        Version::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Version::Http1 => vec![b"http/1.1".to_vec()],
        Version::Http2 => vec![b"h2".to_vec()],
    };
    Ok(config)
}

fn verifier(tls: &TlsSettings, provider: &Arc<CryptoProvider>, name: &str) -> Result<Arc<dyn ServerCertVerifier>, Diagnostic> {
    // Also when nothing is verified: a file that is named must be there.
    let own = tls.ca.as_deref().map(|path| certificates(name, path)).transpose()?.unwrap_or_default();
    let algorithms = provider.signature_verification_algorithms;
    if tls.insecure {
        return Ok(Arc::new(Unverified { algorithms, accept: true }));
    }
    let has_own = !own.is_empty();
    match (Verifier::new_with_extra_roots(own, Arc::clone(provider)), &tls.ca) {
        (Ok(verifier), _) => Ok(Arc::new(verifier)),
        (Err(error), Some(path)) if has_own => {
            Err(Diagnostic::error(format!("`{}` holds a certificate that cannot be an authority: {error}", path.display())))
        }
        // A machine without any authorities can still load a target in clear, so this is told by the first handshake.
        (Err(_), _) => Ok(Arc::new(Unverified { algorithms, accept: false })),
    }
}

fn certificates(name: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Diagnostic> {
    let read = || CertificateDer::pem_slice_iter(&read_pem(path)?).collect::<Result<Vec<_>, _>>();
    match read() {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(unreadable(name, path, "certificate", pem::Error::NoItemsFound)),
        Err(error) => Err(unreadable(name, path, "certificate", error)),
    }
}

fn read_pem(path: &Path) -> Result<Vec<u8>, pem::Error> {
    file::read(path, LARGEST_PEM).map_err(|error| pem::Error::Io(error.into()))
}

fn unreadable(name: &str, path: &Path, what: &str, error: pem::Error) -> Diagnostic {
    let path = path.display();
    match error {
        pem::Error::Io(error) => Diagnostic::error(format!("cannot read `{path}`: {error}")).hint(format!("{name} names it")),
        pem::Error::NoItemsFound => Diagnostic::error(format!("`{path}` holds no {what}"))
            .hint(format!("{name} takes a PEM file: `-----BEGIN {}-----`", what.to_uppercase())),
        error => Diagnostic::error(format!("`{path}` is not PEM: {error}")).hint(format!("{name} names it")),
    }
}

/// Accepts any certificate (`tls.insecure`), or none (no authority is known). Signatures are checked all the same.
#[derive(Debug)]
struct Unverified {
    algorithms: WebPkiSupportedAlgorithms,
    accept: bool,
}

// === impl Unverified ===

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.accept { Ok(ServerCertVerified::assertion()) } else { Err(CertificateError::UnknownIssuer.into()) }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_cannot_be_used_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let key = rcgen::KeyPair::generate().unwrap();
        let own = rcgen::CertificateParams::new(vec!["x".into()]).unwrap().self_signed(&key).unwrap();
        let other_key = file("other.key", &rcgen::KeyPair::generate().unwrap().serialize_pem());
        let (cert, key) = (file("own.pem", &own.pem()), file("own.key", &key.serialize_pem()));
        let empty = file("empty.pem", "nothing here");
        let missing = folder.path().join("missing.pem");
        let settings = TlsSettings::default();
        for (tls, part, hint) in [
            (TlsSettings { ca: Some(missing), ..settings.clone() }, "missing.pem`: No such file", "`tls.ca` names it"),
            (
                TlsSettings { ca: Some(empty.clone()), insecure: true, ..settings.clone() },
                "empty.pem` holds no certificate",
                "-----BEGIN CERTIFICATE-----",
            ),
            (TlsSettings { cert: Some(cert.clone()), ..settings.clone() }, "`tls.cert` needs `tls.key`", "private key"),
            (TlsSettings { key: Some(key.clone()), ..settings.clone() }, "`tls.key` needs `tls.cert`", "certificate"),
            (
                TlsSettings { cert: Some(cert.clone()), key: Some(empty), ..settings.clone() },
                "holds no private key",
                "`tls.key` takes",
            ),
            (
                TlsSettings { cert: Some(cert.clone()), key: Some(other_key), ..settings.clone() },
                "does not go with the certificate",
                "first certificate",
            ),
        ] {
            let problem = client_config(&tls, Version::Auto).unwrap_err();
            assert!(problem.message.contains(part), "{}", problem.message);
            assert!(problem.hint.as_ref().is_some_and(|text| text.contains(hint)), "{:?}", problem.hint);
        }
        let config = client_config(&TlsSettings { cert: Some(cert), key: Some(key), ..settings }, Version::Http1).unwrap();
        assert_eq!(config.alpn_protocols, [b"http/1.1"]);
    }
}
