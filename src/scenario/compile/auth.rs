//! `auth`: who sends a request, by default and of its own.

use std::collections::BTreeSet;
use std::ops::Range;

use http::{HeaderName, HeaderValue, header};

use super::Compiler;
use super::text::After;
use crate::http::auth::basic;
use crate::scenario::document::auth::{Auth as AuthRecord, AuthForm, AwsSigV4, Basic, ClientAuth, OAuth2 as OAuth2Form};
use crate::scenario::document::place::inside;
use crate::scenario::document::read::{Field, Placed};
use crate::scenario::plan::{Auth, AwsKeys, OAuth2};
use crate::secrets;
use crate::template::{Reference, Template};

/// What has been found out about who sends requests.
#[derive(Default)]
pub(super) struct Senders {
    /// What `http` says of each request.
    default: Option<Sender>,
    oauth2: Vec<OAuth2>,
    /// Names of what is the same for all users.
    pub(super) constants: BTreeSet<String>,
    /// Texts that must not be printed, and variables of the environment whose values must not.
    secrets: BTreeSet<String>,
    secret_env: BTreeSet<String>,
}

/// How a request says who sends it.
#[derive(Clone)]
pub(super) enum Sender {
    Header(Template),
    Basic(Template, Template),
    OAuth2(usize),
    AwsSigV4(AwsTemplates),
}

#[derive(Clone)]
pub(super) struct AwsTemplates {
    access_key: Template,
    secret_key: Template,
    session_token: Option<Template>,
    region: Template,
    service: Template,
}

