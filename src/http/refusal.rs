//! Why TLS with a peer failed, in words that help.

use std::time::Duration;

use rustls::pki_types::{ServerName, UnixTime};
use rustls::{AlertDescription as Alert, CertificateError as Invalid, Error, PeerIncompatible};

use super::identity::Asked;
use crate::clock::Timestamp;

/// As many of a certificate's names are told.
const MOST_NAMES: usize = 3;

/// What `error` means, of TLS with `peer`.
pub(super) fn explain(error: &Error, peer: &str, asked: Asked) -> String {
    match error {
        Error::InvalidCertificate(invalid) => {
            format!("the certificate of {peer} is not accepted: {}", certificate(invalid))
        }
        Error::AlertReceived(alert) => refused(*alert, peer, asked),
        Error::InvalidMessage(_) => format!("{peer} does not speak TLS; is the URL meant to be http://?"),
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13 | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => no_version(peer),
        Error::NoCertificatesPresented => format!("{peer} has shown no certificate"),
        _ => format!("TLS with {peer} failed: {error}"),
    }
}

/// What it means that `peer` went away right after the handshake, if it had asked who we are. hyper does not hand on, or not
/// always, the alert that it sent when HTTP/2 is spoken.
pub(super) fn unexplained(peer: &str, asked: Asked) -> Option<String> {
    match asked {
        Asked::Never => None,
        Asked::InVain => Some(wants_certificate(peer)),
        Asked::Answered => Some(format!(
            "{peer} does not accept the certificate of `http.tls.cert`: it closed the connection right after the TLS handshake"
        )),
    }
}

fn wants_certificate(peer: &str) -> String {
    format!("{peer} wants a client certificate: set `http.tls.cert` and `http.tls.key`")
}

/// What is wrong with the server's certificate.
fn certificate(invalid: &Invalid) -> String {
    match invalid {
        Invalid::UnknownIssuer => {
            "nobody we trust has signed it; set `http.tls.ca` to the file of the authority that did, or `http.tls.insecure: true`"
                .to_owned()
        }
        Invalid::ExpiredContext { not_after, .. } => format!("it has expired, on {}", date(*not_after)),
        Invalid::Expired => "it has expired".to_owned(),
        Invalid::NotValidYetContext { not_before, .. } => {
            format!("it is not valid before {}; is the clock of this machine right?", date(*not_before))
        }
        Invalid::NotValidYet => "it is not valid yet; is the clock of this machine right?".to_owned(),
        Invalid::NotValidForNameContext { expected, presented } => another_name(expected, presented),
        Invalid::NotValidForName => "it is for another name; `http.tls.server_name` sets the name to expect".to_owned(),
        Invalid::Revoked => "it has been revoked".to_owned(),
        Invalid::BadSignature => {
            "its signature is not by the authority that it names; is `http.tls.ca` the right one, of that name?".to_owned()
        }
        // Of webpki, whose errors rustls hands on without a type of its own.
        Invalid::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "it is an authority's own (`CA:TRUE`), which no server may use; let the authority sign one for the server, or set \
             `http.tls.insecure: true`"
                .to_owned()
        }
        _ => invalid.to_string(),
    }
}

fn another_name(expected: &ServerName<'_>, presented: &[String]) -> String {
    let expected = expected.to_str();
    let names: Vec<_> = presented.iter().filter_map(|name| plain(name)).collect();
    let of = match names.len() {
        0 => return format!("it has no name (`subjectAltName`), so it is not for {expected}"),
        1..=MOST_NAMES => names.join(", "),
        many => format!("{} and {} more", names[..MOST_NAMES].join(", "), many - MOST_NAMES),
    };
    format!("it is for {of}, not for {expected}; `http.tls.server_name` sets the name to expect")
}

/// The name in `DnsName("cars.example")` or `IpAddress(127.0.0.1)`.
fn plain(name: &str) -> Option<&str> {
    let (kind, rest) = name.split_once('(')?;
    matches!(kind, "DnsName" | "IpAddress").then(|| rest.trim_end_matches(')').trim_matches('"'))
}

fn date(time: UnixTime) -> String {
    let written = Timestamp::from_unix(Duration::from_secs(time.as_secs())).rfc3339();
    // To the second, as certificates have it.
    written.split_once('.').map_or(written.clone(), |(seconds, _)| format!("{seconds}Z"))
}

