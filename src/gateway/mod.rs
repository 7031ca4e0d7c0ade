//! The running gateway: channels, store, delivery and the network put together.
//!
//! It speaks no HTTP of its own; `server` turns requests into calls of [`Gateway`]. Invariant: what it accepts is
//! in the store before it says so.

mod action;
mod conversations;
mod deferred;
mod desk;
mod errand;
mod joining;
mod look_up;
mod media;
mod message;
mod parcel;
mod poll;
mod replay;
mod shelf;
mod to_platform;
mod to_provider;
mod webhook;

#[cfg(test)]
mod joining_tests;
#[cfg(test)]
mod late_tests;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use smol_str::SmolStr;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::conversations::Conversations;
use crate::call::{CallCache, HttpTransport, Outgoing, Response, Transport, TransportError};
use crate::delivery::{
    BreakerPolicy, ByDirection, Contacted, Credential, Engine, LaneSettings, LaneStats, Parts, Rate,
    RetryPolicy,
};
use crate::expression::{Env, Value};
use crate::load::{ChannelSettings, Settings};
use crate::pipeline::{Directory, enter};
use crate::plan::{self, Channel};
use crate::store::{self, Direction, Feed, FeedReader, Filter, Lane, StatusSet, Store, StoreError};
use crate::world::{Millis, World};

pub use desk::{Changed, Desk, StillParked, Which, examine};
pub use errand::{Driven, drive};
pub use media::Unserved;
pub use message::{MessageAnswer, Refused};
pub use webhook::{Called, WebhookAnswer};

/// How many committed deliveries the feed holds for the engine; what does not fit is read from the store.
const FEED: usize = 16_384;
/// How many deliveries all lanes together read ahead of what each may always hold: some 40 MB of texts.
const RESERVE: usize = 32_768;
/// How often what is kept long enough is purged.
const PURGE_EVERY: Duration = Duration::from_secs(600);
/// From the start to the first purge: a gateway that is started again and again would never purge otherwise.
const FIRST_PURGE: Duration = Duration::from_secs(1);
/// How often a node learns whom the others heard of.
const RECALL_EVERY: Duration = Duration::from_secs(2);
/// How often pieces of messages are looked for whose other pieces are overdue.
const RELEASE_EVERY: Duration = Duration::from_secs(1);

