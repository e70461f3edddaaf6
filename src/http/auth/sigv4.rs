//! AWS Signature Version 4: a request is reduced to a canonical text, and that is signed with a key of the day.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>; the vectors of the tests are those of
//! AWS's own test suite for it, and of the S3 documentation.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::{AUTHORIZATION, CONNECTION, COOKIE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};
use url::{Position, Url};

use super::secret;
use crate::clock::Timestamp;

/// Whose request it is, and for what.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    pub access_key: &'a str,
    pub secret_key: &'a str,
    pub session_token: Option<&'a str>,
    pub region: &'a str,
    pub service: &'a str,
}

/// All but RFC 3986's unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The same, in paths.
const ENCODED_IN_PATHS: &AsciiSet = &ENCODED.remove(b'/');

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const CONTENT: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// Signs a request that is sent at `at`: adds `authorization`, `x-amz-date` and what else belongs to it. All headers are signed but
/// those that change on the way; what is added later, such as cookies, is not.
///
/// # Errors
/// A sentence, when a key cannot stand in a header.
pub fn sign(
    keys: &Keys<'_>,
    method: &Method,
    url: &Url,
    headers: &mut HeaderMap,
    body: &[u8],
    at: Timestamp,
) -> Result<(), String> {
    // 20150830-123600
    let compact = at.compact();
    let (day, time) = compact.split_once('-').unwrap_or_default();
    let moment = format!("{day}T{time}Z");
    let unfit = |_| "a key of `aws_sigv4` cannot stand in a header".to_owned();
    headers.insert(DATE, HeaderValue::from_str(&moment).map_err(unfit)?);
    if let Some(token) = keys.session_token {
        headers.insert(TOKEN, secret(token).ok_or("the `session_token` of `aws_sigv4` cannot stand in a header")?);
    }
    let content = hex(&Sha256::digest(body));
    if keys.service == "s3" {
        headers.insert(CONTENT, HeaderValue::from_str(&content).map_err(unfit)?);
    }
    let (canonical, signed) = canonical(method, url, headers, &content, keys.service != "s3");
    let scope = format!("{day}/{}/{}/aws4_request", keys.region, keys.service);
    let text = format!("AWS4-HMAC-SHA256\n{moment}\n{scope}\n{}", hex(&Sha256::digest(&canonical)));
    let mut key = hmac(format!("AWS4{}", keys.secret_key).as_bytes(), day);
    for part in [keys.region, keys.service, "aws4_request", &text] {
        key = hmac(&key, part);
    }
    let signature = hex(&key);
    let access_key = keys.access_key;
    let value = format!("AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={signed}, Signature={signature}");
    headers.insert(AUTHORIZATION, secret(&value).ok_or("the `access_key` of `aws_sigv4` cannot stand in a header")?);
    Ok(())
}

/// The text that stands for the request, and the names of the headers in it. `twice`: the path is encoded once more, as all services
/// want it but S3.
fn canonical(method: &Method, url: &Url, headers: &HeaderMap, content: &str, twice: bool) -> (String, String) {
    let path = if url.path().is_empty() { "/" } else { url.path() };
    let path = if twice {
        utf8_percent_encode(path, ENCODED_IN_PATHS).to_string()
    } else {
        // The URL leaves some characters as they are that S3 wants encoded.
        let plain = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
        utf8_percent_encode(&plain, ENCODED_IN_PATHS).to_string()
    };
    let encode = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
    let mut query: Vec<_> = url.query_pairs().map(|(name, value)| (encode(&name), encode(&value))).collect();
    query.sort();
    let query: Vec<_> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut lines: Vec<(&str, String)> = Vec::new();
    if !headers.contains_key(HOST) {
        lines.push(("host", url[Position::BeforeHost..Position::AfterPort].to_owned()));
    }
    for name in headers.keys().filter(|name| ![AUTHORIZATION, CONNECTION, COOKIE, USER_AGENT].contains(name)) {
        let values: Vec<_> =
            headers.get_all(name).iter().map(|value| one_spaced(&String::from_utf8_lossy(value.as_bytes()))).collect();
        lines.push((name.as_str(), values.join(",")));
    }
    lines.sort();
    let signed: Vec<_> = lines.iter().map(|(name, _)| *name).collect();
    let signed = signed.join(";");
    let mut text = format!("{method}\n{path}\n{}\n", query.join("&"));
    for (name, value) in &lines {
        let _ = writeln!(text, "{name}:{value}");
    }
    let _ = write!(text, "\n{signed}\n{content}");
    (text, signed)
}

