//! The filters of our own: [`FILTERS`] names each and says what it gives. The rest, and the tests after `is`, are MiniJinja's.

use super::functions::{Function, filter, shown, wrong};
use super::{Value, engine, json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit as _, Mac as _};
use minijinja::Error;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// What can stand after `|`, of ours.
pub(super) const FILTERS: &[Function] = &[
    filter("b64encode", &[], "base64", |_, values| Ok(Value::from(STANDARD.encode(bytes(&values[0])?)))),
    filter("b64decode", &[], "what it was; takes the alphabet for URLs too, and no padding", |_, values| b64decode(&values[0])),
    filter("sha256", &[], "the digest, in hexadecimal", |_, values| Ok(Value::from(hex(&Sha256::digest(bytes(&values[0])?))))),
    filter("hmac_sha256", &["key"], "the signature, in hexadecimal", |_, values| hmac_sha256(&values[0], &values[1])),
    filter("string", &[], "the text that would be printed", |_, values| {
        engine::text_of(&values[0]).map(Value::from).map_err(wrong)
    }),
    filter("tojson", &[], "JSON; of a text too, with its quotes", |_, values| {
        json::text_of(&values[0]).map(Value::from).map_err(wrong)
    }),
];

/// What a filter works on: the bytes of a text, or of a number as it is printed.
fn bytes(value: &Value) -> Result<Vec<u8>, Error> {
    match value.as_bytes() {
        Some(bytes) => Ok(bytes.to_vec()),
        None if value.is_number() => Ok(value.to_string().into_bytes()),
        None => Err(wrong(format!("it works on text, but this is {}", shown(value)))),
    }
}

fn b64decode(value: &Value) -> Result<Value, Error> {
    // As generous as senders are careless: the alphabet for URLs too, with or without padding (tokens have none).
    const GENEROUS: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let mut text = bytes(value)?;
    text.retain(|byte| !byte.is_ascii_whitespace());
    for byte in &mut text {
        match byte {
            b'-' => *byte = b'+',
            b'_' => *byte = b'/',
            _ => {}
        }
    }
    let decoded = GENEROUS.decode(text).map_err(|error| wrong(format!("this is not base64: {error}")))?;
    Ok(String::from_utf8(decoded).map_or_else(|error| Value::from_bytes(error.into_bytes()), Value::from))
}

fn hmac_sha256(value: &Value, key: &Value) -> Result<Value, Error> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&bytes(key)?).map_err(|error| wrong(error.to_string()))?;
    mac.update(&bytes(value)?);
    Ok(Value::from(hex(&mac.finalize().into_bytes())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::super::engine::value;

    /// From RFC 4648, FIPS 180 and RFC 4231.
    #[test]
    fn filters_with_known_answers() {
        for (expression, expected) in [
            ("'foobar' | b64encode", "Zm9vYmFy"),
            ("'f' | b64encode", "Zg=="),
            ("5 | b64encode", "NQ=="),
            ("'Zm9vYmFy' | b64decode", "foobar"),
            ("'Zg' | b64decode", "f"),
            ("'Zg==' | b64decode", "f"),
            ("'w7_Dvg' | b64decode", "ÿþ"),
            ("'/w==' | b64decode | b64encode", "/w=="),
            ("'abc' | sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            ("'' | sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (
                "'what do ya want for nothing?' | hmac_sha256('Jefe')",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            ("'a b&c/d?é' | urlencode", "a%20b%26c/d%3F%C3%A9"),
            ("{'b': [1, 2.5, none, true], 'a': '<\\'\"\\n'} | tojson", r#"{"b":[1,2.5,null,true],"a":"<'\"\n"}"#),
            ("'x' | tojson", "\"x\""),
            ("'<a>'", "<a>"),
            ("'ab' | upper", "AB"),
        ] {
            assert_eq!(value(expression).map(|v| v.to_string()).as_deref(), Ok(expected), "{expression}");
        }
    }
}
