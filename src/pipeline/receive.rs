//! A webhook request to canonical events and an answer.

use std::sync::Arc;

use smol_str::SmolStr;

use super::answer::{Reply, answer};
use super::decode::{decode, unseal};
use super::emit::Emitter;
use super::incoming::Incoming;
use super::trace::Trace;
use super::verify::verify;
use crate::expression::{Env, Failure, Scope, Turn, Value};
use crate::memory::Remember;
use crate::message::{Event, Piece};
use crate::plan::{Channel, Plan, Webhook};
use crate::world::{Millis, World};

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It carried events.
    Accepted,
    /// It carried none.
    Ignored,
    /// It was refused.
    Rejected,
    /// It asked for an answer and got it.
    Replied,
}

impl Verdict {
    /// `accepted`, `ignored`, `rejected` or `replied`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Ignored => "ignored",
            Self::Rejected => "rejected",
            Self::Replied => "replied",
        }
    }
}

/// An event and the channel that it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Routed {
    /// The channel's name.
    pub channel: SmolStr,
    /// The event.
    pub event: Event,
    /// How it is delivered.
    pub terms: Terms,
}

/// How an event is delivered, and what goes with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// How long it waits, in milliseconds.
    pub delay: Millis,
    /// The provider's id of a message: if it was sent by us, the event is dropped.
    pub unless_sent: Option<String>,
    /// Of which message it is only a piece.
    pub piece: Option<Piece>,
    /// What is remembered with it.
    pub remember: Vec<Remember>,
    /// Where its node is in the webhook, if something that it says is not known yet: it is made again when it is
    /// delivered.
    pub deferred: Option<Vec<usize>>,
}

/// That a webhook asks for a poll.
#[derive(Clone, Debug, PartialEq)]
pub struct Poked {
    /// The channel's name.
    pub channel: SmolStr,
    /// The poll.
    pub poll: SmolStr,
    /// A map of what its request is given.
    pub with: Value,
}

/// What a request came to.
#[derive(Debug)]
pub struct Received {
    /// What is answered once the events are safe.
    pub reply: Reply,
    /// What became of it.
    pub verdict: Verdict,
    /// Why, where that is not obvious.
    pub reason: Option<String>,
    /// The events.
    pub events: Vec<Routed>,
    /// The polls that are to be run at once.
    pub polls: Vec<Poked>,
    /// What is remembered without an event.
    pub remember: Vec<Remember>,
    /// Why the mapping could not understand it, or all of it: the request is to be kept for a replay.
    pub parked: Option<String>,
}

impl Received {
    fn rejected(status: u16, reason: String) -> Self {
        Self {
            reply: Reply::error(status, &reason),
            verdict: Verdict::Rejected,
            reason: Some(reason),
            events: Vec::new(),
            polls: Vec::new(),
            remember: Vec::new(),
            parked: None,
        }
    }
}

/// Finds channels by the address that a payload names.
pub trait Directory: Sync {
    /// The channel of this mapping with that address.
    fn by_address(&self, mapping: &str, address: &str) -> Option<Arc<Channel>>;
}

/// The webhook that a request is for, with what its path binds.
#[derive(Debug)]
pub struct Route<'p> {
    /// The webhook.
    pub webhook: &'p Webhook,
    /// The bound names with their values.
    pub params: Vec<(SmolStr, SmolStr)>,
}

/// Why a request is for no webhook.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// No webhook has that path.
    #[error("there is no route `{route}`; the routes are {known}")]
    Path {
        /// The path.
        route: String,
        /// Those that there are.
        known: String,
    },
    /// The path is there, for other methods.
    #[error("the route `{route}` takes {known}, not {method}")]
    Method {
        /// The path.
        route: String,
        /// The methods that it takes.
        known: String,
        /// The method of the request.
        method: String,
    },
}

/// The webhook of a mapping that a request is for.
pub fn find_route<'p>(plan: &'p Plan, shared: bool, method: &str, route: &str) -> Result<Route<'p>, NoRoute> {
    let of_kind = || plan.webhooks.iter().filter(|webhook| webhook.shared == shared);
    let matching = of_kind().filter_map(|webhook| Some(Route { webhook, params: webhook.matches(route)? }));
    let (fitting, others): (Vec<_>, Vec<_>) =
        matching.partition(|route| route.webhook.methods.iter().any(|known| known == method));
    // A fixed path is meant before one that binds a name.
    if let Some(best) = fitting.into_iter().min_by_key(|route| route.webhook.openness()) {
        return Ok(best);
    }
    let route = route.to_string();
    if others.is_empty() {
        let known: Vec<_> = of_kind().map(|webhook| format!("`{}`", webhook.route())).collect();
        let known = if known.is_empty() { "none".into() } else { known.join(", ") };
        return Err(NoRoute::Path { route, known });
    }
    let known: Vec<_> =
        others.iter().flat_map(|route| route.webhook.methods.iter().map(SmolStr::as_str)).collect();
    Err(NoRoute::Method { route, known: known.join(", "), method: method.into() })
}

