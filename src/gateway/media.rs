//! Files that the platform can't fetch itself: their URLs, and what is answered there.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OnceCell, Semaphore};

use super::Gateway;
use super::to_provider::recall;
use crate::load::{ChannelSettings, MediaSettings};
use crate::media::{Asked, BadToken, File, Keys, Links, NoFile, open};
use crate::message::{Event, Source};
use crate::pipeline::Fetching;
use crate::store::{Store, StoreError};
use crate::world::World;

/// The name of the key that the installation made up for itself.
const KEPT: &str = "media";

/// What all files have in common.
pub(super) struct Media {
    given: Vec<String>,
    keys: OnceCell<Keys>,
    store: Arc<dyn Store>,
    public_url: String,
    ttl: Duration,
    max: u64,
    slots: Arc<Semaphore>,
    world: World,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum Unserved {
    /// The URL is not good.
    #[error("{0}")]
    Token(#[from] BadToken),
    /// Its channel is not there (any more).
    #[error("there is no such channel")]
    NoChannel,
    /// Too many files are being passed on.
    #[error("too many files are being fetched")]
    Busy,
    /// The key can't be had.
    #[error("the gateway can't read its key now")]
    Store(#[from] StoreError),
    /// The file can't be had.
    #[error("{0}")]
    File(#[from] NoFile),
}

impl Media {
    pub(super) fn new(
        settings: &MediaSettings,
        public_url: &str,
        store: Arc<dyn Store>,
        world: World,
    ) -> Self {
        Self {
            given: settings.keys.clone(),
            keys: OnceCell::new(),
            store,
            public_url: public_url.to_string(),
            ttl: settings.ttl,
            max: settings.max,
            slots: Arc::new(Semaphore::new(settings.at_once.clamp(1, Semaphore::MAX_PERMITS))),
            world,
        }
    }

    /// Gives the attachments that the platform can't fetch itself URLs of the gateway.
    pub(super) async fn link(&self, channel: &ChannelSettings, event: &mut Event) -> Result<(), StoreError> {
        if !event.content.attachments.is_empty() {
            let links = Links { keys: self.keys().await?, public_url: &self.public_url, ttl: self.ttl };
            links.link(&channel.plan, &channel.channel, event, &self.world);
        }
        Ok(())
    }

    async fn keys(&self) -> Result<&Keys, StoreError> {
        self.keys
            .get_or_try_init(|| async {
                let mut given = self.given.iter().map(|key| key.clone().into_bytes());
                if let Some(first) = given.next() {
                    return Ok(Keys::new(first, given));
                }
                let mut fresh = vec![0; 32];
                self.world.fill(&mut fresh);
                Ok(Keys::new(self.store.secret(KEPT.into(), fresh).await?, []))
            })
            .await
    }
}

impl Gateway {
    /// Opens the file that a token stands for.
    pub async fn file(&self, token: &str, asked: &Asked) -> Result<File, Unserved> {
        let media = &self.media;
        let token = media.keys().await?.verify(token, self.world.now())?;
        let Some(channel) = self.channels.get(&token.channel) else { return Err(Unserved::NoChannel) };
        let Ok(slot) = media.slots.clone().try_acquire_owned() else { return Err(Unserved::Busy) };
        let max = channel.plan.fetch.max.map_or(media.max, |max| max.min(media.max));
        let mut fetching = Fetching::new(
            &channel.plan,
            &channel.channel,
            token.source.clone(),
            self.calls.clone(),
            &self.world,
            channel.limits.timeout,
        );
        fetching = fetching.about(recall(&*self.store, channel, "", self.world.now()).await?);
        let opened = open(&mut fetching, &*self.transport, &self.calls, asked, max).await;
        if !fetching.remembered().is_empty() {
            self.store.remember(fetching.remembered().to_vec()).await?;
        }
        let download = opened.inspect_err(|error| {
            let what = match &token.source {
                Source::Url { .. } => "a URL",
                Source::Call { call, .. } => call,
            };
            let reason = error.reason();
            let reason = channel.channel.redact(&reason);
            tracing::warn!(channel = %token.channel, %what, %reason, "a file was not passed on");
        })?;
        tracing::debug!(channel = %token.channel, status = download.status, head = asked.head, "a file is passed on");
        Ok(File::of(download, &token, asked, max, self.world.now(), slot))
    }
}
