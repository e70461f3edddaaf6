//! `auth`: how a request says who sends it.

use serde_json::{Map, Value as Json, json};

use super::node::{Node, Value};
use super::place::error_at;
use super::read::{Read, Reader, record};
use super::values::Choice;

/// What is written behind `auth`.
#[derive(Clone, Debug, PartialEq)]
pub enum AuthForm {
    /// `none`: not even what `http` says.
    None,
    Some(Box<Auth>),
}

record! {
    /// How a request says who sends it: one of these. Its header `authorization` is not sent on to other hosts by redirects. Values
    /// are templates; what is secret in them is masked wherever something is printed.
    struct Auth {
        /// A user and a password.
        basic: Basic,
        /// A token that is there already, such as `{{ setup.token }}`.
        bearer: String,
        /// OAuth 2, client credentials (RFC 6749, 4.4): a token is fetched once for all users, and renewed before it expires.
        oauth2: OAuth2,
        /// AWS Signature Version 4, of the request as it is sent.
        aws_sigv4: AwsSigV4,
    }
}

record! {
    /// A user and a password (RFC 7617).
    struct Basic {
        /// The user's name, without colons.
        [required] user: String,
        /// The password.
        [required] password: String,
    }
}

record! {
    /// Where a token is fetched, and with what. Templates may use what is the same for all users: variables, `env`, `setup`. Token
    /// requests are no part of the load, and are not measured.
    struct OAuth2 {
        /// Where the token server answers, such as `https://id.example.com/oauth/token`.
        [required] token_url: String,
        /// The client's id: who asks for the token.
        [required] client_id: String,
        /// The client's password.
        [required] client_secret: String,
        /// What the token is to be good for: words with spaces between them.
        scope: String,
        /// For whom the token is, where the server wants to know.
        audience: String,
        /// How the client says who it is: in a header, as the standard prefers, or in the body. Default: header.
        client_auth: ClientAuth,
    }
}

record! {
    /// The keys of an AWS account, and what they are used for.
    struct AwsSigV4 {
        /// The id of the access key.
        [required] access_key: String,
        /// The secret access key.
        [required] secret_key: String,
        /// The session token that belongs to temporary keys.
        session_token: String,
        /// The region, such as `eu-north-1`.
        [required] region: String,
        /// The service, as AWS calls it in signatures, such as `s3` or `execute-api`.
        [required] service: String,
    }
}

/// How a client says who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    Header,
    Body,
}

impl Choice for ClientAuth {
    const WORDS: &'static [(&'static str, Self, &'static str)] = &[
        ("header", Self::Header, "As basic authentication."),
        ("body", Self::Body, "As `client_id` and `client_secret` of the form."),
    ];
}

impl Read for AuthForm {
    fn expected() -> String {
        "one of `basic`, `bearer`, `oauth2`, `aws_sigv4`, or `none`".to_owned()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::Map(_) => Auth::read(node, reader).map(Box::new).map(Self::Some),
            _ if node.text() == Some("none") => Some(Self::None),
            _ => {
                let message = format!("expected {}, found {}", Self::expected(), node.describe());
                reader
                    .push(error_at(&reader.source, &node.range, message).hint("write it like `auth: {bearer: \"{{ token }}\"}`"));
                None
            }
        }
    }

    fn schema(definitions: &mut Map<String, Json>) -> Json {
        json!({"oneOf": [Auth::schema(definitions), {"const": "none", "description": "Not even what `http` says."}]})
    }
}
