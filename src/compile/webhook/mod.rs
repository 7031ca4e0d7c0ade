//! Webhooks: routes, proofs, answers, rules.

mod answer;
mod decode;
mod emission;
mod proof;
mod route;
mod rule;

use smol_str::SmolStr;

use self::answer::unspecified;
use self::route::same_path;
use super::Compiler;
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::expression::Scope;
use crate::plan::{Rule, Segment, Verify, Webhook};
use crate::spec;

const SHARED: &[Scope] = &[Scope::It, Scope::Root, Scope::Request, Scope::Deployment];
const CHANNEL: &[Scope] =
    &[Scope::It, Scope::Root, Scope::Request, Scope::Deployment, Scope::Config, Scope::Channel];

impl Compiler<'_> {
    /// Judges what holds for all webhooks or requests where there are none that it would hold for.
    pub(super) fn defaults(&mut self, spec: &spec::Mapping) {
        if spec.webhooks.is_empty() {
            let names = self.names(CHANNEL);
            spec.verify.iter().for_each(|verify| drop(self.verify(verify, &names)));
        }
        if let (Some(http), None) = (&spec.http, &spec.send) {
            self.unused_http(http);
        }
    }

    pub(super) fn webhooks(&mut self, spec: &spec::Mapping) -> Vec<Webhook> {
        let mut seen: Vec<(SmolStr, bool, Vec<Segment>, Span)> = Vec::new();
        let mut webhooks = Vec::new();
        for webhook in &spec.webhooks {
            let shared = webhook.shared.is_some_and(|flag| flag.0);
            // A webhook without a sound route has other things that are worth to be told.
            let route = (!webhook.shape.is_unread("route")).then(|| self.route(&webhook.route, shared));
            let (methods, path) = route.flatten().unwrap_or_default();
            for method in &methods {
                let same =
                    seen.iter().find(|(m, s, p, _)| m == method && *s == shared && same_path(p, &path));
                if let Some((_, _, _, first)) = same {
                    let problem = Diagnostic::new(
                        Code::DuplicateRoute,
                        webhook.route.span,
                        "this route is there already",
                    );
                    self.out.push(problem.label("the second").secondary(*first, "the first"));
                }
                seen.push((method.clone(), shared, path.clone(), webhook.route.span));
            }
            webhooks.push(self.webhook(spec, webhook, methods, path, shared));
        }
        webhooks
    }

    fn webhook(
        &mut self,
        spec: &spec::Mapping,
        webhook: &spec::Webhook,
        methods: Vec<SmolStr>,
        path: Vec<Segment>,
        shared: bool,
    ) -> Webhook {
        let outer = self.names(if shared { SHARED } else { CHANNEL }).prompt();
        let inner = self.names(CHANNEL).with(&[Scope::Store]).prompt();
        let verify: Vec<Verify> = spec
            .verify
            .iter()
            .chain(&webhook.verify)
            .filter_map(|verify| self.verify(verify, &outer))
            .collect();
        let told = spec.shape.is_unread("verify") || webhook.shape.is_unread("verify");
        if verify.is_empty() && spec.verify.is_empty() && webhook.verify.is_empty() && !told {
            let problem = Diagnostic::new(
                Code::UnverifiedRoute,
                webhook.route.span,
                "nothing proves who calls this route",
            );
            let problem = problem.label("anybody who knows the URL can post to it");
            self.out.push(problem.help("add `verify:` with the provider's signature or a shared secret"));
        }
        if shared
            && webhook.channel.is_none()
            && webhook.reply.is_none()
            && !webhook.shape.is_unread("channel")
        {
            let message = "a shared route needs `channel:`, which says where the payload names the channel";
            self.out.push(Diagnostic::new(Code::MissingKey, webhook.route.span, message));
        }
        if let Some(channel) = &webhook.channel {
            if !shared {
                let problem = Diagnostic::new(
                    Code::InvalidValue,
                    webhook.shape.key("channel", channel.span),
                    "`channel` is for shared routes",
                );
                self.out.push(problem.help("add `shared: true`, or leave `channel` out"));
            }
            if !self.address {
                let problem = Diagnostic::new(
                    Code::MissingKey,
                    channel.span,
                    "no `config` item is the channel's address",
                );
                self.out.push(problem.help("mark the one that the payload names with `address: true`"));
            }
        }
        let reply = webhook.reply.as_ref().and_then(|raw| self.reply(&raw.0, &outer));
        let unread = ["reply", "events"].into_iter().any(|key| webhook.shape.is_unread(key));
        if webhook.reply.is_none() && webhook.events.is_empty() && !unread {
            let problem = Diagnostic::new(Code::MissingKey, webhook.route.span, "this webhook does nothing");
            self.out.push(problem.help("add `events:`, or `reply:` for a handshake"));
        }
        let ack = webhook.ack.as_ref();
        let mut names = inner.clone();
        let rule_spec = (&webhook.unique, &webhook.when, &webhook.r#let, &webhook.ignore);
        if webhook.shape.is_unread("let") {
            names.open();
        }
        let (unique, when, lets, ignore) = self.head(rule_spec, &mut names);
        let rules = webhook.events.iter().map(|rule| self.rule(rule, &names)).collect();
        let ok = ack.and_then(|ack| ack.ok.as_ref()).map(|answer| self.answer(answer, &outer));
        let ignored = ack.and_then(|ack| ack.ignored.as_ref()).map(|answer| self.answer(answer, &outer));
        Webhook {
            methods,
            path,
            shared,
            address: webhook.channel.as_ref().map(|channel| self.value(&channel.address.0, &outer)),
            decode: webhook
                .decode
                .as_ref()
                .map(|decode| self.decoding(&decode.0, &outer))
                .unwrap_or_default(),
            verify,
            reply,
            ack_ok: ok.unwrap_or_else(unspecified),
            ack_ignored: ignored.unwrap_or_else(unspecified),
            ack_error: ack.and_then(|ack| ack.error.as_ref()).map(|answer| self.refusal(answer, &outer)),
            require: self.optional_condition(webhook.require.as_ref(), &outer),
            each: webhook.each.as_ref().map(|raw| self.value(&raw.0, &outer)),
            rule: Rule { unique, when, lets, ignore, rules, ..Rule::default() },
        }
    }
}