/// Where a request arrives.
pub struct Site<'a> {
    /// The mapping.
    pub plan: &'a Plan,
    /// The channel whose URL was called; none for a shared route.
    pub channel: Option<&'a Channel>,
    /// The mapping's `deployment`.
    pub deployment: &'a Value,
    /// The channels that a shared route may be for.
    pub directory: &'a dyn Directory,
    /// Time and randomness.
    pub world: &'a World,
}

/// Takes one request through all stages.
pub fn receive(site: &Site<'_>, route: Route<'_>, request: &Incoming, trace: &mut Option<Trace>) -> Received {
    take(site, route, request, Proven::Now, trace)
}

/// Takes a request through all stages but the proofs, once more. Only for what comes out of the journal: it was proven
/// when it came, and can't be again, since the journal keeps no header that proves something.
pub fn receive_again(site: &Site<'_>, route: Route<'_>, request: &Incoming) -> Received {
    take(site, route, request, Proven::Before, &mut None)
}

/// When a request is proven to be the provider's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proven {
    Now,
    Before,
}

fn take(
    site: &Site<'_>,
    route: Route<'_>,
    request: &Incoming,
    proven: Proven,
    trace: &mut Option<Trace>,
) -> Received {
    let Route { webhook, params } = route;
    site.world.reach(webhook);
    let mut env = Env::new(site.world);
    env.answers.deferring = true;
    env.set(Scope::Deployment, site.deployment.clone());
    env.set(Scope::Request, request.scope(params));
    if let Some(channel) = site.channel {
        enter(channel, &mut env);
    }
    // Proofs may look at the body, so it is decoded first, as far as that takes no secret; a body that can't be is
    // refused only after they held.
    let decoded = decode(&webhook.decode, request, &mut env);
    if proven == Proven::Now
        && let Err(refused) = verify(&webhook.verify, &mut env)
    {
        return Received::rejected(refused.status, refused.reason);
    }
    let decoded = decoded.and_then(|()| unseal(&webhook.decode, &mut env));
    note(trace, "verified", || Value::Bool(true));
    // A handshake often has no body at all; one that the mapping says how to read must be readable.
    let readable = decoded.is_ok() || webhook.decode.is_guess();
    if let Some(reply) = webhook.reply.as_ref().filter(|_| readable) {
        return match answer(reply, &mut env) {
            Ok(reply) => Received {
                reply,
                verdict: Verdict::Replied,
                reason: None,
                events: Vec::new(),
                polls: Vec::new(),
                remember: Vec::new(),
                parked: None,
            },
            Err(failure) => Received::rejected(400, failure.0),
        };
    }
    if let Err(reason) = decoded {
        return refused_body(webhook, reason, &mut env);
    }
    let body = env.scope(Scope::It).clone();
    note(trace, "decoded", || body.clone());
    let mut emitter = Emitter::default();
    match webhook.require.as_ref().map_or(Ok(true), |require| require.holds(&mut env)) {
        Ok(true) => {}
        Ok(false) => {
            return refused_body(webhook, "the request lacks what the mapping requires".into(), &mut env);
        }
        Err(failure) => {
            emitter.failed = Some(failure.0);
            return finish(webhook, body, emitter, env);
        }
    }
    if let Err(failure) = nodes(site, webhook, &mut env, &mut emitter) {
        emitter.failed.get_or_insert(failure.0);
    }
    finish(webhook, body, emitter, env)
}

/// Makes events of a webhook that was proven to be the provider's; why not, where it can't be read.
pub(super) fn evaluate(
    site: &Site<'_>,
    Route { webhook, params }: Route<'_>,
    request: &Incoming,
    mut emitter: Emitter,
    env: &mut Env<'_>,
) -> Result<Emitter, String> {
    env.set(Scope::Deployment, site.deployment.clone());
    env.set(Scope::Request, request.scope(params));
    if let Some(channel) = site.channel {
        enter(channel, env);
    }
    decode(&webhook.decode, request, env)?;
    unseal(&webhook.decode, env)?;
    if let Err(failure) = nodes(site, webhook, env, &mut emitter) {
        emitter.failed.get_or_insert(failure.0);
    }
    Ok(emitter)
}