impl Compiler<'_> {
    /// `http.auth`.
    pub(super) fn default_auth(&mut self, field: &Field<AuthForm>) {
        let Some(auth) = field.given() else { return };
        if self.defaults.headers.iter().any(|(name, _)| *name == header::AUTHORIZATION) {
            self.push(
                &auth.range,
                "`http` says twice who sends the requests: here, and in the header `authorization`",
                "keep one of them",
            );
        }
        let (sender, used) = self.using(|compiler| compiler.sender(auth, After::Nothing));
        self.defaults_use(used);
        self.senders.default = sender;
    }

    /// Who sends a request with these headers of its own: `Ok` as a header, `Err` as what is done for each request.
    pub(super) fn auth(
        &mut self,
        field: &Field<AuthForm>,
        own: &[(HeaderName, Template)],
        after: After,
    ) -> Option<Result<Template, Box<Auth>>> {
        let writes_own = own.iter().any(|(name, _)| *name == header::AUTHORIZATION);
        let sender = match field {
            Field::Absent if writes_own => None,
            Field::Absent => self.senders.default.clone(),
            Field::Wrong { .. } => None,
            Field::Given { value, key } => {
                if writes_own {
                    self.push(
                        &key.clone(),
                        "this request says twice who sends it: here, and in the header `authorization`",
                        "keep one of them",
                    );
                }
                self.sender(value, after)
            }
        };
        Some(match sender? {
            Sender::Header(template) => Ok(template),
            Sender::Basic(user, password) => Err(Box::new(Auth::Basic { user, password })),
            Sender::OAuth2(at) => Err(Box::new(Auth::OAuth2(at))),
            Sender::AwsSigV4(keys) => {
                let AwsTemplates { access_key, secret_key, session_token, region, service } = keys;
                Err(Box::new(Auth::AwsSigV4(Box::new(AwsKeys { access_key, secret_key, session_token, region, service }))))
            }
        })
    }

    fn sender(&mut self, auth: &Placed<AuthForm>, after: After) -> Option<Sender> {
        let AuthForm::Some(form) = &auth.value else { return None };
        let AuthRecord { basic, bearer, oauth2, aws_sigv4, .. } = &**form;
        let kinds = [("basic", basic.key()), ("bearer", bearer.key()), ("oauth2", oauth2.key()), ("aws_sigv4", aws_sigv4.key())];
        let mut given: Vec<_> = kinds.into_iter().filter_map(|(name, key)| Some((name, key?.clone()))).collect();
        given.sort_by_key(|(_, key)| key.start);
        match given.as_slice() {
            [] if form.has_odd_keys => return None,
            [] => {
                let hint = "write `basic`, `bearer`, `oauth2` or `aws_sigv4`; `auth: none` for a request without";
                self.push(&auth.range, "this `auth` says nothing", hint);
                return None;
            }
            [(first, _), (second, place), ..] => {
                let message = format!("a request has one sender, but here are `{first}` and `{second}`");
                self.push(place, message, "keep one of them");
                return None;
            }
            [_] => {}
        }
        if let Some(basic) = basic.value() {
            return self.basic(basic, after);
        }
        if let Some(token) = bearer.given() {
            return self.bearer(token, after);
        }
        if let Some(oauth2) = oauth2.value() {
            return self.oauth2(oauth2);
        }
        aws_sigv4.value().and_then(|keys| self.aws_sigv4(keys, after)).map(Sender::AwsSigV4)
    }

    fn basic(&mut self, form: &Basic, after: After) -> Option<Sender> {
        let user = form.user.given().and_then(|user| self.template(user, after));
        let password = self.secret(&form.password, after);
        if let Some(user) = form.user.given().filter(|user| user.value.contains(':') && !user.value.contains("{{")) {
            self.push(
                &user.range,
                "the user of `basic` has no colon: it would end there",
                "write the password behind `password:`",
            );
            return None;
        }
        let (user, password) = (user?, password?);
        match user.as_literal().zip(password.as_literal()).and_then(|(user, password)| basic(user, password)) {
            Some(value) => {
                self.senders
                    .secrets
                    .extend(value.to_str().ok().and_then(|value| value.split_once(' ')).map(|(_, pair)| pair.to_owned()));
                value.to_str().ok().map(|value| Sender::Header(Template::literal(value)))
            }
            None => Some(Sender::Basic(user, password)),
        }
    }

    fn bearer(&mut self, token: &Placed<String>, after: After) -> Option<Sender> {
        let template = self.secret_at(token, after)?;
        if let Some(text) = template.as_literal()
            && (text.trim().is_empty() || HeaderValue::from_str(text).is_err())
        {
            self.push(&token.range, "a token is one line of visible characters", "give it as `env.NAME`, or capture it");
            return None;
        }
        if token.value.trim_start().get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer ")) {
            self.push(&token.range, "`Bearer` is written by otload itself", "give the token alone");
            return None;
        }
        // It has been checked, as it is.
        Template::parse(&format!("Bearer {}", token.value.trim()), &self.names).ok().map(Sender::Header)
    }

    fn oauth2(&mut self, form: &OAuth2Form) -> Option<Sender> {
        let address = form.token_url.given().and_then(|url| {
            let address = self.address_of(url, After::Nothing);
            self.is_constant_text(url).then_some(address).flatten()
        });
        let client_id = self.same_for_all(&form.client_id);
        let client_secret = self.secret(&form.client_secret, After::Nothing);
        let secret_is_constant = form.client_secret.given().is_none_or(|secret| self.is_constant_text(secret));
        let scope = form.scope.given().map(|_| self.same_for_all(&form.scope));
        let audience = form.audience.given().map(|_| self.same_for_all(&form.audience));
        let optional = |given: Option<Option<Template>>| match given {
            None => Some(None),
            Some(template) => template.map(Some),
        };
        let oauth2 = OAuth2 {
            address: address?,
            client_id: client_id?,
            client_secret: client_secret.filter(|_| secret_is_constant)?,
            scope: optional(scope)?,
            audience: optional(audience)?,
            in_body: form.client_auth.value() == Some(&ClientAuth::Body),
        };
        // Those who ask for the same share a token.
        let text = |oauth2: &OAuth2| format!("{oauth2:?}");
        let known = self.senders.oauth2.iter().position(|known| text(known) == text(&oauth2));
        Some(Sender::OAuth2(known.unwrap_or_else(|| {
            self.senders.oauth2.push(oauth2);
            self.senders.oauth2.len() - 1
        })))
    }

    fn aws_sigv4(&mut self, form: &AwsSigV4, after: After) -> Option<AwsTemplates> {
        let mut plain = |field: &Field<String>| field.given().and_then(|text| self.template(text, after));
        let (access_key, region, service) = (plain(&form.access_key), plain(&form.region), plain(&form.service));
        let secret_key = self.secret(&form.secret_key, after);
        let session_token = match &form.session_token {
            Field::Absent => Some(None),
            field => self.secret(field, after).map(Some),
        };
        Some(AwsTemplates {
            access_key: access_key?,
            secret_key: secret_key?,
            session_token: session_token?,
            region: region?,
            service: service?,
        })
    }

    // === constants and secrets ===

    fn same_for_all(&mut self, field: &Field<String>) -> Option<Template> {
        let text = field.given()?;
        let template = self.template(text, After::Nothing)?;
        self.is_constant_text(text).then_some(template)
    }

    /// Whether a template is the same for all users; said if it is not.
    fn is_constant_text(&mut self, text: &Placed<String>) -> bool {
        let Ok(template) = Template::parse(&text.value, &self.names) else { return false };
        let varies = |reference: &&Reference| {
            !matches!(&*reference.root, "env" | "setup" | "run_id") && !self.senders.constants.contains(&*reference.root)
        };
        let Some(reference) = template.references().iter().find(varies) else { return true };
        let place: Range<usize> = inside(&self.source, &text.range, &text.value, reference.range.clone());
        let message = format!("`{}` differs between users, and they all share one token", reference.root);
        self.push(&place, message, "use variables, `env` or `setup` here; for tokens that differ there is `bearer`");
        false
    }

    fn secret(&mut self, field: &Field<String>, after: After) -> Option<Template> {
        field.given().and_then(|text| self.secret_at(text, after))
    }

    /// A template whose text, and what it takes of the environment, is printed nowhere.
    fn secret_at(&mut self, text: &Placed<String>, after: After) -> Option<Template> {
        let template = self.template(text, after)?;
        match template.as_literal() {
            // Words such as `password` stand everywhere.
            Some(literal) if literal.len() >= 6 && !literal.bytes().all(|byte| byte.is_ascii_lowercase()) => {
                self.senders.secrets.insert(literal.to_owned());
            }
            Some(_) => {}
            None => {
                let of_env = template.references().iter().filter(|reference| &*reference.root == "env");
                self.senders.secret_env.extend(of_env.filter_map(|reference| reference.field.as_deref()).map(str::to_owned));
            }
        }
        Some(template)
    }

    /// What of all this must never be printed.
    pub(super) fn senders_secrets(&self) -> Vec<String> {
        let of_env = self.senders.secret_env.iter().filter_map(|name| self.overrides.env.get(name));
        self.senders
            .secrets
            .iter()
            .chain(of_env)
            .filter(|secret| !secret.is_empty())
            .flat_map(|secret| secrets::forms(secret))
            .collect()
    }

    pub(super) fn token_servers(&mut self) -> Vec<OAuth2> {
        std::mem::take(&mut self.senders.oauth2)
    }
}
