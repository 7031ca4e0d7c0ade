//! A parked webhook goes through its mapping again.
//!
//! It was proven to be the provider's when it came, and the journal keeps no header that proves something; so the proofs are
//! left out, for what the journal holds and for nothing else.

use percent_encoding::percent_decode_str;
use smol_str::SmolStr;

use super::desk::Desk;
use super::poll::Poke;
use super::webhook::{Origin, store_verdict};
use crate::expression::Value;
use crate::pipeline::{Incoming, Received, Site, Verdict, find_route, receive_again};
use crate::store::{self, Acceptance, JournalEntry, Replay, StoreError, Webhook};

impl Desk {
    /// Replays one that is parked; the inner error says why it stays so.
    pub(super) async fn replay_webhook(&self, webhook: &Webhook) -> Result<Result<(), String>, StoreError> {
        let at = self.world.now();
        let mut acceptance = Acceptance { at, ..Acceptance::default() };
        let mut pokes = Vec::new();
        let replayed = self.again(&webhook.entry).map(|(received, request, shared, route)| {
            let origin = Origin { request: Some(&request), route: &route, shared };
            acceptance.remember.clone_from(&received.remember);
            for routed in &received.events {
                self.channels.add(&mut acceptance, routed, &origin);
            }
            pokes = self.polls.due(&received.polls, &mut acceptance);
            received
        });
        let (verdict, reason) = match &replayed {
            Err(reason) => (store::Verdict::Parked, Some(format!("parked: {reason}"))),
            // What can't be read is refused when it comes, for the provider to see; here only the operator sees it.
            Ok(received) if received.parked.is_none() && received.verdict == Verdict::Rejected => {
                (store::Verdict::Parked, received.reason.as_ref().map(|reason| format!("parked: {reason}")))
            }
            Ok(received) => {
                (store_verdict(received), received.reason.clone().or_else(|| Some("replayed".into())))
            }
        };
        acceptance.replays = Some(Replay { webhook: webhook.id, verdict, reason: reason.clone() });
        self.accept(&acceptance).await?;
        pokes.into_iter().for_each(Poke::now);
        Ok(match verdict {
            store::Verdict::Parked => Err(reason.unwrap_or_default()),
            _ => Ok(()),
        })
    }

    /// What the mapping makes of it now; also the request, whether its route is a shared one, and the route's name.
    fn again(&self, entry: &JournalEntry) -> Result<(Received, Incoming, bool, SmolStr), String> {
        let called = Path::of(entry).ok_or_else(|| format!("`{}` is no URL of a webhook", entry.url))?;
        let found = if called.shared {
            let found = self.channels.mappings.get(&entry.mapping);
            found.ok_or_else(|| format!("no channel uses the mapping `{}`", entry.mapping))?
        } else {
            let name = entry.channel.as_deref().unwrap_or_default();
            self.channels.get(name).ok_or_else(|| format!("there is no channel `{name}`"))?
        };
        let request = Incoming {
            method: entry.method.clone(),
            url: entry.url.clone(),
            query: called.query,
            route: called.route,
            headers: headers(&entry.headers),
            body: entry.body.clone(),
            ip: String::new(),
        };
        let route = find_route(&found.plan, called.shared, &request.method, &request.route)
            .map_err(|problem| problem.to_string())?;
        let name = SmolStr::from(route.webhook.route());
        let site = Site {
            plan: &found.plan,
            channel: (!called.shared).then_some(&*found.channel),
            deployment: &found.channel.deployment,
            directory: &*self.channels,
            world: &self.world,
        };
        Ok((receive_again(&site, route, &request), request, called.shared, name))
    }
}

/// What the URL of a webhook said.
#[derive(Debug, PartialEq, Eq)]
struct Path {
    shared: bool,
    route: String,
    query: String,
}

impl Path {
    /// Where the gateway's public URL may have changed since, and may have a path of its own, the first that looks like a
    /// webhook's path is it.
    fn of(entry: &JournalEntry) -> Option<Self> {
        let (path, query) = entry.url.split_once('?').unwrap_or((&entry.url, ""));
        let start = |prefix: &str, name: &str| path.find(&format!("/{prefix}/{name}"));
        let own = entry.channel.as_deref().and_then(|name| Some((start("channels", name)?, name)));
        let shared = start("providers", &entry.mapping).map(|at| (at, entry.mapping.as_str()));
        let is_shared = match (own, shared) {
            (Some((own, _)), Some((shared, _))) => shared < own,
            (_, shared) => shared.is_some(),
        };
        let (prefix, (at, name)) = if is_shared { ("/providers/", shared?) } else { ("/channels/", own?) };
        let rest = path.get(at + prefix.len() + name.len()..)?;
        let route = percent_decode_str(rest.strip_prefix('/').unwrap_or(rest)).decode_utf8_lossy();
        Some(Self { shared: is_shared, route: route.into_owned(), query: query.to_owned() })
    }
}

/// The headers that the journal kept.
fn headers(json: &str) -> Vec<(SmolStr, SmolStr)> {
    // It was written by us.
    let kept = Value::from_json(json.as_bytes()).unwrap_or_default();
    let Some(kept) = kept.as_map() else { return Vec::new() };
    kept.iter().map(|(name, value)| (name.clone(), value.to_text())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(channel: Option<&str>, url: &str) -> Option<(bool, String, String)> {
        let entry = JournalEntry {
            received_at: 0,
            channel: channel.map(SmolStr::from),
            mapping: "m".into(),
            route: "r".into(),
            method: "POST".into(),
            url: url.into(),
            headers: "{}".into(),
            body: bytes::Bytes::new(),
            verdict: store::Verdict::Parked,
            reason: None,
        };
        Path::of(&entry).map(|path| (path.shared, path.route, path.query))
    }

    #[test]
    fn the_url_tells_route_and_query() {
        let is = |shared: bool, route: &str, query: &str| Some((shared, route.to_owned(), query.to_owned()));
        assert_eq!(path(Some("c"), "https://a/channels/c/r/x%20y?q=1&p"), is(false, "r/x y", "q=1&p"));
        assert_eq!(path(Some("c"), "https://a/gw/channels/c"), is(false, "", ""));
        assert_eq!(path(None, "https://a/providers/m/r"), is(true, "r", ""));
        assert_eq!(path(Some("c"), "https://a/providers/m/channels/c"), is(true, "channels/c", ""));
        assert_eq!(path(Some("c"), "https://a/channels/c/providers/m"), is(false, "providers/m", ""));
        assert_eq!(path(None, "https://a/other/m/r"), None);
    }
}
