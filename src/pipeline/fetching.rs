//! A file that the platform can't fetch itself: the calls that its URL and its credentials need, handed out one by
//! one, and the request that downloads it.
//!
//! Invariant: credentials go to the hosts of `fetch.only_hosts` alone, never to a place that another host led to, and
//! never over a connection that is less private than the one before.

use std::sync::Arc;
use std::time::Duration;

use smol_str::SmolStr;
use url::Url;

use super::calling::{CallProgress, CallStep, Calling};
use super::receive::enter;
use super::sending::Outcome;
use crate::call::{CallCache, Outgoing, Response, TransportError, build, glob};
use crate::expression::{Call, Env, Failure, Scope, Template, Value};
use crate::memory::{Memory, Remember};
use crate::message::{Fault, Source};
use crate::plan::{Channel, Fetch, Plan};
use crate::world::World;

/// The most redirects.
const REDIRECTS: usize = 5;

/// What is to be done next for a file.
#[derive(Debug)]
pub enum NextFetch {
    /// Send this request of a call and tell [`Fetching::answer`] what came of it.
    Request(Box<Outgoing>),
    /// Somebody else is making a call that this file needs: wait for it ([`CallCache::wait`]), then go on.
    Wait(String),
    /// Go on after so many milliseconds: the provider is not done yet.
    Pause(u64),
    /// Download the file with this request.
    Download(Box<Outgoing>),
    /// It can't be had now, for this reason; maybe after so many milliseconds.
    Later(Fault, Option<u64>),
    /// It can't be had.
    Failed(Fault),
}

/// A file on its way.
pub struct Fetching<'p, 'w> {
    plan: &'p Plan,
    source: Source,
    calling: Calling<'p, 'w>,
    env: Env<'w>,
    timeout: Duration,
    /// Where the file is, once that is known.
    at: Option<Url>,
    /// Whether the way there led over no other host.
    trusted: bool,
    redirects: usize,
    /// The answers of calls that the request was made with.
    used: Vec<String>,
    refreshed: bool,
    ended: Option<Outcome>,
}

impl<'p, 'w> Fetching<'p, 'w> {
    /// A file of a channel. `cache` has the values of calls that are used again.
    pub fn new(
        plan: &'p Plan,
        channel: &Channel,
        source: Source,
        cache: Arc<CallCache>,
        world: &'w World,
        timeout: Duration,
    ) -> Self {
        let mut env = Env::new(world);
        enter(channel, &mut env);
        let calling = Calling::new(plan, channel, cache, CallProgress::default(), world, timeout);
        Self {
            plan,
            source,
            calling,
            env,
            timeout,
            at: None,
            trusted: true,
            redirects: 0,
            used: Vec::new(),
            refreshed: false,
            ended: None,
        }
    }

    /// The same with what the channel remembers.
    #[must_use]
    pub fn about(mut self, memory: Memory) -> Self {
        self.calling = self.calling.about(SmolStr::default(), memory);
        self
    }

    /// What is to be remembered because of the requests of calls.
    pub fn remembered(&self) -> &[Remember] {
        self.calling.remembered()
    }

    /// What is to be done next.
    pub fn step(&mut self) -> NextFetch {
        loop {
            match self.ended.take() {
                None => {}
                Some(Outcome::Later { after }) => return NextFetch::Pause(after),
                Some(Outcome::Retry { fault, after } | Outcome::Throttled { fault, after }) => {
                    return NextFetch::Later(fault, after);
                }
                Some(Outcome::Failed { fault } | Outcome::OptOut { fault }) => {
                    return NextFetch::Failed(fault);
                }
                Some(Outcome::Sent { .. }) => {}
            }
            match self.calling.step() {
                CallStep::Idle => {}
                CallStep::Request(request) => return NextFetch::Request(request),
                CallStep::Wait(key) => return NextFetch::Wait(key),
            }
            let made = self.prepare();
            let failure = match made {
                Ok(request) => return NextFetch::Download(Box::new(request)),
                Err(failure) => failure,
            };
            let wanted = self.env.answers.wanted.take();
            let result = wanted.map_or(Err(failure), |wanted| self.calling.want(wanted));
            if let Err(failure) = result {
                let fault = self.env.answers.fault.take();
                return NextFetch::Failed(
                    fault.unwrap_or(Fault { code: "mapping".into(), message: failure.0 }),
                );
            }
        }
    }

