//! `patchcord.yaml`: this installation, with its secrets resolved.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use smol_str::SmolStr;

use super::mappings::{Library, read_source};
use super::server::{ServerSettings, server};
use crate::call::NetworkPolicy;
use crate::compile;
use crate::diagnostic::{Code, Diagnostic, Diagnostics, Span, suggest};
use crate::expression::{Map, Value};
use crate::message::Status;
use crate::plan::{
    BadConfig, Channel, ChannelFacts, ConfigField, ConfigType, Limits, Plan, Rate, Retry, SHORTEST_TTL,
};
use crate::platform::{LARGEST_BATCH, PlatformChannel, Token};
use crate::spec::{self, FromNode, Raw};
use crate::store::{self, Retention};
use crate::world::Millis;
use crate::yaml::{self, Node, Text};

/// The shortest key that things are signed with, in characters.
const SHORTEST_KEY: usize = 16;
/// How long what was sent is kept.
const KEEP: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long what needs an operator is kept.
const KEEP_DEAD: Duration = Duration::from_secs(30 * 24 * 3600);

/// An installation that can be run.
#[derive(Debug)]
pub struct Settings {
    /// Where the server listens.
    pub listen: String,
    /// The URL under which it is reached, without a slash at its end.
    pub public_url: String,
    /// Where messages are kept.
    pub store: String,
    /// What outgoing requests may reach.
    pub network: NetworkPolicy,
    /// The bounds of the server.
    pub server: ServerSettings,
    /// The URLs under which the platform fetches files.
    pub media: MediaSettings,
    /// How long messages that were sent, and webhooks, are kept.
    pub keep: Duration,
    /// How long dead letters and parked webhooks are kept.
    pub keep_dead: Duration,
    /// The API for operators; none where it is off.
    pub admin: Option<AdminSettings>,
    /// The channels.
    pub channels: Vec<ChannelSettings>,
}

impl Settings {
    /// How long the store keeps things.
    pub fn retention(&self) -> Retention {
        let millis = |time: Duration| Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX);
        let (keep, lost) = (millis(self.keep), millis(self.keep_dead));
        Retention { settled: keep, journal: keep, lost, ..Retention::default() }
    }
}

/// The API for operators.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    /// Where it listens.
    pub listen: String,
    /// What callers prove themselves with; none where it is only for this machine.
    pub token: Option<Token>,
}

/// The URLs under which the platform fetches files that want a provider's credentials.
#[derive(Clone)]
pub struct MediaSettings {
    /// What they are signed with: the first signs, all are good. None: a key is made and kept in the store.
    pub keys: Vec<String>,
    /// How long they are good, at most.
    pub ttl: Duration,
    /// The largest file, in bytes.
    pub max: u64,
    /// How many files are passed on at the same time.
    pub at_once: usize,
}

impl Default for MediaSettings {
    fn default() -> Self {
        Self { keys: Vec::new(), ttl: Duration::from_hours(24), max: 100_000_000, at_once: 64 }
    }
}

impl fmt::Debug for MediaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The keys are secret.
        f.debug_struct("MediaSettings")
            .field("ttl", &self.ttl)
            .field("max", &self.max)
            .finish_non_exhaustive()
    }
}

/// One channel that can be run.
#[derive(Debug)]
pub struct ChannelSettings {
    /// The mapping.
    pub plan: Arc<Plan>,
    /// Its values.
    pub channel: Arc<Channel>,
    /// The platform's side of it.
    pub platform: PlatformChannel,
    /// The platform's webhook URL.
    pub webhook_url: String,
    /// The API token.
    pub token: Token,
    /// How fast requests to the platform may be.
    pub platform_rate: Rate,
    /// How many events that wait for the platform may go in one request.
    pub platform_batch: usize,
    /// Which statuses are posted.
    pub statuses: Vec<Status>,
    /// How fast requests to the provider may be.
    pub limits: Limits,
    /// What happens when a request to the provider fails for now.
    pub retry: Retry,
}

