//! Who sends a request: the tokens that all users share, and the headers that are made anew for each request.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;

use super::address;
use super::request::Rendered;
use super::user::User;
use super::worker::lock;
use crate::clock;
use crate::http::auth::{self, Grant, Keys, TokenSource};
use crate::http::with_path;
use crate::reason::Reason;
use crate::scenario::plan::{Address, Auth, OAuth2, Plan, RequestStep};
use crate::secrets::mask;
use crate::template::{Random, Scope, Shared, Template};

/// Where the tokens of a run come from, by index into [`Plan::oauth2`].
pub(super) struct Tokens(Vec<Result<TokenSource, String>>);

/// How long a token server may take.
const TIMEOUT: Duration = Duration::from_secs(30);

impl Tokens {
    pub(super) fn new(plan: &Plan, shared: &Arc<Shared>) -> Self {
        Self(plan.oauth2.iter().map(|oauth2| source(oauth2, shared)).collect())
    }
}

impl Tokens {
    /// The text without the tokens that are there now.
    pub(super) fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for value in self.0.iter().filter_map(|source| source.as_ref().ok()?.value()) {
            let token = value.to_str().ok().and_then(|value| value.split_once(' ')).map_or("", |(_, token)| token);
            if let (false, Cow::Owned(masked)) = (token.is_empty(), mask(&[token.to_owned()], &text)) {
                text = Cow::Owned(masked);
            }
        }
        text
    }
}

/// What is the same for all users is rendered once, here.
fn source(oauth2: &OAuth2, shared: &Arc<Shared>) -> Result<TokenSource, String> {
    let (scope, mut random) = (Scope::new(shared.clone(), 0), Random::new(0, 0));
    let mut text = |template: &Template| {
        let mut text = String::new();
        template.render(&scope, &mut random, &mut text).map(|()| text)
    };
    let url = match &oauth2.address {
        Address::Fixed(url) => url.clone(),
        Address::Rendered { base, template } => {
            let (url, path) = address::join(base.as_ref(), text(template)?)?;
            path.map_or_else(|| (*url).clone(), |path| with_path(&url, &path))
        }
    };
    let mut optional = |template: &Option<Template>| template.as_ref().map(&mut text).transpose();
    let (words, audience) = (optional(&oauth2.scope)?, optional(&oauth2.audience)?);
    Ok(TokenSource::new(&Grant {
        url,
        client_id: &text(&oauth2.client_id)?,
        client_secret: &text(&oauth2.client_secret)?,
        scope: words.as_deref(),
        audience: audience.as_deref(),
        in_body: oauth2.in_body,
        timeout: TIMEOUT,
    }))
}

impl User {
    /// Whether there is a token for this request, if it needs one: it is fetched, or waited for. That time is no part of the
    /// request's, nor is it lag. Without one the request has failed.
    pub(super) async fn token_for(&mut self, step: &RequestStep) -> bool {
        let Some(Auth::OAuth2(at)) = step.auth.as_deref() else { return true };
        let began = clock::now();
        let Err((reason, message)) = self.token(*at).await else {
            self.due_at(self.due + clock::now().saturating_duration_since(began));
            return true;
        };
        self.due_at(self.due.max(clock::now()));
        let message = self.context.run.mask(&message);
        self.context.tracing.failed(step, reason, &message, None, None);
        lock(&self.context.shard).unsent(step.id, reason, &message);
        false
    }

    /// Sees to it that there is a token of the server `at`.
    pub(super) async fn token(&self, at: usize) -> Result<(), (Reason, String)> {
        match self.context.run.tokens.0.get(at) {
            Some(Ok(source)) if source.is_fresh(clock::now()) => Ok(()),
            Some(Ok(source)) => {
                Box::pin(source.ensure(&self.context.client)).await.map_err(|failure| (failure.reason, failure.message))
            }
            Some(Err(error)) => Err((Reason::Template, error.clone())),
            None => Err((Reason::Template, "there is no token server".to_owned())),
        }
    }
}

/// Adds to a request that is rendered what says who sends it.
pub(super) fn apply(
    auth: &Auth,
    tokens: &Tokens,
    scope: &Scope,
    random: &mut Random,
    step: &RequestStep,
    rendered: &mut Rendered<'_>,
) -> Result<(), String> {
    let mut text = |template: &Template| {
        let mut text = String::new();
        template.render(scope, random, &mut text).map(|()| text)
    };
    match auth {
        Auth::Basic { user, password } => {
            let value = auth::basic(&text(user)?, &text(password)?).ok_or("the user of `basic` has a colon")?;
            rendered.headers.to_mut().insert(AUTHORIZATION, value);
        }
        Auth::OAuth2(at) => {
            let source = tokens.0.get(*at).and_then(|source| source.as_ref().ok());
            let value = source.and_then(TokenSource::value).ok_or("there is no token")?;
            rendered.headers.to_mut().insert(AUTHORIZATION, value);
        }
        Auth::AwsSigV4(keys) => {
            let (access_key, secret_key) = (text(&keys.access_key)?, text(&keys.secret_key)?);
            let session_token = keys.session_token.as_ref().map(&mut text).transpose()?.filter(|token| !token.is_empty());
            let keys = Keys {
                access_key: &access_key,
                secret_key: &secret_key,
                session_token: session_token.as_deref(),
                region: &text(&keys.region)?,
                service: &text(&keys.service)?,
            };
            let url = rendered.address().into_owned();
            auth::sign(&keys, &step.method, &url, rendered.headers.to_mut(), &rendered.body, clock::timestamp())?;
        }
    }
    Ok(())
}
