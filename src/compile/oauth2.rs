//! `auth: {oauth2: ...}`: a call of its own that fetches the token, keeps it, and renews it when it is refused.

use std::time::Duration;

use smol_str::SmolStr;

use super::Compiler;
use crate::diagnostic::{Code, Diagnostic};
use crate::expression::{Call as CallUse, Condition, Expr, Key, Query, Root, Scope, Template, Test, Value};
use crate::plan::{
    Auth, Body, Cache, Call, CallAction, CallStep, Exchange, Grant, Lets, Memo, Owner, Request, Response,
};
use crate::spec;

/// What a token may need to know: it belongs to the channel, not to a message.
const CHANNEL: &[Scope] = &[Scope::Config, Scope::Deployment, Scope::Channel, Scope::Store];
/// Under which name a channel remembers the refresh token that replaced the one it was given.
const REFRESH_TOKEN: &str = "oauth2_refresh_token";
/// How long a token is good where the provider does not say, in seconds.
const USUALLY: i128 = 3600;
/// How much earlier it counts as used up.
const MARGIN: Duration = Duration::from_mins(1);
/// The status that shows that a token is no good any more.
const UNAUTHORIZED: u16 = 401;

impl Compiler<'_> {
    /// The token of a call that belongs to this `auth`; the same for every request that has it.
    pub(super) fn oauth2(&mut self, http: Option<&spec::Http>, oauth2: &spec::OAuth2) -> Auth {
        let explicit = self.calls.as_ref().map_or(0, super::Calls::count);
        let known = self.tokens.iter().position(|(span, _)| *span == oauth2.span);
        let place = known.unwrap_or_else(|| {
            let call = self.token_call(http, oauth2);
            self.tokens.push((oauth2.span, call));
            self.tokens.len() - 1
        });
        let name = self.tokens.get(place).map(|(_, call)| call.name.clone()).unwrap_or_default();
        Auth::Bearer(Template::Call(Box::new(CallUse {
            index: explicit + place,
            name,
            arguments: Template::Map(Box::default()),
            when: None,
            on_error: None,
        })))
    }

    fn token_call(&mut self, http: Option<&spec::Http>, oauth2: &spec::OAuth2) -> Call {
        let names = self.names(CHANNEL);
        let grant = oauth2.grant.unwrap_or(Grant::ClientCredentials);
        let rotates = grant == Grant::RefreshToken;
        if rotates != oauth2.refresh_token.is_some() && !oauth2.shape.is_unread("refresh_token") {
            let span = oauth2.shape.key(if rotates { "grant" } else { "refresh_token" }, oauth2.span);
            let message = "`refresh_token` and `grant: refresh_token` need each other";
            self.out.push(Diagnostic::new(Code::InvalidValue, span, message));
        }
        let fixed = |name: &str, value: Template| (Key::Fixed(SmolStr::new(name)), value);
        let id = self.value(&oauth2.client_id.0, &names);
        let secret = self.optional_value(oauth2.client_secret.as_ref(), &names);
        let mut form = vec![fixed("grant_type", Template::Literal(Value::text(grant.as_str())))];
        let in_header = oauth2.basic.is_some_and(|flag| flag.0);
        if !in_header {
            form.extend([fixed("client_id", id.clone()), fixed("client_secret", secret.clone())]);
        }
        if rotates {
            // What replaced the token that the channel was given.
            self.memory.read.mark();
            let steps = [SmolStr::new_static("channel"), SmolStr::new_static(REFRESH_TOKEN)];
            let latest = Expr::Path { root: Root::Scope(Scope::Store), steps: steps.into() };
            let given = self.optional_value(oauth2.refresh_token.as_ref(), &names);
            form.push(fixed("refresh_token", Template::First([Template::Expression(latest), given].into())));
        }
        form.push(fixed("scope", self.optional_value(oauth2.scope.as_ref(), &names)));
        for (name, raw) in &oauth2.params.0 {
            form.push((Key::Fixed(name.value.clone()), self.value(&raw.0, &names)));
        }
        let request = Request {
            target: self.target(http, &oauth2.token_url, &names),
            method: None,
            query: Vec::new(),
            headers: Vec::new(),
            auth: if in_header { Auth::Basic(id, secret) } else { Auth::None },
            body: Body::Form(Template::Map(form.into())),
            sign: None,
            media: self.media,
        };
        let token = path("$.access_token");
        let response = Response {
            ok: Some(Condition::All([(token.clone(), Test::Present)].into())),
            returns: Some(token),
            error_code: Some(path("$.error")),
            error_message: Some(path("$.error_description")),
            remember: if rotates { vec![refresh_token()] } else { Vec::new() },
            ..Response::default()
        };
        let exchange = Exchange { request, response, repeat: None };
        let action = CallAction::Exchange(Box::new(exchange));
        let number = self.tokens.len();
        Call {
            name: if number == 0 { "oauth2".into() } else { format!("oauth2 {}", number + 1).into() },
            steps: vec![CallStep { result: None, when: None, lets: Lets::default(), action }],
            cache: Some(Cache {
                key: None,
                ttl: Template::First([path("$.expires_in"), Template::Literal(Value::Int(USUALLY))].into()),
                margin: MARGIN,
                negative_ttl: None,
                persist: rotates,
                refresh_statuses: vec![UNAUTHORIZED],
                refresh_when: None,
            }),
        }
    }
}

/// A refresh token that comes with an access token replaces the one that was used.
fn refresh_token() -> Memo {
    Memo { owner: Owner::Channel, name: REFRESH_TOKEN.into(), value: path("$.refresh_token"), ttl: None }
}

fn path(text: &'static str) -> Template {
    Query::compile(text).map_or(Template::Literal(Value::Null), Template::Path)
}