    /// Tells what came of the request of a call that [`Fetching::step`] handed out.
    pub fn answer(&mut self, answer: Result<Response, TransportError>) {
        self.ended = self.calling.answer(answer);
    }

    /// The file is elsewhere: [`Fetching::step`] goes on there.
    pub fn redirect(&mut self, location: &str) -> Result<(), Failure> {
        let Some(at) = &self.at else { return Err(Failure("there is nothing to be redirected".into())) };
        self.redirects += 1;
        if self.redirects > REDIRECTS {
            return Err(Failure(format!("more than {REDIRECTS} redirects")));
        }
        let next = at.join(location).map_err(|error| Failure(format!("the redirect: {error}")))?;
        let downgraded = at.scheme() == "https" && next.scheme() != "https";
        self.trusted &= !downgraded;
        self.at = Some(next);
        Ok(())
    }

    /// The provider refused the download. Whether it is worth another try, from the start, since a value that was
    /// kept from before may have been why; once.
    pub fn refused(&mut self) -> bool {
        if self.refreshed || !self.calling.forget(&self.used) {
            return false;
        }
        self.refreshed = true;
        self.used.clear();
        self.at = None;
        self.trusted = true;
        self.redirects = 0;
        true
    }

    /// The request that downloads the file.
    fn prepare(&mut self) -> Result<Outgoing, Failure> {
        self.calling.inform(&mut self.env);
        let at = match &self.at {
            Some(at) => at.clone(),
            None => self.place()?,
        };
        let fetch = &self.plan.fetch;
        let trusted = self.trusted && is_own(fetch, &at, &mut self.env)?;
        self.env.set(Scope::It, Value::record([("url", Value::text(at.as_str()))]));
        let request = if trusted { &fetch.with } else { &fetch.without };
        let made = build(request, self.timeout, &mut self.env);
        self.env.set(Scope::It, Value::Null);
        let made = made?;
        self.used.append(&mut self.env.answers.used);
        self.trusted = trusted;
        self.at = Some(at);
        Ok(made)
    }

    /// Where the file is.
    fn place(&mut self) -> Result<Url, Failure> {
        let url = match &self.source {
            Source::Url { url } => url.as_str().into(),
            Source::Call { call, arguments } => {
                let Some(index) = self.plan.calls.iter().position(|known| known.name == *call) else {
                    return Err(Failure(format!("the mapping does not have the call `{call}` any more")));
                };
                let arguments = Template::Literal(arguments.clone());
                let name = call.clone();
                let call = Call { index, name, arguments, when: None, on_error: None };
                Template::Call(Box::new(call)).eval(&mut self.env)?.to_text()
            }
        };
        let url = Url::parse(&url).map_err(|error| Failure(format!("the URL of the file: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Failure(format!("the URL of the file is not http or https, but {}", url.scheme())));
        }
        Ok(url)
    }
}

/// Whether a URL is at one of the hosts of a mapping that get its credentials.
pub fn wants_credentials(plan: &Plan, channel: &Channel, url: &str, world: &World) -> bool {
    if plan.fetch.only_hosts.is_empty() {
        return false;
    }
    let mut env = Env::new(world);
    enter(channel, &mut env);
    Url::parse(url).is_ok_and(|url| is_own(&plan.fetch, &url, &mut env).unwrap_or(false))
}

fn is_own(fetch: &Fetch, url: &Url, env: &mut Env<'_>) -> Result<bool, Failure> {
    let (Some(host), "http" | "https") = (url.host_str(), url.scheme()) else { return Ok(false) };
    for own in &fetch.only_hosts {
        let own = own.eval(env)?.to_text().to_lowercase();
        let fits = match own.rsplit_once(':').filter(|(_, port)| port.bytes().all(|c| c.is_ascii_digit())) {
            Some((own, port)) => {
                glob(own, host) && url.port_or_known_default().is_some_and(|it| it.to_string() == port)
            }
            None => glob(&own, host),
        };
        if fits && !own.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}