/// How secrets are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Secrets {
    /// In the environment and in files; a missing one is an error.
    Real,
    /// Only the store's address and what the API for operators wants, for one who speaks to a gateway that has the others.
    Operator,
    /// Only the store's address, for one who looks into it.
    Store,
    /// Every reference is taken to be good: for `check`, which runs where the secrets are not.
    Assumed,
}

/// Reads an installation with its mappings and secrets; `listen` stands in for the installation's own. None means
/// that there are errors in the library.
pub fn read_installation(path: &Path, listen: Option<&str>) -> (Library, Option<Settings>) {
    read_with(path, listen, Secrets::Real)
}

/// The same for one who only looks into the store: no secret but its address is looked up, so what is read can't speak to
/// anybody.
pub fn survey_installation(path: &Path) -> (Library, Option<Settings>) {
    read_with(path, None, Secrets::Store)
}

/// The same for one who speaks to the running gateway: no secret but the token for that, and the store's address, is
/// looked up.
pub fn read_admin(path: &Path) -> (Library, Option<Settings>) {
    read_with(path, None, Secrets::Operator)
}

fn read_with(path: &Path, listen: Option<&str>, secrets: Secrets) -> (Library, Option<Settings>) {
    let mut library = Library::default();
    let settings = Reader::read(path, listen, secrets, &mut library);
    let sound = !library.problems.has_errors();
    (library, settings.filter(|_| sound))
}

/// Checks an installation file together with its mappings, which are read unless the library has them.
pub fn check_installation(path: &Path, library: &mut Library) {
    Reader::read(path, None, Secrets::Assumed, library);
}

struct Reader<'a> {
    folder: PathBuf,
    /// Keys whose values could not be had, which was told.
    told: Vec<SmolStr>,
    /// What was told to be missing.
    missing: Vec<(bool, SmolStr, SmolStr)>,
    /// Whether a place where mappings should be could not be read, which was told.
    incomplete: bool,
    secrets: Secrets,
    out: &'a mut Diagnostics,
}

