//! Where an exchange goes: its first hop as the request has it, and then where redirects lead, with what goes along.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderValue, Method};
use url::Url;

use super::credentials::without_credentials;
use super::transport::Without;
use super::{Exchange, Failure, Request, Response, redirect};
use crate::clock::Instant;
use crate::reason::Reason;

/// Where an exchange goes next, and with what.
pub(super) struct Way<'a> {
    pub(super) method: Cow<'a, Method>,
    /// Without user and password.
    pub(super) url: Cow<'a, Url>,
    pub(super) path: Option<&'a str>,
    pub(super) credentials: Option<HeaderValue>,
    pub(super) body: Bytes,
    pub(super) without: Without,
    pub(super) began: Instant,
}

// === Way ===

impl<'a> Way<'a> {
    pub(super) fn of(request: &Request<'a>, began: Instant) -> Self {
        let (url, credentials) = without_credentials(request.url);
        Self {
            method: Cow::Borrowed(request.method),
            url,
            path: request.path,
            credentials,
            body: request.body.clone(),
            without: Without::default(),
            began,
        }
    }

    /// Goes on to where a response redirects to.
    pub(super) fn follow(&mut self, request: &Request<'_>, step: redirect::Step, exchange: &mut Exchange) -> Result<(), Failure> {
        if exchange.redirects == request.redirects {
            let message =
                format!("more than {} redirects, the last one to {}", request.redirects, without_credentials(&step.url).0);
            return Err(Failure { status: Some(exchange.response.status), ..Failure::new(Reason::RedirectLimit, message) });
        }
        exchange.redirects += 1;
        // The next hop begins so much later than the target allowed, within the times of the whole exchange.
        exchange.unresolved_read_lag += exchange.read_lag();
        exchange.next_hop();
        exchange.response = Response::default();
        let (next, credentials) = without_credentials(&step.url);
        if step.other_origin {
            // They were meant for the first origin, and are not taken up again on the way back.
            self.without.credentials = true;
            self.credentials = None;
        }
        self.credentials = credentials.or(self.credentials.take());
        if step.drop_body {
            self.without.content = true;
            self.body = Bytes::new();
        }
        (self.url, self.path) = (Cow::Owned(next.into_owned()), None);
        exchange.course.at = Some(Box::new((step.method.clone(), self.url.clone().into_owned())));
        self.method = Cow::Owned(step.method);
        // The response was read then; a user cannot have followed it before.
        self.began = exchange.read_at;
        Ok(())
    }
}

/// Without user and password.
pub(super) fn address_of<'a>(request: &Request<'a>) -> Cow<'a, Url> {
    match request.address() {
        Cow::Borrowed(url) => without_credentials(url).0,
        Cow::Owned(url) => Cow::Owned(without_credentials(&url).0.into_owned()),
    }
}
