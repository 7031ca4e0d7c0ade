//! The surroundings of a rehearsal: a mapping, a stand-in channel, a fixed world.

use std::sync::Arc;
use std::time::Duration;

use super::kept::Kept;
use crate::call::CallCache;
use crate::expression::{Failure, Map, Value};
use crate::media::{Keys, Links};
use crate::message::{Event, Outbound};
use crate::pipeline::{Directory, Progress, Sending};
use crate::plan::{Channel, ChannelFacts, ConfigField, ConfigType, ContactIdKind, Plan};
use crate::platform::PlatformChannel;
use crate::world::{ManualClock, Millis, SeededEntropy, World};

/// The time in a rehearsal unless another is given: 2026-01-02T03:04:05Z.
pub const NOW: Millis = 1_767_323_045_000;
/// The platform's webhook URL in a rehearsal.
pub(super) const PLATFORM_URL: &str = "https://platform.example/custom/channel/webhook/";
/// The platform's token in a rehearsal.
pub(super) const PLATFORM_TOKEN: &str = "stand-in-token";

/// How long media URLs are good in a rehearsal.
const MEDIA_TTL: Duration = Duration::from_hours(24);
/// What media URLs are signed with in a rehearsal.
const MEDIA_KEY: &str = "stand-in-key";

/// A mapping with a stand-in channel.
pub struct Stage<'p> {
    /// The mapping.
    pub plan: &'p Plan,
    /// The channel.
    pub channel: Arc<Channel>,
    /// The platform's side of it.
    pub platform: PlatformChannel,
    /// What the store holds, as [`Kept::of`](super::Kept::of) reads it.
    pub store: Value,
    /// Where the gateway is reached.
    pub public_url: String,
    /// Time and randomness.
    pub world: World,
    /// What the world's time is told by.
    clock: Arc<ManualClock>,
    /// The values of calls that are used again.
    pub calls: Arc<CallCache>,
}

impl<'p> Stage<'p> {
    /// A stage with the channel that `given` describes (`dry-run --channel`); what is left out gets a sensible
    /// value. The second value tells what is wrong with the description.
    pub fn new(plan: &'p Plan, given: &Value, now: Millis) -> (Self, Vec<String>) {
        let text = |name: &str, otherwise: &str| {
            let text = given.get(name).to_text();
            if text.is_empty() { otherwise.to_string() } else { text.to_string() }
        };
        let public_url = text("public_url", "https://gateway.example.com").trim_end_matches('/').to_string();
        let facts = ChannelFacts {
            name: text("name", "test"),
            channel_id: text("channel_id", "stand-in-channel"),
            address: text("address", ""),
            country: text("country", ""),
            public_url: public_url.clone(),
            config: stand_ins(&plan.config, given.get("config")),
            deployment: stand_ins(&plan.deployment, given.get("deployment")),
        };
        let (channel, problems) = Channel::new(plan, &facts);
        let id_type = ContactIdKind::of(&given.get("contact_id").to_text()).unwrap_or(plan.contact_id);
        let platform = PlatformChannel { channel_id: facts.channel_id, id_type };
        let clock = Arc::new(ManualClock::new(now));
        let world = World::new(clock.clone(), Arc::new(SeededEntropy::new(1))).watched();
        let (channel, calls) = (Arc::new(channel), Arc::new(CallCache::default()));
        let store = given.get("store").clone();
        let stage = Self { plan, channel, platform, store, public_url, world, clock, calls };
        (stage, problems.into_iter().map(|problem| problem.message).collect())
    }

    /// Lets time pass.
    pub(super) fn pass(&self, time: Duration) {
        let time = Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX);
        self.clock.set(self.world.now().saturating_add(time));
    }

    /// An attempt to send a message.
    pub(super) fn sending<'s>(
        &'s self,
        message: &'s Outbound,
        progress: Progress,
        kept: &Kept,
    ) -> Result<Sending<'s, 's>, Failure> {
        let memory = kept.memory(&message.contact_id, self.world.now());
        Sending::new(self.plan, &self.channel, memory, message, progress, self.calls.clone(), &self.world)
    }

    /// Gives the attachments that the platform can't fetch itself URLs of the gateway, as the gateway does when it posts
    /// an event.
    pub(super) fn link(&self, event: &mut Event) {
        let keys = Keys::new(MEDIA_KEY.into(), []);
        let links = Links { keys: &keys, public_url: &self.public_url, ttl: MEDIA_TTL };
        links.link(self.plan, &self.channel, event, &self.world);
    }

    /// A request to the platform, as JSON for `platform_requests`.
    pub(super) fn platform_request(body: Value) -> Value {
        let headers = Value::map([
            ("authorization", Value::from(format!("Bearer {PLATFORM_TOKEN}"))),
            ("content-type", Value::text("application/json")),
        ]);
        Value::map([("url", Value::text(PLATFORM_URL)), ("headers", headers), ("body", body)])
    }
}

impl Directory for Stage<'_> {
    fn by_address(&self, mapping: &str, address: &str) -> Option<Arc<Channel>> {
        (mapping == self.plan.name && address == self.channel.address()).then(|| self.channel.clone())
    }
}

/// What was given, and something for every required value that was not.
fn stand_ins(fields: &[ConfigField], given: &Value) -> Map {
    let mut filled = given.as_map().cloned().unwrap_or_default();
    for field in fields.iter().filter(|field| field.required) {
        if filled.get(&field.name).is_some() {
            continue;
        }
        let value = match (field.kind, field.allowed.first()) {
            (_, Some(first)) => Value::Text(first.clone()),
            (ConfigType::Bool, None) => Value::Bool(false),
            (ConfigType::Int, None) => Value::Int(1),
            (ConfigType::Url, None) => Value::text("https://provider.example/"),
            (ConfigType::Map | ConfigType::Json, None) => Value::map([("stand_in", Value::Bool(true))]),
            (ConfigType::List, None) => Value::list(vec![Value::text("stand-in")]),
            (ConfigType::Text | ConfigType::Template, None) => {
                Value::from(format!("stand-in-{}", field.name))
            }
        };
        filled.insert(field.name.clone(), value);
    }
    filled
}
