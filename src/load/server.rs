//! The bounds of the server.

use std::time::Duration;

use crate::diagnostic::{Code, Diagnostic, Diagnostics, Span};
use crate::plan::Network;
use crate::spec;

/// The smallest bound for the head of a request, in bytes, that the HTTP server takes.
const SMALLEST_HEAD: usize = 8192;

/// The bounds of the server.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// The largest request body, in bytes.
    pub max_body: usize,
    /// The most that the bodies of all requests that are not answered yet may take together, in bytes.
    pub max_bodies: usize,
    /// The largest head of a request, in bytes.
    pub max_head: usize,
    /// How long the head of a request may take.
    pub head_timeout: Duration,
    /// How long the body may take.
    pub body_timeout: Duration,
    /// How many connections may be open.
    pub connections: usize,
    /// How long a shutdown waits for what is under way.
    pub drain: Duration,
    /// The proxies that are believed when they say whom they speak for.
    pub trusted_proxies: Vec<Network>,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            max_body: 1 << 20,
            max_bodies: 64 << 20,
            max_head: 32 << 10,
            head_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_secs(30),
            connections: 10_000,
            drain: Duration::from_secs(25),
            trusted_proxies: Vec::new(),
        }
    }
}

/// The bounds that an installation gives; `start` is where it begins.
pub(super) fn server(spec: &spec::Server, start: Span, out: &mut Diagnostics) -> ServerSettings {
    let default = ServerSettings::default();
    let count = |count: Option<spec::Count>, default: usize| {
        count.map_or(default, |count| usize::try_from(count.0).unwrap_or(usize::MAX))
    };
    let time = |time: Option<spec::Duration>, default: Duration| time.map_or(default, |time| time.0);
    let max_head = count(spec.max_head, default.max_head);
    if max_head < SMALLEST_HEAD {
        let span = spec.shape.key("max_head", start);
        let problem = Diagnostic::new(Code::InvalidValue, span, "many requests would not fit");
        out.push(problem.help(format!("write at least {SMALLEST_HEAD}")));
    }
    let trusted_proxies = spec.trusted_proxies.iter().flatten().filter_map(|text| {
        let network = Network::parse(&text.value);
        if network.is_none() {
            let message = "this is neither an IP address nor a network";
            let problem = Diagnostic::new(Code::InvalidValue, text.span, message);
            out.push(problem.help("write `192.0.2.7`, `192.0.2.0/24` or `\"2001:db8::/32\"`"));
        }
        network
    });
    ServerSettings {
        trusted_proxies: trusted_proxies.collect(),
        max_body: count(spec.max_body, default.max_body),
        max_bodies: count(spec.max_bodies, default.max_bodies),
        max_head,
        head_timeout: time(spec.head_timeout, default.head_timeout),
        body_timeout: time(spec.body_timeout, default.body_timeout),
        connections: count(spec.connections, default.connections),
        drain: time(spec.drain, default.drain),
    }
}