/// Applies the webhook's rules to each of its nodes.
fn nodes(
    site: &Site<'_>,
    webhook: &Webhook,
    env: &mut Env<'_>,
    emitter: &mut Emitter,
) -> Result<(), Failure> {
    let list = match &webhook.each {
        Some(each) => each.eval(env)?,
        None => Value::list(vec![env.scope(Scope::It).clone()]),
    };
    let items = match &list {
        Value::List(items) => items.as_slice(),
        Value::Null => &[],
        other => std::slice::from_ref(other),
    };
    for (index, item) in items.iter().enumerate() {
        if emitter.reply.is_some() {
            break;
        }
        env.set(Scope::It, item.clone());
        env.turn = Turn { index, count: items.len() };
        if emitter.enter(index) {
            node(site, webhook, env, emitter);
        }
        emitter.leave();
    }
    Ok(())
}

/// Applies the webhook's rules to the current node.
fn node(site: &Site<'_>, webhook: &Webhook, env: &mut Env<'_>, emitter: &mut Emitter) {
    let Some(address) = &webhook.address else {
        let name = site.channel.map(|channel| channel.name.clone()).unwrap_or_default();
        emitter.node(&webhook.rule, &name, env);
        return;
    };
    let address = match address.eval(env) {
        Ok(address) => address.to_text(),
        Err(failure) => {
            emitter.failed.get_or_insert(failure.0);
            return;
        }
    };
    if address.is_empty() {
        emitter.ignored.get_or_insert_with(|| "the payload names no channel".into());
        return;
    }
    match site.directory.by_address(&site.plan.name, &address) {
        Some(channel) => {
            enter(&channel, env);
            emitter.node(&webhook.rule, &channel.name, env);
        }
        None => {
            emitter.ignored.get_or_insert_with(|| format!("no channel has the address `{address}`"));
        }
    }
}

/// Answers, once the rules have run.
fn finish(webhook: &Webhook, body: Value, emitter: Emitter, mut env: Env<'_>) -> Received {
    let Emitter { events, polls, remember, ignored, failed, reply, ack, .. } = emitter;
    env.set(Scope::It, body);
    env.turn = Turn::default();
    let nothing = events.is_empty() && polls.is_empty() && remember.is_empty();
    let verdict = match (nothing, &failed, &reply) {
        (true, None, Some(_)) => Verdict::Replied,
        (true, None, None) => Verdict::Ignored,
        _ => Verdict::Accepted,
    };
    let chosen = if verdict == Verdict::Accepted { &webhook.ack_ok } else { &webhook.ack_ignored };
    let mut parked = failed;
    let made = reply.or(ack).map_or_else(|| answer(chosen, &mut env), Ok);
    let reply = made.unwrap_or_else(|failure| {
        parked.get_or_insert(format!("the answer: {failure}"));
        Reply::json(200, &Value::map::<SmolStr>([]))
    });
    let reason = match (&parked, verdict) {
        (Some(reason), _) => Some(format!("parked: {reason}")),
        (None, Verdict::Ignored) => ignored.or_else(|| Some("no rule applies".into())),
        (None, _) => None,
    };
    Received { reply, verdict, reason, events, polls, remember, parked }
}

/// Answers a request that is proven to be the provider's and can't be read. Where the mapping answers a success,
/// the provider will not send it again, so it is parked.
fn refused_body(webhook: &Webhook, reason: String, env: &mut Env<'_>) -> Received {
    let mut received = Received::rejected(400, reason.clone());
    if let Some(Ok(reply)) = webhook.ack_error.as_ref().map(|error| answer(error, env)) {
        received.parked = (reply.status < 300).then_some(reason);
        received.reply = reply;
    }
    received
}

/// Makes a channel's values visible.
pub fn enter(channel: &Channel, env: &mut Env<'_>) {
    env.set(Scope::Channel, channel.scope.clone());
    env.set(Scope::Config, channel.config.clone());
    env.set(Scope::Deployment, channel.deployment.clone());
}

fn note(trace: &mut Option<Trace>, stage: &'static str, value: impl FnOnce() -> Value) {
    if let Some(trace) = trace {
        trace.note(stage, value());
    }
}
