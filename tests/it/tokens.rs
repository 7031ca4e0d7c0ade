//! Tokens that several nodes share: each is fetched by one of them.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::Database;
use crate::support::{Api, Asked, Folder, Gateway, Platform, TOKEN, among_others, http, say, until};

const CHANNELS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// Two nodes on one database, between a platform and a provider.
struct Cluster {
    nodes: [Gateway; 2],
    platform: Platform,
    provider: Provider,
    _database: Database,
    _folders: [Folder; 2],
}

/// A provider to whom only the last token of a channel is good that it gave.
struct Provider {
    api: Api,
    good: Arc<Mutex<BTreeMap<String, u64>>>,
}

/// An action of a channel on a node.
fn act(node: &Gateway, channel: &str) -> std::io::Result<http::Answer> {
    let url = format!("{}/actions/typing", node.base_url(channel));
    let authorization = format!("Bearer {TOKEN}");
    http::exchange("POST", &url, &[("authorization", &authorization)], br#"{"contactId":"ann"}"#)
}

impl Provider {
    /// Giving a token takes as long as `takes` says, for each time that one is given.
    fn start(takes: impl Fn(u64) -> Duration + Send + Sync + 'static) -> Self {
        let good = Arc::<Mutex<BTreeMap<String, u64>>>::default();
        let given = good.clone();
        let api = Api::start(move |asked| {
            if asked.path != "/token" {
                let token = asked.json["token"].as_str().unwrap_or_default();
                let (channel, number) = token.split_once(' ').unwrap_or_default();
                let is_good =
                    given.lock().unwrap().get(channel).is_some_and(|last| last.to_string() == number);
                return if is_good { (200, json!({"id": token})) } else { (401, json!({})) };
            }
            let channel = asked.json["channel"].as_str().unwrap().to_owned();
            let number = {
                let mut given = given.lock().unwrap();
                let number = given.entry(channel.clone()).or_default();
                *number += 1;
                *number
            };
            sleep(takes(number));
            (200, json!({"token": format!("{channel} {number}")}))
        });
        Self { api, good }
    }

    /// The requests for a token.
    fn asked(&self) -> Vec<Asked> {
        self.api.asked("/token")
    }

    /// No token that was given is good any more.
    fn revoke(&self) {
        self.good.lock().unwrap().values_mut().for_each(|last| *last += 100);
    }
}

impl Cluster {
    fn start(takes: impl Fn(u64) -> Duration + Send + Sync + 'static) -> Option<Self> {
        let (database, folders) = (Database::new()?, [Folder::new(), Folder::new()]);
        let known = CHANNELS.map(|name| format!("{name}:{TOKEN}:custom"));
        let platform = Platform::start(&known.each_ref().map(String::as_str), 0, &folders[0]);
        let provider = Provider::start(takes);
        let mut nodes = folders.each_ref().map(Gateway::new);
        for (node, name) in nodes.iter_mut().zip(["one", "two"]) {
            let mut installation = format!(
                "store: \"{}\"\nmappings: [{}/tests/it/tokens.yaml]\nnetwork: {{allow_private: true}}\n\
                 platform: {{webhook_url: \"{}\"}}\nchannels:\n",
                database.address(),
                env!("CARGO_MANIFEST_DIR"),
                platform.webhook_url(),
            );
            for channel in CHANNELS {
                // A lane that waits longer for its turn than leave to fetch a token is kept.
                installation.push_str(&format!(
                    "  {channel}: {{mapping: tokens, platform: {{channel_id: {channel}, token: {{env: TOKEN}}}}, \
                     limits: {{rate: 1/2s}}, config: {{url: \"{}\", node: {name}}}}}\n",
                    provider.api.url
                ));
            }
            node.configure(&installation, &[("TOKEN", TOKEN)]);
            node.start();
        }
        Some(Self { nodes, platform, provider, _database: database, _folders: folders })
    }

    /// An action of a channel on both nodes at once; the status with which each ends.
    fn act(&self, channel: &str) -> [u16; 2] {
        scope(|scope| {
            let acting = self
                .nodes
                .each_ref()
                .map(|node| scope.spawn(move || act(node, channel).map_or(0, |answer| answer.status)));
            acting.map(|acting| acting.join().unwrap())
        })
    }

    /// A text on each channel is handed over to a node, and reaches the provider.
    fn send(&self, node: usize, text: &str) {
        for channel in CHANNELS {
            self.platform.send(&self.nodes[node].base_url(channel), TOKEN, "ann", text);
        }
        let sent = || {
            let sent = self.provider.api.asked("/send");
            sent.iter().filter(|asked| asked.json["text"] == text).count()
        };
        until(text, 30, || (sent() >= CHANNELS.len()).then_some(()));
    }
}

#[test]
fn nodes_that_want_a_token_at_once_fetch_one() {
    let _turn = among_others();
    let Some(cluster) = Cluster::start(|_| Duration::from_millis(500)) else { return };
    let began = Instant::now();
    assert_eq!(cluster.act("a"), [200, 200]);
    say(format!("an action on two nodes at once took {} ms", began.elapsed().as_millis()));
    assert_eq!(cluster.provider.asked().len(), 1);
    cluster.provider.revoke();
    assert_eq!(cluster.act("a"), [200, 200]);
    assert_eq!(cluster.provider.asked().len(), 2, "a token that was revoked is fetched anew once");
    assert_eq!(cluster.act("b"), [200, 200]);
    assert_eq!(cluster.provider.asked().len(), 3);
}

#[test]
fn tokens_outlive_the_node_that_fetched_them() {
    let _turn = among_others();
    let Some(mut cluster) = Cluster::start(|_| Duration::ZERO) else { return };
    cluster.send(1, "first");
    let asked = cluster.provider.asked();
    let by_one = asked.iter().filter(|asked| asked.json["node"] == "one").count();
    assert_eq!(asked.len(), CHANNELS.len());
    assert!(by_one > 0, "{asked:?}");
    cluster.nodes[0].kill();
    let began = Instant::now();
    cluster.send(1, "second");
    say(format!(
        "{by_one} of {} tokens were fetched by the node that was killed; the other sent with them after {:.1} s",
        CHANNELS.len(),
        began.elapsed().as_secs_f64()
    ));
    assert_eq!(cluster.provider.asked().len(), CHANNELS.len());
    let asked = cluster.provider.api.asked("/send");
    let second = asked.iter().filter(|asked| asked.json["text"] == "second").count();
    assert_eq!(second, CHANNELS.len(), "no token was refused: {asked:?}");
}

#[test]
fn a_token_that_a_node_died_over_is_fetched_by_another() {
    let _turn = among_others();
    let slow_at_first = |number| Duration::from_secs(if number == 1 { 60 } else { 0 });
    let Some(mut cluster) = Cluster::start(slow_at_first) else { return };
    let Cluster { nodes, provider, .. } = &mut cluster;
    let url = format!("{}/actions/typing", nodes[0].base_url("a"));
    let (authorization, body) = (format!("Bearer {TOKEN}"), br#"{"contactId":"ann"}"#);
    let headers = [("authorization", authorization.as_str())];
    let mut in_vain = http::open("POST", &url, &headers, body.len()).unwrap();
    in_vain.write_all(body).unwrap();
    until("a token is asked for", 20, || (provider.asked().len() == 1).then_some(()));
    let [one, two] = nodes;
    let (status, waited) = scope(|scope| {
        let acting = scope.spawn(|| act(two, "a").unwrap().status);
        sleep(Duration::from_secs(1));
        assert_eq!(provider.asked().len(), 1, "the other node waits");
        one.kill();
        let killed = Instant::now();
        (acting.join().unwrap(), killed.elapsed())
    });
    say(format!("the other node had a token {:.1} s after the kill", waited.as_secs_f64()));
    assert_eq!((status, provider.asked().len()), (200, 2));
}
