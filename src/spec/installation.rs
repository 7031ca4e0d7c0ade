//! What `patchcord.yaml` says: this installation, its channels, its secrets.

use super::mapping::Retry;
use super::read::{Count, Duration, Flag, Map, Rate, Raw, Size, record};
use crate::plan::ContactIdKind;
use crate::yaml::Text;

record! {
    /// One installation of the gateway.
    "patchcord.yaml" Installation {
        /// Where the server listens; 127.0.0.1:8080 unless given.
        listen: Option<Text>,
        /// The URL under which providers and the platform reach it, without a slash at its end.
        public_url: Option<Text>,
        /// Where messages are kept: `sqlite:PATH`, or `postgres://USER@HOST/DATABASE`, which is a reference to a secret where
        /// it holds a password; sqlite:data/patchcord.db unless given.
        store: Option<Raw>,
        /// Folders and files with mappings; `[mappings]` unless given.
        mappings: Option<Vec<Text>>,
        /// What outgoing requests may reach.
        network: Option<Network>,
        /// Defaults for the `platform` of every channel.
        platform: Option<Platform>,
        /// Each mapping's `deployment` values, by the mapping's name.
        deployment: Map<Map<Raw>>,
        /// The channels, by name.
        channels: Map<Channel>,
        /// The bounds of the server.
        server: Option<Server>,
        /// The URLs under which the platform fetches files that want a provider's credentials.
        media: Option<Media>,
        /// How long messages that were sent, and webhooks, are kept; 7d unless given.
        keep: Option<Duration>,
        /// How long dead letters (messages that were refused or given up) and parked webhooks are kept; 30d unless
        /// given, or `keep` where that is longer.
        keep_dead: Option<Duration>,
        /// Where the running gateway takes what an operator wants of it: `patchcord messages` retries, drops and replays
        /// through it. Off unless given.
        admin: Option<Admin>,
    }

    /// The API for operators. It is for programs: a browser's request to it from another site is refused.
    "`admin`" Admin {
        /// Where it listens: a host and a port, such as `127.0.0.1:8081`. Another than a loopback address needs a `token`.
        listen: Text,
        /// What its callers prove themselves with: a reference to a secret of at least 16 characters. Without one, everybody
        /// on this machine may call it.
        token: Option<Raw>,
    }

    /// The bounds of the server.
    "`server`" Server {
        /// The largest request body, in bytes; 1048576 (1 MiB) unless given.
        max_body: Option<Count>,
        /// The most that the bodies of all requests that are not answered yet may take together, in bytes, at least
        /// `max_body`; 67108864 (64 MiB) unless given.
        max_bodies: Option<Count>,
        /// The largest head of a request, in bytes, at least 8192; 32768 (32 KiB) unless given. What comes with one
        /// read is taken too, so that a head of less than twice as much may pass.
        max_head: Option<Count>,
        /// How long the head of a request may take; 15s unless given.
        head_timeout: Option<Duration>,
        /// How long the body of a request may take; 30s unless given.
        body_timeout: Option<Duration>,
        /// How many connections may be open; 10000 unless given. Fewer where the system's hard limit of open files does
        /// not leave room for them, which a warning tells at the start.
        connections: Option<Count>,
        /// How long a shutdown waits for what is under way; 25s unless given.
        drain: Option<Duration>,
        /// The addresses and networks of reverse proxies, such as `[10.0.0.0/8]`, whose `X-Forwarded-For` is believed:
        /// the `ip` of a webhook is then the last address in it that is none of theirs; nobody is believed unless given.
        trusted_proxies: Option<Vec<Text>>,
    }

    /// The URLs under which the platform fetches files that want a provider's credentials.
    "`media`" Media {
        /// What they are signed with: a reference to a secret, or a list of them, of which the first signs and all
        /// are good. Nodes that share the work need the same. Unless given, one is made and kept in the store.
        key: Option<Raw>,
        /// How long they are good, at least 10m; 24h unless given. A mapping may want less.
        ttl: Option<Duration>,
        /// The largest file, such as `100MB`, which it is unless given. A mapping may want less.
        max: Option<Size>,
        /// How many files are passed on at the same time; 64 unless given.
        at_once: Option<Count>,
    }

    /// What outgoing requests may reach.
    "`network`" Network {
        /// Whether they may reach loopback and private addresses; false unless given.
        allow_private: Option<Flag>,
    }

    /// One channel: a mapping, a Custom Channel of the platform, and what connects them.
    "a channel" Channel {
        /// The mapping's name.
        mapping: Text,
        /// The Custom Channel.
        platform: Platform,
        /// What the mapping's `config` asks for.
        config: Map<Raw>,
        /// The country that phone numbers without one belong to, ISO 3166-1 alpha-2.
        country: Option<Text>,
        /// Instead of the mapping's.
        limits: Option<ChannelLimits>,
        /// Instead of the mapping's.
        retry: Option<Retry>,
    }

    /// How fast requests to the provider may be in this channel.
    "`limits`" ChannelLimits {
        /// In all.
        rate: Option<Rate>,
        /// To each contact.
        per_contact: Option<Rate>,
        /// How many may be under way at once.
        in_flight: Option<Count>,
        /// What goes to a contact who wrote within this time goes before everything else, such as a broadcast; `0s` where
        /// nothing goes first.
        conversation: Option<Duration>,
        /// How long a response may take.
        timeout: Option<Duration>,
    }

    /// A Custom Channel of the platform, as its dialog shows it.
    "`platform`" Platform {
        /// The webhook URL, kept to the letter.
        webhook_url: Option<Raw>,
        /// The channel id.
        channel_id: Option<Raw>,
        /// The API token.
        token: Option<Raw>,
        /// The ID type; must be the mapping's `contact_id`, which it is unless given.
        id_type: Option<ContactIdKind>,
        /// How fast requests to the platform may be; 20/s unless given.
        rate: Option<Rate>,
        /// How many events of a contact may go in one request, 1 to 30, of those that wait already; 1 unless given. The
        /// rate counts requests, so a backlog arrives so many times faster.
        batch: Option<Count>,
        /// Which statuses are posted: delivered, read and failed unless given.
        statuses: Option<Vec<Text>>,
    }
}
