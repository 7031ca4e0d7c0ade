//! Events to the platform.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use smol_str::SmolStr;
use url::Url;

use super::Channels;
use super::conversations::Conversations;
use super::media::Media;
use super::parcel::Parcel;
use crate::call::{
    self, CallCache, Departure, Outgoing, Payload, Response, Shown, Transport, TransportError, retry_after,
};
use crate::delivery::{Carrier, Contacted, Outcome, Report};
use crate::load::ChannelSettings;
use crate::memory::Remember;
use crate::message::Fault;
use crate::platform::Posting;
use crate::store::{Delivery, Store};
use crate::world::{Millis, World};

/// How long the platform's answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How much of a refusal is kept, in characters.
const LONGEST_REASON: usize = 300;

pub(super) struct ToPlatform {
    pub(super) channels: Arc<Channels>,
    pub(super) store: Arc<dyn Store>,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) calls: Arc<CallCache>,
    pub(super) media: Arc<Media>,
    conversations: Arc<Conversations>,
    pub(super) world: World,
}

/// What there is to say of an attempt beside its outcome: see [`Report`].
#[derive(Default)]
pub(super) struct Beside {
    pub(super) joined: usize,
    pub(super) remember: Vec<Remember>,
    pub(super) contacted: Option<Contacted>,
    departure: Departure,
}

impl ToPlatform {
    pub(super) fn new(
        channels: Arc<Channels>,
        store: Arc<dyn Store>,
        transport: Arc<dyn Transport>,
        calls: Arc<CallCache>,
        media: Arc<Media>,
        conversations: Arc<Conversations>,
        world: World,
    ) -> Self {
        Self { channels, store, transport, calls, media, conversations, world }
    }

    /// Posts an event, and those of `more` that may go with it.
    async fn post(&self, delivery: &Delivery, more: &[Arc<Delivery>], beside: &mut Beside) -> Outcome {
        let Some(channel) = self.channels.get(&delivery.lane.channel) else {
            return retry("channel", "the channel is not configured", None);
        };
        let parcel = match serde_json::from_slice::<Parcel>(&delivery.payload) {
            Ok(parcel) => parcel,
            Err(error) => {
                return Outcome::Failed {
                    fault: broken(format!("the event in the store can't be read: {error}")),
                };
            }
        };
        if let Some(id) = &parcel.unless_sent {
            match self.store.sent(delivery.lane.channel.clone(), id.into()).await {
                Ok(None) => {}
                Ok(Some(ours)) => {
                    tracing::debug!(lane = %delivery.lane, mid = %delivery.mid, ours = %ours.mid, "we sent this ourselves");
                    return Outcome::Sent { ids: Vec::new(), rest: None };
                }
                Err(error) => return retry("store", &error.to_string(), None),
            }
        }
        let is_plain = parcel.is_plain();
        let mut event = match &parcel.deferred {
            None => parcel.event,
            Some(deferred) => {
                let whole = self.whole(channel, delivery, &parcel.event, deferred, &mut beside.remember);
                match whole.await {
                    Ok(event) => event,
                    Err(outcome) => return outcome,
                }
            }
        };
        self.name(channel, &mut event, &mut beside.remember).await;
        // Now, since from now on the URLs are good.
        if let Err(error) = self.media.link(channel, &mut event).await {
            return retry("store", &error.to_string(), None);
        }
        let url = match channel.webhook_url.parse() {
            Ok(url) => url,
            Err(error) => {
                return retry("connect", &format!("the platform's URL is not valid: {error}"), None);
            }
        };
        let mut posting = match Posting::of(&channel.platform, &event) {
            Ok(Some(posting)) => posting,
            Ok(None) => return Outcome::Sent { ids: Vec::new(), rest: None },
            Err(problem) => return Outcome::Failed { fault: broken(problem.to_string()) },
        };
        if is_plain {
            self.join(channel, &mut posting, delivery, more, beside).await;
        }
        let request = match request(channel, url, posting, beside.departure.clone()) {
            Ok(request) => request,
            Err(fault) => return Outcome::Failed { fault },
        };
        let answer = call::send(&*self.transport, &request).await;
        beside.contacted = super::contacted(&request, &answer);
        match answer {
            Ok(response) => judge(&delivery.lane.channel, &response, self.world.now()),
            Err(error) => unreachable_platform(&error),
        }
    }
}

