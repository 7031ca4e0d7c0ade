//! The gateway's transport to the scripted network: what is said there, in HTTP.

use std::time::Duration;

use bytes::Bytes;
use patchcord::call::{Answer, Outgoing, Response, Transport, TransportError};
use patchcord::message::{EventKind, Status};
use patchcord::store::Lane;
use patchcord::world::{Clock as _, Millis};
use serde_json::{Value, json};
use smol_str::SmolStr;
use tokio::time::sleep;
use url::Url;

use super::carrier::Wire;
use super::log::{CALL, Event, Item, Said};
use super::network::Terms;

/// A request as the other side reads it.
struct Read {
    item: Item,
    more: Vec<Item>,
    contact: String,
    part: usize,
}

impl Transport for Wire {
    fn exchange<'a>(&'a self, request: &'a Outgoing, url: &'a Url) -> Answer<'a> {
        Box::pin(async move {
            self.breathe().await;
            let read = read(url.as_str(), &request.body.bytes().unwrap());
            let token = request.headers.iter().find(|(name, _)| name == "authorization");
            let token = token.map(|(_, value)| value.trim_start_matches("Bearer "));
            let terms = Terms { part: read.part, token, timeout: Some(request.timeout) };
            let exchange = self.network.meet(self.life, read.item, read.more, &read.contact, &terms);
            self.depart(&exchange, &request.departure).await;
            sleep(exchange.takes).await;
            self.breathe().await;
            self.network.log.note(Event::Hears { attempt: exchange.attempt });
            self.answer(exchange.said)
        })
    }
}

impl Wire {
    fn answer(&self, said: Said) -> Result<Response, TransportError> {
        let error = |what: &str| json!({"error": what});
        match said {
            Said::Taken { id, .. } => Ok(response(200, None, &json!({"id": id}))),
            Said::Token(token) => Ok(response(200, None, &json!({"token": token}))),
            Said::Expired => Ok(response(401, None, &error("token"))),
            Said::Throttled(after) => {
                // Both statuses mean it, where they say for how long.
                let status = if after.is_some_and(|after| after.as_millis() % 2 == 1) { 503 } else { 429 };
                Ok(response(status, after.map(|after| self.retry_after(after)), &error("slow")))
            }
            Said::Trouble(_) => Ok(response(500, None, &error("ill"))),
            Said::Refused => Ok(response(400, None, &error("no"))),
            Said::OptOut => Ok(response(400, None, &error("stop"))),
            Said::Lost { .. } => Err(TransportError::Broken("it was cut".into())),
            Said::Unreachable => Err(TransportError::Connect("nobody is there".into())),
            Said::Silent => Err(TransportError::Timeout),
            // Without the words that a panic puts on the screen.
            Said::Panic => std::panic::resume_unwind(Box::new(())),
        }
    }

    /// The header in one of its two forms; both know whole seconds only, so they say a little more.
    fn retry_after(&self, after: Duration) -> String {
        let millis = Millis::try_from(after.as_millis()).unwrap();
        if self.network.dates {
            let until = self.network.log.wall.now() + millis;
            let until = jiff::Timestamp::from_second(until.div_euclid(1000) + 1).unwrap();
            return jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&until).unwrap();
        }
        after.as_millis().div_ceil(1000).to_string()
    }
}

fn response(status: u16, after: Option<String>, body: &Value) -> Response {
    let mut headers = vec![(SmolStr::new("content-type"), "application/json".to_owned())];
    headers.extend(after.map(|after| (SmolStr::new("retry-after"), after)));
    Response { status, headers, body: body.to_string().into() }
}

/// `https://CHANNEL.test/...` is the channel's provider, `https://platform.test/CHANNEL` the platform.
fn read(url: &str, body: &Bytes) -> Read {
    let url = url.strip_prefix("https://").unwrap();
    let (host, path) = url.split_once('/').unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if path == "token" {
        let lane = Lane::outbound(host.trim_end_matches(".test"));
        let item = Item { lane, mid: SmolStr::default(), kind: CALL, status: None };
        return Read { item, more: Vec::new(), contact: String::new(), part: 0 };
    }
    let body: Value = serde_json::from_slice(body).unwrap();
    if host == "platform.test" {
        let mut items = body["events"].as_array().unwrap().iter().map(|event| told(path, event));
        let (item, more) = (items.next().unwrap(), items.collect());
        return Read { item, more, contact: text(&body["contactId"]), part: 0 };
    }
    let lane = Lane::outbound(host.trim_end_matches(".test"));
    let item = Item::new(&lane, &text(&body["message"]), EventKind::Message, None);
    let part = body["part"].as_u64().unwrap();
    Read { item, more: Vec::new(), contact: text(&body["to"]), part: usize::try_from(part).unwrap() }
}

/// What the platform is told with one event.
fn told(channel: &str, event: &Value) -> Item {
    let status = event["status"]["value"].as_str().map(|word| {
        *[Status::Sent, Status::Delivered, Status::Read, Status::Failed]
            .iter()
            .find(|status| status.as_str() == word)
            .unwrap()
    });
    let kind = if status.is_some() { EventKind::MessageStatus } else { EventKind::Message };
    Item::new(&Lane::inbound(channel), event["mId"].as_str().unwrap(), kind, status)
}