/// Why a gateway can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store can't be opened.
    #[error("the store can't be opened: {0}")]
    Store(#[from] StoreError),
    /// The network can't be used.
    #[error("the network can't be used: {0}")]
    Network(#[from] TransportError),
}

/// The channels of an installation, and how they are found.
pub(crate) struct Channels {
    by_name: HashMap<SmolStr, Arc<ChannelSettings>>,
    by_token: HashMap<[u8; 32], Vec<SmolStr>>,
    by_address: HashMap<(SmolStr, SmolStr), Arc<Channel>>,
    mappings: HashMap<SmolStr, Arc<ChannelSettings>>,
}

impl Channels {
    fn new(settings: Settings) -> Self {
        let mut channels = Self {
            by_name: HashMap::new(),
            by_token: HashMap::new(),
            by_address: HashMap::new(),
            mappings: HashMap::new(),
        };
        for channel in settings.channels {
            let channel = Arc::new(channel);
            let name = channel.channel.name.clone();
            let mapping = channel.plan.name.clone();
            let digest = Sha256::digest(channel.token.bearer().as_bytes());
            channels.by_token.entry(digest.into()).or_default().push(name.clone());
            channels.by_address.insert((mapping.clone(), channel.channel.address()), channel.channel.clone());
            // All channels of a mapping have the same `deployment`.
            channels.mappings.insert(mapping, channel.clone());
            channels.by_name.insert(name, channel);
        }
        channels
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<ChannelSettings>> {
        self.by_name.get(name)
    }
}

impl Directory for Channels {
    fn by_address(&self, mapping: &str, address: &str) -> Option<Arc<Channel>> {
        self.by_address.get(&(SmolStr::new(mapping), SmolStr::new(address))).cloned()
    }
}

/// A running gateway.
pub struct Gateway {
    channels: Arc<Channels>,
    store: Arc<dyn Store>,
    engine: Engine,
    calls: Arc<CallCache>,
    transport: Arc<dyn Transport>,
    acting: action::Room,
    conversations: Arc<Conversations>,
    media: Arc<media::Media>,
    polls: Arc<poll::Polls>,
    world: World,
    public_url: String,
    stop: watch::Sender<bool>,
    purging: Mutex<Option<JoinHandle<()>>>,
}

impl Gateway {
    /// Starts: opens the store, and goes on with what is in it. `seat`: see [`store::Node`].
    pub fn start(settings: Settings, world: World, seat: Option<SmolStr>) -> Result<Self, StartError> {
        let (feed, reader) = store::feed(FEED);
        let node = store::Node { division: division(&settings, &world), seat };
        let store = open_store(&settings, feed, Some(node))?;
        let leases = store.leases();
        let transport = if leases.are_shared() {
            HttpTransport::fenced(settings.network, Arc::new(move || leases.are_good()))?
        } else {
            HttpTransport::new(settings.network)?
        };
        Ok(Self::assemble(settings, world, Arc::new(transport), store, reader))
    }

    /// The same with another network.
    pub fn with_transport(
        settings: Settings,
        world: World,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, StartError> {
        Self::with_store(settings, world, transport, |settings, feed| open_store(settings, feed, None))
    }

    /// The same with another store, which feeds what it commits to the feed that it is given.
    pub fn with_store(
        settings: Settings,
        world: World,
        transport: Arc<dyn Transport>,
        open: impl FnOnce(&Settings, Feed) -> Result<Arc<dyn Store>, StoreError>,
    ) -> Result<Self, StartError> {
        let (feed, reader) = store::feed(FEED);
        let store = open(&settings, feed)?;
        Ok(Self::assemble(settings, world, transport, store, reader))
    }

    fn assemble(
        settings: Settings,
        world: World,
        transport: Arc<dyn Transport>,
        store: Arc<dyn Store>,
        reader: FeedReader,
    ) -> Self {
        let public_url = settings.public_url.clone();
        let media = media::Media::new(&settings.media, &public_url, store.clone(), world.clone());
        let media = Arc::new(media);
        let channels = Arc::new(Channels::new(settings));
        let conversations = Arc::new(Conversations::default());
        let calls = Arc::new(if store.leases().are_shared() {
            CallCache::shared(Arc::new(shelf::InStore(store.clone())))
        } else {
            CallCache::default()
        });
        let carrier = ByDirection {
            inbound: Arc::new(to_platform::ToPlatform::new(
                channels.clone(),
                store.clone(),
                transport.clone(),
                calls.clone(),
                media.clone(),
                conversations.clone(),
                world.clone(),
            )),
            outbound: Arc::new(to_provider::ToProvider::new(
                channels.clone(),
                store.clone(),
                transport.clone(),
                calls.clone(),
                world.clone(),
            )),
        };
        let (lanes, settings_world) = (channels.clone(), world.clone());
        let engine = Engine::start(Parts {
            store: store.clone(),
            feed: reader,
            carrier: Arc::new(carrier),
            settings: Arc::new(move |lane| lane_settings(&lanes, lane, &settings_world)),
            reserve: RESERVE,
            world: world.clone(),
        });
        let (stop, stopped) = watch::channel(false);
        let acting = action::Room::new(channels.by_name.keys());
        let polls = Arc::new(poll::Polls::start(&poll::Parts {
            channels: channels.clone(),
            store: store.clone(),
            transport: transport.clone(),
            calls: calls.clone(),
            world: world.clone(),
            stopped: stopped.clone(),
        }));
        let keeping = keep_house(store.clone(), world.clone(), stopped.clone());
        let purging = Mutex::new(Some(tokio::spawn(keeping)));
        tokio::spawn(recall(conversations.clone(), channels.clone(), store.clone(), world.clone(), stopped));
        Self {
            channels,
            store,
            engine,
            calls,
            transport,
            acting,
            conversations,
            media,
            polls,
            world,
            public_url,
            stop,
            purging,
        }
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// What an operator does with messages, while they are delivered.
    pub fn desk(&self) -> Desk {
        Desk::new(self.channels.clone(), self.store.clone(), self.polls.clone(), self.world.clone())
    }

    /// How every lane is doing.
    pub fn lanes(&self) -> Vec<LaneStats> {
        self.engine.stats()
    }

    /// Whether it can accept: the store answers.
    pub async fn is_ready(&self) -> Result<(), StoreError> {
        // Not the counts: with a million queued messages they take long, and this is asked every second or so.
        self.store.list(Filter { limit: 1, ..Filter::default() }).await.map(drop)
    }

    /// Delivers nothing more, and waits for what is under way, at most for `within`. Messages are still accepted;
    /// they leave after the next start.
    pub async fn finish(&self, within: Duration) {
        self.stop.send_replace(true);
        tokio::join!(self.engine.shutdown(within), self.polls.finish(within));
        let purging = self.purging.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(purging) = purging {
            let _ = purging.await;
        }
    }

    /// Closes the store; nothing is accepted any more.
    pub async fn close(&self) {
        if let Err(error) = self.store.close().await {
            tracing::error!(%error, "the store was not closed cleanly; nothing is lost");
        }
    }
}

/// The store of an installation; `node`: see [`store::Options`].
fn open_store(
    settings: &Settings,
    feed: Feed,
    node: Option<store::Node>,
) -> Result<Arc<dyn Store>, StoreError> {
    let retention = settings.retention();
    store::open(&settings.store, &store::Options { retention, node, ..store::Options::default() }, feed)
}

/// A word for which channels share a credential: nodes for which it is the same agree on who delivers what.
fn division(settings: &Settings, world: &World) -> SmolStr {
    let mut shared: Vec<String> = settings
        .channels
        .iter()
        .filter_map(|channel| Some(format!("{}\0{}", channel.channel.name, credential(channel, world)?.key)))
        .collect();
    shared.sort_unstable();
    STANDARD.encode(Sha256::digest(shared.join("\0\0"))).into()
}

/// How a lane behaves; none for a channel that is not configured (any more).
fn lane_settings(channels: &Channels, lane: &Lane, world: &World) -> Option<LaneSettings> {
    let channel = channels.get(&lane.channel)?;
    let post: StatusSet = channel.statuses.iter().copied().collect();
    let settings = match lane.direction {
        Direction::Inbound => LaneSettings {
            rate: rate(channel.platform_rate),
            batch: channel.platform_batch,
            post,
            ..LaneSettings::default()
        },
        Direction::Outbound => LaneSettings {
            rate: rate(channel.limits.rate),
            per_contact: rate(channel.limits.per_contact),
            credential: credential(channel, world),
            in_flight: channel.limits.in_flight,
            retry: RetryPolicy {
                first: channel.retry.first,
                max: channel.retry.max,
                attempts: channel.retry.attempts,
                give_up_after: channel.retry.give_up_after,
            },
            hold_doubtful: channel.retry.in_doubt == plan::InDoubt::Hold,
            breaker: BreakerPolicy {
                failures: channel.retry.breaker.failures,
                pause: channel.retry.breaker.pause,
                max: channel.retry.breaker.max,
            },
            post,
            time_limit: crate::call::longest(channel.limits.timeout, channel.limits.media)
                + Duration::from_secs(15),
            ..LaneSettings::default()
        },
    };
    Some(settings)
}

/// The credential of a channel, where the mapping limits each. One that can't be told, or is empty, is nobody else's.
fn credential(channel: &ChannelSettings, world: &World) -> Option<Credential> {
    let limit = channel.plan.per_credential.as_ref()?;
    let mut env = Env::new(world);
    enter(&channel.channel, &mut env);
    let key = limit.key.eval(&mut env).unwrap_or_else(|failure| {
        tracing::warn!(channel = %channel.channel.name, %failure, "which credential the channel has is not known");
        Value::Null
    });
    let (mapping, own) = (&channel.plan.name, &channel.channel.name);
    let key = if key.is_empty() { format!("channel {own}") } else { format!("{mapping} {}", key.to_text()) };
    Some(Credential { key: key.into(), rate: rate(limit.rate) })
}

/// What an exchange tells about the host; `None` where several hosts stand in for each other, or it is the request
/// that is at fault.
fn contacted(request: &Outgoing, answer: &Result<Response, TransportError>) -> Option<Contacted> {
    let is_well = match answer {
        Ok(response) => response.status < 500,
        Err(TransportError::Connect(_) | TransportError::Timeout | TransportError::Broken(_)) => false,
        Err(_) => return None,
    };
    Some(Contacted { host: request.host()?, is_well })
}

fn rate(rate: plan::Rate) -> Rate {
    match rate {
        plan::Rate::Unlimited => Rate::UNLIMITED,
        plan::Rate::Limited { count, per } => Rate::new(count, per).unwrap_or(Rate::UNLIMITED),
    }
}

/// Learns who was in conversation before the start and, where other nodes hear of contacts too, who is.
async fn recall(
    conversations: Arc<Conversations>,
    channels: Arc<Channels>,
    store: Arc<dyn Store>,
    world: World,
    mut stop: watch::Receiver<bool>,
) {
    let longest =
        channels.by_name.values().map(|channel| channel.limits.conversation).max().unwrap_or_default();
    let mut back = longest;
    while !back.is_zero() {
        let since = world.now().saturating_sub(Millis::try_from(back.as_millis()).unwrap_or(Millis::MAX));
        conversations.recall(&*store, since).await;
        if !store.leases().are_shared() {
            return;
        }
        // More than once, since a moment is that of a node's clock.
        back = longest.min(RECALL_EVERY * 5);
        tokio::select! {
            _ = stop.changed() => return,
            () = tokio::time::sleep(RECALL_EVERY) => {}
        }
    }
}

/// Does what is to be done now and then, until it is told to stop.
async fn keep_house(store: Arc<dyn Store>, world: World, mut stop: watch::Receiver<bool>) {
    let mut purge = tokio::time::interval(PURGE_EVERY);
    let mut release = tokio::time::interval(RELEASE_EVERY);
    purge.reset_after(FIRST_PURGE);
    release.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
        // In an order that repeats itself.
                biased;
                _ = stop.changed() => return,
                _ = purge.tick() => {
                    if let Err(error) = store.purge(world.now()).await {
                        tracing::warn!(%error, "old messages were not purged; trying again later");
                    }
                }
                _ = release.tick() => match store.release(world.now()).await {
                    Ok(0) => {}
                    Ok(messages) => tracing::warn!(messages, "messages of which pieces are missing were released"),
                    Err(error) => tracing::warn!(%error, "pieces were not released; trying again later"),
                },
            }
    }
}
