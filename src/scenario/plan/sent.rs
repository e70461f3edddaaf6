//! What a request carries beyond texts: who sends it, files and forms.

use std::time::Duration;

use bytes::Bytes;

use super::Address;
use crate::template::{Expression, Template};

/// How a request says who sends it, where that is not a header like others.
#[derive(Debug)]
pub enum Auth {
    Basic {
        user: Template,
        password: Template,
    },
    /// By index into [`Plan::oauth2`](super::Plan::oauth2).
    OAuth2(usize),
    AwsSigV4(Box<AwsKeys>),
}

#[derive(Debug)]
pub struct AwsKeys {
    pub access_key: Template,
    pub secret_key: Template,
    pub session_token: Option<Template>,
    pub region: Template,
    pub service: Template,
}

/// Until when a response of events is listened to.
#[derive(Debug)]
pub struct StreamRule {
    pub until: Option<Expression>,
    /// In place of the request's own timeout.
    pub max_time: Option<Duration>,
}

/// Where a token is fetched. What it uses is the same for all users.
#[derive(Debug)]
pub struct OAuth2 {
    pub address: Address,
    pub client_id: Template,
    pub client_secret: Template,
    pub scope: Option<Template>,
    pub audience: Option<Template>,
    pub in_body: bool,
}

/// A file that is sent, read once.
#[derive(Clone)]
pub struct SentFile {
    /// As the scenario names it.
    pub name: String,
    pub content: Bytes,
    /// The content is compressed already.
    pub packed: bool,
}

/// A part of a multipart form.
#[derive(Debug)]
pub struct Part {
    pub name: Template,
    pub content: PartContent,
    pub filename: Option<Template>,
    pub content_type: Option<Template>,
}

#[derive(Debug)]
pub enum PartContent {
    Text(Template),
    File(SentFile),
}

impl std::fmt::Debug for SentFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} bytes)", self.name, self.content.len())
    }
}