/// Without spaces at its ends, and with single ones in it.
fn one_spaced(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    // A key of any length is right.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn authorization(keys: &Keys<'_>, at: u64, (method, url): (&str, &str), lines: &[(&str, &str)], body: &str) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let at = Timestamp::from_unix(Duration::from_secs(at));
        sign(keys, &method.parse().unwrap(), &Url::parse(url).unwrap(), &mut headers, body.as_bytes(), at).unwrap();
        let value = &headers["authorization"];
        assert!(value.is_sensitive());
        value.to_str().unwrap().to_owned()
    }

    /// AWS's aws-sig-v4-test-suite, as it is also among the tests of the AWS SDK for JavaScript (`signature-v4`, `suite.fixture`):
    /// `get-vanilla` and its kin.
    #[test]
    fn it_is_that_of_the_test_suite() {
        let keys = Keys {
            access_key: "AKIDEXAMPLE",
            secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            session_token: None,
            region: "us-east-1",
            service: "service",
        };
        type Case<'a> = ((&'a str, &'a str), &'a [(&'a str, &'a str)], &'a str, &'a str, &'a str);
        let cases: &[Case<'_>] = &[
            (
                ("GET", "https://example.amazonaws.com/"),
                &[],
                "",
                "host;x-amz-date",
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                ("POST", "https://example.amazonaws.com/"),
                &[],
                "",
                "host;x-amz-date",
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                ("GET", "https://example.amazonaws.com/?Param2=value2&Param1=value1"),
                &[],
                "",
                "host;x-amz-date",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                ("GET", "https://example.amazonaws.com/?Param1=value1"),
                &[],
                "",
                "host;x-amz-date",
                "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
            ),
            (
                ("GET", "https://example.amazonaws.com/"),
                &[("My-Header1", "value2"), ("My-Header1", "value2"), ("My-Header1", "value1")],
                "",
                "host;my-header1;x-amz-date",
                "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
            ),
            (
                ("GET", "https://example.amazonaws.com/"),
                &[("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")],
                "",
                "host;my-header1;my-header2;x-amz-date",
                "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
            ),
            (
                ("POST", "https://example.amazonaws.com/"),
                &[("Content-Type", "application/x-www-form-urlencoded")],
                "Param1=value1",
                "content-type;host;x-amz-date",
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
        ];
        for (request, headers, body, signed, signature) in cases {
            assert_eq!(
                authorization(&keys, 1_440_938_160, *request, headers, body),
                format!(
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={signed}, \
                     Signature={signature}"
                ),
                "{request:?}"
            );
        }
    }

    /// The examples of <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>.
    #[test]
    fn it_is_that_of_the_documentation_of_s3() {
        let keys = Keys {
            access_key: "AKIAIOSFODNN7EXAMPLE",
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            session_token: None,
            region: "us-east-1",
            service: "s3",
        };
        let put: &[_] = &[("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")];
        for (request, headers, body, signature) in [
            (
                ("GET", "https://examplebucket.s3.amazonaws.com/test.txt"),
                &[("Range", "bytes=0-9")][..],
                "",
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            (
                ("PUT", "https://examplebucket.s3.amazonaws.com/test$file.text"),
                put,
                "Welcome to Amazon S3.",
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            ),
            (
                ("GET", "https://examplebucket.s3.amazonaws.com/?lifecycle"),
                &[],
                "",
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            (
                ("GET", "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J"),
                &[],
                "",
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ] {
            let value = authorization(&keys, 1_369_353_600, request, headers, body);
            assert_eq!(value.rsplit_once("Signature=").unwrap().1, signature, "{request:?}");
        }
    }
}
