//! `POST /message`: a message of the platform is accepted.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use smol_str::SmolStr;

use super::Gateway;
use super::to_provider::recall;
use crate::load::ChannelSettings;
use crate::message::EventKind;
use crate::pipeline::{Next, Progress, Sending};
use crate::platform::{is_alias, read_message};
use crate::store::{Acceptance, Lane, NewDelivery, StoreError};

/// What is answered to the platform.
pub type MessageAnswer = Result<String, Refused>;

/// Why a message was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The channel is not known.
    #[error("there is no channel `{0}`")]
    NoChannel(String),
    /// The token is missing or wrong.
    #[error("the API token is missing or wrong")]
    Token,
    /// It can't be sent, ever.
    #[error("{0}")]
    Message(String),
    /// The mapping has no such action.
    #[error("{0}")]
    NoAction(String),
    /// Too much of it is under way.
    #[error("too many actions are under way")]
    Busy,
    /// The provider did not do what was asked.
    #[error("{0}")]
    Provider(String),
    /// It can't be stored now.
    #[error("the gateway can't store messages now: {0}")]
    Store(#[from] StoreError),
}

impl Gateway {
    /// Accepts a message for the channel of that name; without one the token tells the channel. Gives our id of it.
    pub async fn accept_message(
        &self,
        channel: Option<&str>,
        authorization: Option<&str>,
        body: Bytes,
    ) -> MessageAnswer {
        let channel = match channel {
            Some(name) => self.channel(name, authorization)?,
            None => self.by_token(authorization, &body).ok_or(Refused::Token)?,
        };
        let mut message = read_message(&body).map_err(|refusal| Refused::Message(refusal.0))?;
        message.contact_id = self.contact(channel, message.contact_id).await?;
        message.id = self.world.new_id();
        // What can never be sent is refused now, while an agent sees it.
        let memory = recall(&*self.store, channel, &message.contact_id, self.world.now()).await?;
        let (plan, settings, cache) = (&channel.plan, &channel.channel, self.calls.clone());
        let next = Sending::new(plan, settings, memory, &message, Progress::default(), cache, &self.world)
            .map_err(|failure| Refused::Message(failure.to_string()))?
            .step();
        if let Next::Done(outcome) = next {
            return Err(Refused::Message(outcome.fault().map(ToString::to_string).unwrap_or_default()));
        }
        let payload = serde_json::to_vec(&message).map_err(|error| Refused::Message(error.to_string()))?;
        let lane = Lane::outbound(channel.channel.name.clone());
        let (contact, mid) = (&message.contact_id, &message.id);
        let within = channel.limits.conversation;
        let bulk = !within.is_zero()
            && !self.conversations.is_live(&lane.channel, contact, self.world.now(), within);
        let delivery =
            NewDelivery { bulk, ..NewDelivery::new(lane, contact, mid, EventKind::Message, payload.into()) };
        let acceptance =
            Acceptance { at: self.world.now(), deliveries: vec![delivery], ..Acceptance::default() };
        self.store.accept(acceptance).await?;
        Ok(message.id)
    }

    /// The channel of that name, if the token is its own.
    pub(super) fn channel(
        &self,
        name: &str,
        authorization: Option<&str>,
    ) -> Result<&std::sync::Arc<ChannelSettings>, Refused> {
        let channel = self.channels.get(name).ok_or_else(|| Refused::NoChannel(name.into()))?;
        if channel.token.is_carried_by(authorization) { Ok(channel) } else { Err(Refused::Token) }
    }

    /// The provider's address of a contact as the platform knows it.
    pub(super) async fn contact(&self, channel: &ChannelSettings, given: String) -> Result<String, Refused> {
        if !is_alias(&given) {
            return Ok(given);
        }
        let original = self.store.original(channel.channel.name.clone(), SmolStr::new(&given)).await?;
        original
            .map(String::from)
            .ok_or_else(|| Refused::Message(format!("the contact `{given}` has never written")))
    }

    /// The channel that a token stands for; where several share one, `channelId` in the body decides.
    fn by_token(&self, authorization: Option<&str>, body: &[u8]) -> Option<&std::sync::Arc<ChannelSettings>> {
        let token = authorization?.split_once(' ')?.1.trim();
        // The look-up goes by digest, so its time tells nothing about the token.
        let digest: [u8; 32] = Sha256::digest(format!("Bearer {token}").as_bytes()).into();
        let names = self.channels.by_token.get(&digest)?;
        let channels = || names.iter().filter_map(|name| self.channels.get(name));
        let channel = match names.len() {
            1 => channels().next(),
            _ => {
                let given = crate::expression::Value::from_json(body).ok()?.get("channelId").to_text();
                channels().find(|channel| channel.platform.channel_id == given)
            }
        };
        channel.filter(|channel| channel.token.is_carried_by(authorization))
    }
}