impl Carrier for ToPlatform {
    fn attempt<'a>(
        &'a self,
        first: &'a Arc<Delivery>,
        more: &'a [Arc<Delivery>],
        departure: Departure,
    ) -> BoxFuture<'a, Report> {
        Box::pin(async move {
            self.conversations.learn(first);
            more.iter().for_each(|delivery| self.conversations.learn(delivery));
            let mut beside = Beside { departure, ..Beside::default() };
            let outcome = self.post(first, more, &mut beside).await;
            let Beside { joined, remember, contacted, .. } = beside;
            // The platform knows an event that it has by its id.
            Report { outcome, joined, remember, contacted, in_doubt: false }
        })
    }
}

/// What the platform's answer means.
fn judge(channel: &str, response: &Response, now: Millis) -> Outcome {
    let status = response.status;
    if (200..300).contains(&status) {
        return Outcome::Sent { ids: Vec::new(), rest: None };
    }
    let body = String::from_utf8_lossy(&response.body);
    let reason: String = body.trim().chars().take(LONGEST_REASON).collect();
    let fault =
        Fault { code: status.to_string(), message: format!("the platform answered {status}: {reason}") };
    let header =
        response.headers.iter().find(|(name, _)| name == "retry-after").map(|(_, value)| value.as_str());
    let after = header.and_then(|text| retry_after(text, now)).map(Duration::from_millis);
    match status {
        429 => Outcome::Throttled { after, fault, progress: None },
        // The token is wrong for every message of the channel, until the operator mends it: the lane rests.
        401 | 403 => {
            tracing::error!(channel, reason = fault.message, "the platform refuses the API token");
            Outcome::Throttled { after, fault, progress: None }
        }
        // A redirect is not followed: the token is for the configured URL alone. It is the operator's to mend, not
        // the end of the message.
        300..=399 | 408 | 425 | 449 | 500.. if after.is_some() => {
            Outcome::Throttled { after, fault, progress: None }
        }
        300..=399 | 408 | 425 | 449 | 500.. => Outcome::Retry { after: None, fault, progress: None },
        _ => Outcome::Failed { fault },
    }
}

fn broken(message: String) -> Fault {
    Fault { code: "event".into(), message }
}

/// The request that posts something.
fn request(
    channel: &ChannelSettings,
    url: Url,
    posting: Posting,
    departure: Departure,
) -> Result<Outgoing, Fault> {
    let body = posting.body(&channel.platform);
    let json = body.to_json().ok_or_else(|| broken("the event holds bytes".into()))?;
    Ok(Outgoing {
        method: SmolStr::new_static("POST"),
        urls: vec![url],
        headers: vec![
            (SmolStr::new_static("authorization"), channel.token.bearer()),
            (SmolStr::new_static("content-type"), "application/json".into()),
        ],
        body: Payload::Bytes(json.into()),
        shown: Shown::Nothing,
        timeout: TIMEOUT,
        departure,
    })
}

fn retry(code: &str, message: &str, after: Option<Duration>) -> Outcome {
    Outcome::Retry { after, fault: Fault { code: code.into(), message: message.into() }, progress: None }
}

fn unreachable_platform(error: &TransportError) -> Outcome {
    retry(error.code(), &format!("the platform can't be reached: {error}"), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, headers: &[(&str, &str)]) -> Outcome {
        let headers =
            headers.iter().map(|(name, value)| (SmolStr::new(name), (*value).to_string())).collect();
        let response = Response { status, headers, body: "why".into() };
        judge("channel", &response, 0)
    }

    #[test]
    fn what_the_platform_s_answer_means() {
        assert!(matches!(judged(204, &[]), Outcome::Sent { .. }));
        for status in [301, 408, 425, 449, 500, 503] {
            assert!(matches!(judged(status, &[]), Outcome::Retry { .. }), "{status}");
        }
        let after = Some(Duration::from_secs(3));
        for status in [429, 503] {
            let outcome = judged(status, &[("retry-after", "3")]);
            assert!(matches!(outcome, Outcome::Throttled { after: given, .. } if given == after), "{status}");
        }
        for status in [400, 404, 413, 422] {
            assert!(matches!(judged(status, &[]), Outcome::Failed { .. }), "{status}");
        }
    }

    #[test]
    fn a_refused_token_is_the_operator_s_to_mend_and_loses_no_message() {
        for status in [401, 403] {
            assert!(matches!(judged(status, &[]), Outcome::Throttled { after: None, .. }), "{status}");
        }
    }
}