/// The server broke off.
fn refused(alert: Alert, peer: &str, asked: Asked) -> String {
    match (alert, asked) {
        (Alert::CertificateRequired, _)
        | (
            Alert::HandshakeFailure
            | Alert::BadCertificate
            | Alert::NoCertificate
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied,
            Asked::InVain,
        ) => wants_certificate(peer),
        (Alert::UnknownCA, _) => {
            format!("{peer} does not accept the certificate of `http.tls.cert`: it does not trust the authority that signed it")
        }
        (Alert::CertificateExpired, _) => {
            format!("{peer} does not accept the certificate of `http.tls.cert`: it has expired, or is not valid yet")
        }
        (Alert::CertificateRevoked, _) => {
            format!("{peer} does not accept the certificate of `http.tls.cert`: it has been revoked")
        }
        (
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateUnknown
            | Alert::AccessDenied
            | Alert::DecryptError,
            Asked::Answered,
        ) => format!("{peer} does not accept the certificate of `http.tls.cert` (alert {alert:?})"),
        (Alert::ProtocolVersion, _) => no_version(peer),
        (Alert::NoApplicationProtocol, _) => {
            format!("{peer} speaks none of the versions of HTTP that were offered; see `http.version`")
        }
        (Alert::UnrecognisedName, _) => {
            format!("{peer} does not know the name that it was asked for; `http.tls.server_name` sets another")
        }
        (Alert::HandshakeFailure | Alert::InsufficientSecurity, _) => {
            format!(
                "{peer} refused the TLS handshake (alert {alert:?}): it and otload have no cipher, key exchange or signature in common"
            )
        }
        _ => format!("{peer} refused the TLS handshake (alert {alert:?})"),
    }
}

fn no_version(peer: &str) -> String {
    format!("{peer} speaks neither TLS 1.2 nor 1.3, and otload no other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_refused_with_the_cause() {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(1_795_428_930));
        let past = UnixTime::since_unix_epoch(Duration::from_secs(1_577_836_800));
        let name = |presented: &[&str]| Invalid::NotValidForNameContext {
            expected: ServerName::try_from("cars.example").unwrap(),
            presented: presented.iter().map(|name| (*name).to_owned()).collect(),
        };
        for (invalid, part) in [
            (Invalid::UnknownIssuer, "nobody we trust has signed it; set `http.tls.ca`"),
            (Invalid::ExpiredContext { time, not_after: past }, "it has expired, on 2020-01-01T00:00:00Z"),
            (Invalid::NotValidYetContext { time: past, not_before: time }, "it is not valid before 2026-11-23T10:15:30Z"),
            (name(&[]), "it has no name (`subjectAltName`), so it is not for cars.example"),
            (name(&["DnsName(\"a.example\")", "IpAddress(127.0.0.1)"]), "it is for a.example, 127.0.0.1, not for cars.example;"),
            (name(&["DnsName(\"*.a\")"; 5]), "it is for *.a, *.a, *.a and 2 more, not"),
        ] {
            let text = explain(&Error::InvalidCertificate(invalid), "x:1", Asked::Never);
            assert!(text.starts_with("the certificate of x:1 is not accepted: ") && text.contains(part), "{text}");
        }
    }

    #[test]
    fn alerts_are_read_with_what_was_asked() {
        for (alert, asked, text) in [
            (Alert::CertificateRequired, Asked::Never, "x:1 wants a client certificate: set"),
            (Alert::HandshakeFailure, Asked::InVain, "x:1 wants a client certificate: set"),
            (Alert::BadCertificate, Asked::InVain, "x:1 wants a client certificate: set"),
            (
                Alert::HandshakeFailure,
                Asked::Never,
                "x:1 refused the TLS handshake (alert HandshakeFailure): it and otload have no cipher",
            ),
            (Alert::UnknownCA, Asked::Answered, "x:1 does not accept the certificate of `http.tls.cert`: it does not trust"),
            (
                Alert::BadCertificate,
                Asked::Answered,
                "x:1 does not accept the certificate of `http.tls.cert` (alert BadCertificate)",
            ),
            (Alert::NoApplicationProtocol, Asked::Never, "x:1 speaks none of the versions of HTTP"),
            (Alert::UnrecognisedName, Asked::Never, "x:1 does not know the name"),
            (Alert::ProtocolVersion, Asked::Never, "x:1 speaks neither TLS 1.2 nor 1.3"),
            (Alert::InternalError, Asked::Answered, "x:1 refused the TLS handshake (alert InternalError)"),
        ] {
            let found = explain(&Error::AlertReceived(alert), "x:1", asked);
            assert!(found.starts_with(text), "{found}");
        }
    }
}