impl Reader<'_> {
    fn read(path: &Path, listen: Option<&str>, secrets: Secrets, library: &mut Library) -> Option<Settings> {
        let file = read_source(path, &mut library.sources, &mut library.problems)?;
        let bounds = yaml::Bounds::INSTALLATION;
        let node = yaml::parse_within(bounds, file, &library.sources, &mut library.problems)?;
        let spec = spec::Installation::from_node(&node, &mut library.problems)?;
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        let named = match &spec.mappings {
            Some(list) => list.iter().map(|text| (text.value.to_string(), text.span)).collect(),
            None => vec![("mappings".to_string(), node.span.at_start())],
        };
        let mut incomplete = spec.shape.is_unread("mappings");
        for (name, span) in named {
            if let Err(error) = library.read_more(&folder.join(&name)) {
                incomplete = true;
                let message = format!("the mappings can't be read: {error}");
                let problem = Diagnostic::new(Code::MissingFile, span, message);
                library.problems.push(match spec.mappings {
                    Some(_) => problem.label("not found").help("a path is relative to this file"),
                    None => problem.help("say where they are with `mappings: [FOLDER]`"),
                });
            }
        }
        library.compile();
        let plans = library.plans();
        let known =
            library.mappings.iter().flat_map(super::Loaded::names).map(str::to_string).collect::<Vec<_>>();
        let mut reader = Reader {
            folder,
            told: Vec::new(),
            missing: Vec::new(),
            incomplete,
            secrets,
            out: &mut library.problems,
        };
        reader.settings(&spec, listen, &plans, &known, node.span.at_start())
    }

    fn settings(
        &mut self,
        spec: &spec::Installation,
        listen: Option<&str>,
        plans: &BTreeMap<SmolStr, Arc<Plan>>,
        known: &[String],
        start: Span,
    ) -> Option<Settings> {
        let public_url = match &spec.public_url {
            Some(text) => {
                self.web_url(&text.value, text.span, "write the URL under which providers reach the gateway");
                text.value.trim_end_matches('/').to_string()
            }
            None => String::new(),
        };
        let listen = listen.map_or_else(|| self.listen(spec.listen.as_ref()), str::to_string);
        let public_url = if public_url.is_empty() { format!("http://{listen}") } else { public_url };
        let mut deployments = BTreeMap::new();
        for (name, values) in &spec.deployment.0 {
            match plans.get(&name.value) {
                Some(plan) => {
                    let values = self.values(values, &plan.deployment);
                    deployments.insert(name.value.clone(), values);
                }
                None => self.unknown_mapping(name, known),
            }
        }
        if let Some(platform) = &spec.platform {
            self.batch(platform);
        }
        let mut channels = Vec::new();
        for (name, channel) in &spec.channels.0 {
            channels.extend(self.channel(name, channel, spec, plans, known, &deployments, &public_url));
        }
        self.same_addresses(spec, plans);
        if spec.channels.0.is_empty() && !spec.shape.is_unread("channels") {
            let span = spec.shape.key("channels", start);
            let problem = Diagnostic::new(Code::MissingKey, span, "there are no channels");
            self.out.push(problem.help("add one under `channels:`"));
        }
        let admin = spec.admin.as_ref().and_then(|admin| self.admin(admin));
        let keep = spec.keep.map_or(KEEP, |duration| duration.0);
        Some(Settings {
            listen,
            public_url,
            store: self.store(spec.store.as_ref())?,
            network: NetworkPolicy {
                allow_private: spec
                    .network
                    .as_ref()
                    .and_then(|network| network.allow_private)
                    .is_some_and(|flag| flag.0),
            },
            server: spec
                .server
                .as_ref()
                .map_or_else(ServerSettings::default, |spec| server(spec, start, self.out)),
            media: self.media(spec.media.as_ref()),
            keep,
            keep_dead: spec.keep_dead.map_or(KEEP_DEAD.max(keep), |duration| duration.0),
            admin,
            channels,
        })
    }

    /// An address to listen on: `HOST:PORT`.
    fn listen(&mut self, given: Option<&Text>) -> String {
        given.map_or_else(|| "127.0.0.1:8080".to_string(), |text| self.address(text))
    }

    fn address(&mut self, text: &Text) -> String {
        let port = text.value.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
        if port.is_none_or(|port| port.parse::<u16>().is_err()) {
            let problem =
                Diagnostic::new(Code::InvalidValue, text.span, "this is not an address to listen on");
            self.out
                .push(problem.help("write a host and a port: `127.0.0.1:8080`, `0.0.0.0:80`, `[::]:8080`"));
        }
        text.value.to_string()
    }

    /// The API for operators; it must not be open to everybody.
    fn admin(&mut self, spec: &spec::Admin) -> Option<AdminSettings> {
        let listen = self.address(&spec.listen);
        let token = match &spec.token {
            Some(Raw(node)) if self.secrets == Secrets::Operator => {
                self.secrets = Secrets::Real;
                let key = self.key(node, "admin.token");
                self.secrets = Secrets::Operator;
                Some(key?)
            }
            Some(Raw(node)) => Some(self.key(node, "admin.token")?),
            None => None,
        };
        if token.is_none() && !is_loopback(&listen) {
            let message = "everybody who reaches this address could read and change messages";
            let problem = Diagnostic::new(Code::InvalidValue, spec.listen.span, message);
            self.out.push(problem.help("listen on `127.0.0.1`, or add `token: {env: ADMIN_TOKEN}`"));
        }
        Some(AdminSettings { listen, token: token.map(Token::new) })
    }

    /// Reports what is not an `http` or `https` URL, at the very part that is wrong.
    fn web_url(&mut self, text: &str, span: Span, help: &str) {
        let problem = match url::Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => return,
            Ok(url) => Diagnostic::new(
                Code::InvalidValue,
                span,
                format!("`{}` is not a scheme that can be used here", url.scheme()),
            )
            .label("`http` or `https` is needed"),
            Err(error) => Diagnostic::new(Code::InvalidValue, span, "this is not an http or https URL")
                .label(error.to_string()),
        };
        self.out.push(problem.help(help));
    }

    /// The address of the store: who only looks into it needs it too.
    fn store(&mut self, store: Option<&Raw>) -> Option<String> {
        const HELP: &str =
            "write `sqlite:PATH`, for example `sqlite:data/patchcord.db`, or `postgres://USER@HOST/DATABASE`";
        let Some(Raw(node)) = store else { return Some(self.file("data/patchcord.db")) };
        let address = match (reference(node), node.as_text()) {
            (Some(_), _) if self.secrets == Secrets::Assumed => return Some(self.file("assumed")),
            (Some((kind, name)), _) => match self.look_up(kind, name) {
                Ok(address) => address,
                Err(message) => {
                    let problem = Diagnostic::new(Code::MissingSecret, name.span, message);
                    self.out.push(problem.label("needed here"));
                    return None;
                }
            },
            (None, Some(text)) => text.value.to_string(),
            (None, None) => {
                let message = format!("`store` is text or a reference, not {}", node.kind_name());
                self.out.push(Diagnostic::new(Code::WrongType, node.span, message).help(HELP));
                return None;
            }
        };
        if let Some(path) = address.strip_prefix("sqlite:") {
            return Some(self.file(path));
        }
        match store::judge(&address) {
            Ok(has_password) => {
                if has_password && reference(node).is_none() {
                    let problem = Diagnostic::new(
                        Code::LiteralSecret,
                        node.span,
                        "the store's password stands in this file",
                    );
                    self.out.push(problem.label("anyone who reads the file knows it").help(
                        "write a reference to the whole address: `{env: DATABASE_URL}` or `{file: /run/secrets/store}`",
                    ));
                }
            }
            Err(why) => {
                let problem = Diagnostic::new(Code::InvalidValue, node.span, "this is no address of a store");
                self.out.push(problem.label(why).help(HELP));
                return None;
            }
        }
        Some(address)
    }

    /// The address of a store in a file, whose path is relative to the installation's.
    fn file(&self, path: &str) -> String {
        format!("sqlite:{}", self.folder.join(path).display())
    }

    fn media(&mut self, spec: Option<&spec::Media>) -> MediaSettings {
        let default = MediaSettings::default();
        let Some(spec) = spec else { return default };
        if let Some(ttl) = spec.ttl.filter(|ttl| ttl.0 < SHORTEST_TTL) {
            let span = spec.shape.value("ttl", spec.span);
            let message = format!("{} s is too short", ttl.0.as_secs());
            let problem = Diagnostic::new(Code::InvalidValue, span, message);
            self.out.push(problem.help("the platform comes back for a file for at least 10m"));
        }
        let keys: Vec<&Node> = match &spec.key {
            None => Vec::new(),
            Some(Raw(node)) => node.as_list().map_or_else(|| vec![node], |items| items.iter().collect()),
        };
        MediaSettings {
            keys: keys.into_iter().filter_map(|node| self.key(node, "media.key")).collect(),
            ttl: spec.ttl.map_or(default.ttl, |ttl| ttl.0),
            max: spec.max.map_or(default.max, |max| max.0),
            at_once: spec
                .at_once
                .map_or(default.at_once, |count| usize::try_from(count.0).unwrap_or(usize::MAX)),
        }
    }

    /// A key that things are signed with, or somebody proves themselves with.
    fn key(&mut self, node: &Node, name: &str) -> Option<String> {
        if self.no_literal(node, name) {
            return None;
        }
        let key = self.resolve(node)?.to_text();
        if key.len() < SHORTEST_KEY && self.secrets == Secrets::Real {
            let message = format!("a key has at least {SHORTEST_KEY} characters");
            self.out.push(Diagnostic::new(Code::InvalidValue, node.span, message));
            return None;
        }
        Some(key.into())
    }

    fn unknown_mapping(&mut self, name: &Text, known: &[String]) {
        if self.incomplete || known.iter().any(|mapping| *mapping == name.value) {
            return; // it has errors of its own, or could not be found, which was told
        }
        let problem =
            Diagnostic::new(Code::UnknownMapping, name.span, format!("there is no mapping `{}`", name.value));
        let problem =
            problem.label("unknown mapping").did_you_mean(&name.value, known.iter().map(String::as_str));
        let list: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
        self.out.push(match (&problem.fix, known.is_empty()) {
            (Some(_), _) => problem,
            (None, true) => problem.help("no mapping was found; `mappings:` says where they are"),
            (None, false) => problem.help(format!("the mappings are {}", list.join(", "))),
        });
    }

    #[allow(clippy::too_many_arguments)] // the parts of one file
    fn channel(
        &mut self,
        name: &Text,
        channel: &spec::Channel,
        spec: &spec::Installation,
        plans: &BTreeMap<SmolStr, Arc<Plan>>,
        known: &[String],
        deployments: &BTreeMap<SmolStr, Map>,
        public_url: &str,
    ) -> Option<ChannelSettings> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.value.is_empty() || !name.value.chars().all(fits) {
            let problem =
                Diagnostic::new(Code::InvalidValue, name.span, "a channel's name is part of its URL");
            self.out.push(problem.help("use letters, digits, `-`, `_` and `.`"));
        }
        let default = spec.platform.as_ref();
        let platform = &channel.platform;
        let place = channel.shape.key("platform", platform.span);
        let own = |raw: Option<&Raw>, key: &str| raw.is_none() && platform.shape.is_unread(key);
        let of_default = |pick: fn(&spec::Platform) -> Option<&Raw>| default.and_then(pick);
        let token = platform.token.as_ref().or_else(|| of_default(|default| default.token.as_ref()));
        let token_told = own(token, "token");
        if let Some(Raw(node)) = token {
            self.no_literal(node, "token");
        }
        let token = self.needed(token, "token", place, token_told);
        let channel_id = platform.channel_id.as_ref();
        let channel_id = self.needed(channel_id, "channel_id", place, own(channel_id, "channel_id"));
        let webhook =
            platform.webhook_url.as_ref().or_else(|| of_default(|default| default.webhook_url.as_ref()));
        let webhook_url = self.needed(webhook, "webhook_url", place, own(webhook, "webhook_url"));
        if let (Some(url), Some(Raw(node))) = (&webhook_url, webhook)
            && (self.secrets == Secrets::Real || reference(node).is_none())
        {
            self.web_url(url, node.span, "the platform shows it in the dialog of the Custom Channel");
        }
        let statuses = self.statuses(
            platform.statuses.as_ref().or_else(|| default.and_then(|default| default.statuses.as_ref())),
        );
        let rate = platform.rate.or_else(|| default.and_then(|default| default.rate));
        self.batch(platform);
        let batch = platform.batch.or_else(|| default.and_then(|default| default.batch));
        let Some(plan) = plans.get(&channel.mapping.value) else {
            if !channel.shape.is_unread("mapping") {
                self.unknown_mapping(&channel.mapping, known);
            }
            return None;
        };
        if let Some(id_type) = platform.id_type.filter(|id_type| *id_type != plan.contact_id) {
            let span = platform.shape.value("id_type", platform.span);
            let message = format!(
                "the mapping `{}` needs a channel with the ID type `{}`, not `{}`",
                plan.name,
                plan.contact_id.as_str(),
                id_type.as_str()
            );
            self.out.push(
                Diagnostic::new(Code::InvalidValue, span, message)
                    .help("choose this ID type in the dialog of the Custom Channel"),
            );
        }
        let id_type = platform.id_type.unwrap_or(plan.contact_id);
        let facts = ChannelFacts {
            name: name.value.to_string(),
            channel_id: channel_id.clone().unwrap_or_default(),
            country: channel.country.as_ref().map(|text| text.value.to_string()).unwrap_or_default(),
            public_url: public_url.to_string(),
            config: self.values(&channel.config, &plan.config),
            deployment: deployments.get(&plan.name).cloned().unwrap_or_default(),
            ..ChannelFacts::default()
        };
        let (made, problems) = Channel::new(plan, &facts);
        for problem in problems {
            self.bad_config(name, channel, spec, plan, problem);
        }
        Some(ChannelSettings {
            plan: plan.clone(),
            channel: Arc::new(made),
            platform: PlatformChannel { channel_id: channel_id?, id_type },
            webhook_url: webhook_url?,
            token: Token::new(token?),
            platform_rate: rate.map_or(Limits::default().rate, compile::rate),
            platform_batch: batch.map_or(1, |batch| usize::try_from(batch.0).unwrap_or(1)),
            statuses,
            limits: compile::channel_limits(channel.limits.as_ref(), plan.limits),
            retry: compile::retry(channel.retry.as_ref(), plan.retry),
        })
    }

    /// How many events may go in one request is bounded.
    fn batch(&mut self, platform: &spec::Platform) {
        let batch = platform.batch.and_then(|batch| usize::try_from(batch.0).ok());
        if platform.batch.is_some() && !batch.is_some_and(|batch| (1..=LARGEST_BATCH).contains(&batch)) {
            let span = platform.shape.value("batch", platform.span);
            let problem = Diagnostic::new(Code::InvalidValue, span, "so many events don't go in one request");
            self.out.push(problem.help(format!("write 1 to {LARGEST_BATCH}")));
        }
    }

    /// What a mapping has to say about the values that a channel supplies.
    fn bad_config(
        &mut self,
        name: &Text,
        channel: &spec::Channel,
        spec: &spec::Installation,
        plan: &Plan,
        problem: BadConfig,
    ) {
        let (map, fields) = if problem.deployment {
            (spec.deployment.get(&plan.name), &plan.deployment)
        } else {
            (Some(&channel.config), &plan.config)
        };
        let unread = if problem.deployment { &spec.shape } else { &channel.shape };
        if unread.is_unread(if problem.deployment { "deployment" } else { "config" }) {
            return;
        }
        let place = if problem.deployment {
            format!("under `deployment: {}:`", plan.name)
        } else {
            format!("under `config:` of the channel `{}`", name.value)
        };
        let given = map.and_then(|map| map.0.iter().find(|(key, _)| key.value == problem.key));
        match given {
            // A reference whose secret is not there was told.
            Some(_) if problem.missing && self.told.contains(&problem.key) => {}
            // What it refers to is not known here.
            Some((_, Raw(node)))
                if self.secrets != Secrets::Real
                    && reference(node).is_some()
                    && fields.iter().any(|field| field.name == problem.key) => {}
            Some((key, Raw(node))) if fields.iter().any(|field| field.name == problem.key) => {
                let code = if problem.missing { Code::MissingKey } else { Code::InvalidValue };
                let span = if node.span.is_empty() { key.span } else { node.span };
                self.out.push(Diagnostic::new(code, span, problem.message));
            }
            Some((key, _)) => {
                let known = || fields.iter().map(|field| field.name.as_str());
                let message = format!("the mapping `{}` declares no `{}`", plan.name, key.value);
                let diagnostic = Diagnostic::new(Code::UnknownKey, key.span, message).label("not declared");
                let diagnostic = diagnostic.did_you_mean(&key.value, known());
                let list: Vec<_> = known().map(|name| format!("`{name}`")).collect();
                self.out.push(match (&diagnostic.fix, list.is_empty()) {
                    (Some(_), _) | (None, true) => diagnostic,
                    (None, false) => diagnostic.help(format!("it declares {}", list.join(", "))),
                });
            }
            None => {
                let known = || fields.iter().map(|field| field.name.as_str());
                let mistyped = |key: &Text| {
                    !known().any(|name| key.value == name)
                        && suggest(&key.value, known()) == Some(problem.key.as_str())
                };
                if map.is_some_and(|map| map.0.iter().any(|(key, _)| mistyped(key))) {
                    return; // told where it is mistyped
                }
                let once = (problem.deployment, plan.name.clone(), problem.key.clone());
                if problem.deployment && self.missing.contains(&once) {
                    return; // told for another channel
                }
                self.missing.push(once);
                let written = if problem.deployment {
                    !spec.deployment.0.is_empty()
                } else {
                    !channel.config.0.is_empty()
                };
                let span = match (written, problem.deployment) {
                    (true, true) => spec.shape.key("deployment", channel.mapping.span),
                    (true, false) => channel.shape.key("config", channel.mapping.span),
                    _ => channel.mapping.span,
                };
                let message = format!("the mapping `{}` requires `{}`", plan.name, problem.key);
                let about = format!("`{}` is missing", problem.key);
                let diagnostic = Diagnostic::new(Code::MissingKey, span, message).label(about);
                self.out.push(diagnostic.help(format!("it belongs {place}")));
            }
        }
    }

    /// A secret must not stand in the file.
    fn no_literal(&mut self, node: &Node, key: &str) -> bool {
        let literal = node.as_map().is_none() && !node.is_null();
        if literal {
            let message = format!("`{key}` is a secret, and stands in this file");
            let problem = Diagnostic::new(Code::LiteralSecret, node.span, message);
            let name: String =
                key.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
            self.out.push(
                problem
                    .label("anyone who reads the file knows it")
                    .help(format!("write a reference: `{{env: {name}}}` or `{{file: /run/secrets/{key}}}`")),
            );
        }
        literal
    }

    fn statuses(&mut self, given: Option<&Vec<Text>>) -> Vec<Status> {
        let Some(given) = given else { return vec![Status::Delivered, Status::Read, Status::Failed] };
        let all = [Status::Sent, Status::Delivered, Status::Read, Status::Failed];
        let mut statuses = Vec::new();
        for text in given {
            match all.into_iter().find(|status| status.as_str() == text.value) {
                Some(status) => statuses.push(status),
                None => {
                    let problem = Diagnostic::new(
                        Code::UnknownStatus,
                        text.span,
                        format!("`{}` is not a status", text.value),
                    );
                    self.out
                        .push(problem.did_you_mean(&text.value, all.iter().map(|status| status.as_str())));
                }
            }
        }
        statuses
    }

    /// A value that every channel needs; none if there is none, which is told unless it was.
    fn needed(&mut self, raw: Option<&Raw>, key: &str, span: Span, told: bool) -> Option<String> {
        let Some(Raw(node)) = raw else {
            if !told {
                let problem = Diagnostic::new(Code::MissingKey, span, format!("`{key}` is missing"));
                let problem = problem.label(format!("`platform` needs `{key}`"));
                self.out.push(problem.help("the platform shows it in the dialog of the Custom Channel"));
            }
            return None;
        };
        let value = self.resolve(node)?;
        if matches!(value, Value::Map(_) | Value::List(_)) {
            let message = format!("`{key}` is text or a reference, not {}", node.kind_name());
            let problem = Diagnostic::new(Code::WrongType, node.span, message);
            self.out.push(problem.help("a reference is `{env: NAME}` or `{file: PATH}`"));
            return None;
        }
        let text = value.to_text();
        if text.is_empty() {
            let span = if node.span.is_empty() { span } else { node.span };
            self.out.push(Diagnostic::new(Code::InvalidValue, span, format!("`{key}` is empty")));
        }
        (!text.is_empty()).then(|| text.into())
    }

    fn values(&mut self, map: &spec::Map<Raw>, fields: &[ConfigField]) -> Map {
        let mut values = Map::new();
        for (key, Raw(node)) in &map.0 {
            let secret = fields.iter().any(|field| field.name == key.value && field.secret);
            if secret && self.no_literal(node, &key.value) {
                self.told.push(key.value.clone());
                values.insert(key.value.clone(), node.to_value());
                continue;
            }
            let field = fields.iter().find(|field| field.name == key.value);
            let structured =
                field.is_some_and(|field| matches!(field.kind, ConfigType::Map | ConfigType::Json));
            let value = if structured && reference(node).is_none() {
                Some(node.to_value())
            } else {
                self.resolve(node)
            };
            match value {
                Some(value) => values.insert(key.value.clone(), value),
                None => self.told.push(key.value.clone()),
            }
        }
        values
    }

    /// The value of a node, with a reference to a secret looked up.
    fn resolve(&mut self, node: &Node) -> Option<Value> {
        if let Some([entry]) = node.as_map()
            && let Some(meant) = suggest(&entry.key.value, ["env", "file"])
            && reference(node).is_none()
        {
            let message = format!("there is no kind of reference `{}`", entry.key.value);
            let problem = Diagnostic::new(Code::UnknownKey, entry.key.span, message);
            self.out.push(problem.label("not known").fix(
                entry.key.span,
                meant,
                format!("did you mean `{meant}`?"),
            ));
            return None;
        }
        let Some((kind, name)) = reference(node) else { return Some(node.to_value()) };
        if self.secrets != Secrets::Real {
            return Some(Value::text("assumed"));
        }
        let found = self.look_up(kind, name);
        match found {
            Ok(text) => Some(Value::from(text)),
            Err(message) => {
                self.out.push(Diagnostic::new(Code::MissingSecret, name.span, message).label("needed here"));
                None
            }
        }
    }

    fn look_up(&self, kind: &str, name: &Text) -> Result<String, String> {
        match kind {
            "env" => std::env::var(name.value.as_str())
                .map_err(|_| format!("the environment variable `{}` is not set", name.value)),
            _ => std::fs::read_to_string(self.folder.join(name.value.as_str()))
                .map(|text| text.trim_end_matches(['\r', '\n']).to_string())
                .map_err(|error| format!("the file `{}` can't be read: {error}", name.value)),
        }
    }

    /// Two channels of a mapping with the same address: a shared route could not tell them apart.
    fn same_addresses(&mut self, spec: &spec::Installation, plans: &BTreeMap<SmolStr, Arc<Plan>>) {
        let mut seen: BTreeMap<(SmolStr, String), (SmolStr, Span)> = BTreeMap::new();
        for (name, channel) in &spec.channels.0 {
            let plan = plans.get(&channel.mapping.value);
            let plan = plan.filter(|plan| plan.webhooks.iter().any(|webhook| webhook.shared));
            let Some(field) = plan.and_then(|plan| plan.address()) else { continue };
            let Some(Raw(node)) = channel.config.get(field) else { continue };
            let address = match reference(node) {
                None => node.to_value().to_text().to_string(),
                Some((kind, secret)) => match (self.secrets, self.look_up(kind, secret)) {
                    (Secrets::Real, Ok(address)) => address,
                    _ => format!("{kind}: {}", secret.value),
                },
            };
            let key = (channel.mapping.value.clone(), address);
            if let Some((first, before)) = seen.get(&key) {
                let message = format!("the channels `{first}` and `{}` have the same address", name.value);
                let problem = Diagnostic::new(Code::DuplicateName, node.span, message).label("the second");
                let problem = problem.secondary(*before, "the first");
                self.out.push(problem.help(
                    "one URL serves all channels of this mapping; the address tells for which of them a webhook is",
                ));
            } else if !key.1.is_empty() {
                seen.insert(key, (name.value.clone(), node.span));
            }
        }
    }
}

/// Whether a host, with or without a port, is this machine and reached by it alone.
pub fn is_loopback(address: &str) -> bool {
    let port = address.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let host = port.map_or(address, |(host, _)| host);
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    ip.map_or(host.eq_ignore_ascii_case("localhost"), |ip| ip.is_loopback())
}

/// `{env: NAME}` or `{file: PATH}`.
fn reference(node: &Node) -> Option<(&'static str, &Text)> {
    let [entry] = node.as_map()? else { return None };
    let kind = match entry.key.value.as_str() {
        "env" => "env",
        "file" => "file",
        _ => return None,
    };
    Some((kind, entry.value.as_text()?))
}
