//! Three gateways on one PostgreSQL, each with a way of its own to it, behind a balancer: killed, stopped for longer than
//! their leases and woken, cut off from the database, handed over, and the database restarted, all under load. Nothing that
//! was accepted is lost, the order of each contact is kept, and no second holds more requests than the rate allows, as the
//! receivers count them.
//!
//! `PATCHCORD_FAULTS` sets how many (8 unless set); `PATCHCORD_SEED` repeats them.

mod server;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_postgres::Config;

use self::server::Server;
use crate::crash::{Dice, number, seed};
use crate::support::{Database, Folder, Gateway, Passage, Platform, Provider, TOKEN, Way, alone, http, say};

const NODES: usize = 3;
const CONTACTS: u64 = 10;

/// What a channel is for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// 20 requests a second each way; nobody tells how messages fare.
    Paced,
    /// As fast as it goes, with receipts.
    Fast,
    /// Shares a credential with the others of this kind, which allows 10 a second.
    Sharing,
}

/// A channel with what is at both ends of it.
struct Channel {
    name: &'static str,
    kind: Kind,
    platform: Platform,
    provider: Provider,
    _folder: Folder,
}

/// Nodes, and the ways to them and from them to the database.
struct Cluster {
    nodes: Vec<Gateway>,
    front: Passage,
    database: Database,
    channels: Vec<Channel>,
    _folders: Vec<Folder>,
}

impl Cluster {
    fn start(server: Config, channels: &[(&'static str, Kind)]) -> Self {
        let database = Database::on(server, NODES);
        let folders: Vec<Folder> = (0..NODES).map(|_| Folder::new()).collect();
        let mut nodes: Vec<Gateway> = folders.iter().map(Gateway::new).collect();
        let addresses = nodes.iter().map(|node| node.url.trim_start_matches("http://").to_owned());
        let front = Passage::among(addresses.collect());
        let url = format!("http://127.0.0.1:{}", front.port);
        let start = |(name, kind): &(&'static str, Kind)| {
            let folder = Folder::new();
            let platform = Platform::start(&[&format!("{name}:{TOKEN}")], 0, &folder);
            let provider = Provider::start(&format!("{url}/channels/{name}/events"), &folder);
            if *kind == Kind::Paced {
                let quiet = json!({"json": {"id": "{{id}}", "status": "queued"}});
                provider.script(&json!({"answers": [], "default": quiet}));
            }
            Channel { name, kind: *kind, platform, provider, _folder: folder }
        };
        let channels: Vec<Channel> = channels.iter().map(start).collect();
        // The channels that share a credential have one provider.
        let shared = channels.iter().find(|it| it.kind == Kind::Sharing).map(|it| it.provider.url.clone());
        let mut common = format!(
            "mappings: [{root}/src/sandbox/stand_in.yaml, {root}/tests/it/credential.yaml]\n\
             public_url: {url}\nnetwork: {{allow_private: true}}\nserver: {{drain: 5s}}\nchannels:\n",
            root = env!("CARGO_MANIFEST_DIR"),
        );
        for (at, channel) in channels.iter().enumerate() {
            let (name, provider) = (channel.name, &channel.provider.url);
            let rate = if channel.kind == Kind::Paced { "20/s" } else { "unlimited" };
            let rest = match (channel.kind, &shared) {
                (Kind::Sharing, Some(provider)) => {
                    format!("mapping: credential, config: {{url: \"{provider}\", account: {{env: KEY}}}}")
                }
                _ => format!(
                    "mapping: stand_in, limits: {{rate: {rate}}}, retry: {{first: 100ms, max: 1s, attempts: 100}}, \
                     config: {{url: \"{provider}\", token: {{env: KEY}}, secret: {{env: SECRET}}, sender: \"+6030000000{at}\"}}"
                ),
            };
            let _ = writeln!(
                common,
                "  {name}: {{{rest}, platform: {{webhook_url: \"{}\", channel_id: {name}, token: {{env: TOKEN}}, rate: {rate}}}}}",
                channel.platform.webhook_url()
            );
        }
        for (at, node) in nodes.iter_mut().enumerate() {
            let installation = format!("store: \"{}\"\n{common}", database.address_by(at));
            let secrets = [("TOKEN", TOKEN), ("KEY", "sandbox-key"), ("SECRET", "sandbox-secret")];
            node.configure(&installation, &secrets);
            node.start();
        }
        Self { nodes, front, database, channels, _folders: folders }
    }

    /// The API Base URL of a channel, by the balancer.
    fn base_url(&self, channel: &str) -> String {
        format!("http://127.0.0.1:{}/channels/{channel}", self.front.port)
    }

    /// Lets something go wrong with a node or the database, and mends it; says what it was.
    fn fault(&mut self, kind: u64, node: usize, server: Option<&Server>, dice: &mut Dice) -> &'static str {
        let mut pause = |from: u64, to: u64| sleep(Duration::from_millis(from + dice.below(to - from)));
        match kind {
            0 => {
                self.nodes[node].kill();
                self.front.set_to(node, Way::Shut);
                pause(1000, 9000);
                self.nodes[node].start();
                self.front.set_to(node, Way::Open);
                "killed"
            }
            1 => {
                self.nodes[node].signal("STOP");
                self.front.set_to(node, Way::Shut);
                pause(7000, 10_000);
                self.nodes[node].signal("CONT");
                self.front.set_to(node, Way::Open);
                "stopped for longer than its leases"
            }
            2 => {
                self.nodes[node].signal("STOP");
                pause(1000, 4000);
                self.nodes[node].signal("CONT");
                "stopped for a moment"
            }
            3 => {
                self.database.ways[node].set(Way::Held);
                pause(7000, 10_000);
                self.database.ways[node].set(Way::Open);
                "held up on the way to the database"
            }
            4 => {
                self.database.ways[node].set(Way::Shut);
                pause(4000, 9000);
                self.database.ways[node].set(Way::Open);
                "cut off from the database"
            }
            5 => {
                self.front.set_to(node, Way::Shut);
                self.nodes[node].terminate();
                assert!(self.nodes[node].ended(20).success());
                pause(100, 2000);
                self.nodes[node].start();
                self.front.set_to(node, Way::Open);
                "handed over and started again"
            }
            _ => match server {
                Some(server) => {
                    server.restart();
                    "database restarted"
                }
                None => {
                    self.database.end_connections();
                    "connections ended by the database"
                }
            },
        }
    }
}

/// Hands over texts until told to stop; gives how many were accepted, all of them in the end.
fn traffic(stop: &AtomicBool, each: u64, breath: Duration, hand: impl Fn(Value) -> Value) -> u64 {
    let mut first = 0;
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let burst = json!({"contacts": CONTACTS, "each": each, "first": first, "at_once": 8, "insist": 60});
        let report = hand(burst);
        assert_eq!((&report["lost"], &report["accepted"]), (&json!(0), &json!(CONTACTS * each)), "{report}");
        first += each;
        sleep(breath.saturating_sub(began.elapsed()));
    }
    first * CONTACTS
}

/// What was accepted of a channel, to the platform and to the provider.
type Accepted = (u64, u64);

/// Traffic of all channels while `meanwhile` runs.
fn under_load(
    cluster: &mut Cluster,
    meanwhile: impl FnOnce(&mut Cluster),
) -> BTreeMap<&'static str, Accepted> {
    let stop = AtomicBool::new(false);
    let post = |url: String, body: Value| http::post_json(&url, &[], &body).json();
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        for channel in &cluster.channels {
            let (name, kind, stop) = (channel.name, channel.kind, &stop);
            let (platform, provider) = (channel.platform.url.clone(), channel.provider.url.clone());
            let base_url = cluster.base_url(name);
            // A little more than what the rate carries, so that it is used all the time.
            let (each, breath) = match kind {
                Kind::Paced => (10, Duration::from_millis(4800)),
                Kind::Sharing => (5, Duration::from_millis(9600)),
                Kind::Fast => (4, Duration::from_millis(400)),
            };
            let inbound = (kind != Kind::Sharing).then(|| {
                scope.spawn(move || {
                    let flood = |burst| post(format!("{provider}/_stand-in/flood"), json!({"burst": burst}));
                    traffic(stop, each, breath, flood)
                })
            });
            let outbound = scope.spawn(move || {
                let broadcast = |burst| {
                    let body = json!({"base_url": base_url, "token": TOKEN, "burst": burst});
                    post(format!("{platform}/_stand-in/broadcast"), body)
                };
                traffic(stop, each, breath, broadcast)
            });
            running.push((name, inbound, outbound));
        }
        meanwhile(cluster);
        stop.store(true, Ordering::Relaxed);
        let ended = running.into_iter().map(|(name, inbound, outbound)| {
            let inbound = inbound.map_or(0, |inbound| inbound.join().unwrap());
            (name, (inbound, outbound.join().unwrap()))
        });
        ended.collect()
    })
}

/// Messages of a channel whose receipts have not all come back.
fn unread(channel: &Channel) -> usize {
    let is_read = |sent: &&Value| {
        sent["statuses"].as_array().is_some_and(|all| all.iter().any(|one| one["value"] == "read"))
    };
    let sent = channel.platform.all_sent();
    sent.iter().filter(|sent| sent.get("accepted").is_some()).filter(|sent| !is_read(sent)).count()
}

fn all_arrive(cluster: &Cluster, accepted: &BTreeMap<&str, Accepted>) {
    let rest = || {
        let mut rest = Vec::new();
        let mut sharing = (0, 0);
        for channel in &cluster.channels {
            let (inbound, outbound) = accepted[channel.name];
            if channel.kind == Kind::Sharing {
                sharing.0 += outbound;
                sharing.1 += channel.provider.count("/requests");
                continue;
            }
            rest.push((channel.name, "to the platform", inbound, channel.platform.count("/order/distinct")));
            rest.push((channel.name, "to the provider", outbound, channel.provider.count("/order/distinct")));
            if channel.kind == Kind::Fast {
                rest.push((channel.name, "read", 0, unread(channel) as u64));
            }
        }
        rest.retain(|(_, _, accepted, arrived)| accepted != arrived);
        if sharing.1 < sharing.0 {
            rest.push(("sharing", "to the provider", sharing.0, sharing.1));
        }
        rest
    };
    let began = Instant::now();
    loop {
        let rest = rest();
        if rest.is_empty() {
            return;
        }
        // A receipt that was refused again and again is sent again after a minute.
        assert!(began.elapsed() < Duration::from_secs(150), "accepted and arrived: {rest:?}");
        sleep(Duration::from_millis(100));
    }
}

fn check(cluster: &Cluster, accepted: &BTreeMap<&str, Accepted>) {
    for channel in &cluster.channels {
        let (name, kind, (inbound, outbound)) = (channel.name, channel.kind, accepted[channel.name]);
        let (platform, provider) = (channel.platform.stats(), channel.provider.stats());
        let most =
            [&platform["channels"][name], &provider].map(|it| it["max_in_any_second"].as_u64().unwrap_or(0));
        say(format!(
            "{name} ({kind:?}): {inbound} and {outbound} accepted; most in any second at the platform {}, at the provider {}; \
             repeats {} and {}, out of order {} and {}",
            most[0],
            most[1],
            platform["order"]["repeats"],
            provider["order"]["repeats"],
            platform["order"]["out_of_order"],
            provider["order"]["out_of_order"],
        ));
        match kind {
            Kind::Paced => assert!(most.iter().all(|most| *most <= 20), "{name}: {most:?}"),
            Kind::Sharing => assert!(most[1] <= 10, "{name}: {most:?}"),
            Kind::Fast => {
                assert_eq!(platform["sent"]["backward_statuses"], 0);
                assert_eq!(provider["receipts"]["given_up"], 0);
            }
        }
        if kind != Kind::Sharing {
            for stats in [&platform, &provider] {
                let order = &stats["order"];
                assert_eq!(
                    (&order["missing"], &order["out_of_order"]),
                    (&json!(0), &json!(0)),
                    "{name}: {order}"
                );
            }
            assert_eq!(platform["order"]["texts"], json!(inbound), "{name}: each id is one message");
        }
    }
}

const CHANNELS: [(&str, Kind); 6] = [
    ("paced-1", Kind::Paced),
    ("paced-2", Kind::Paced),
    ("fast-1", Kind::Fast),
    ("fast-2", Kind::Fast),
    ("sharing-1", Kind::Sharing),
    ("sharing-2", Kind::Sharing),
];

#[test]
fn three_nodes_lose_nothing_and_keep_order_and_limits_whatever_happens_to_one() {
    let _turn = alone();
    let Some(server) = Server::start() else { return };
    let (seed, count) = (seed(), number("PATCHCORD_FAULTS", 8));
    let mut dice = Dice(seed);
    let mut cluster = Cluster::start(server.config(), &CHANNELS);
    let began = Instant::now();
    let mut kinds = BTreeMap::<&str, u64>::new();
    let accepted = under_load(&mut cluster, |cluster| {
        sleep(Duration::from_secs(3));
        // Each kind once before any comes again, beginning anywhere.
        let first = dice.below(7);
        for at in 0..count {
            let node = usize::try_from(dice.below(NODES as u64)).unwrap();
            let kind = cluster.fault((first + at) % 7, node, Some(&server), &mut dice);
            *kinds.entry(kind).or_default() += 1;
            sleep(Duration::from_millis(500 + dice.below(2500)));
        }
    });
    all_arrive(&cluster, &accepted);
    say(format!(
        "{count} faults in {:.0} s (PATCHCORD_SEED={seed}): {kinds:?}",
        began.elapsed().as_secs_f64()
    ));
    check(&cluster, &accepted);
}

/// The longest time without a request at the provider, while `meanwhile` runs under a load that never ends.
fn longest_silence(
    cluster: &mut Cluster,
    meanwhile: impl FnOnce(&mut Cluster),
) -> BTreeMap<&'static str, u64> {
    let accepted = under_load(cluster, |cluster| {
        sleep(Duration::from_secs(4));
        meanwhile(cluster);
    });
    all_arrive(cluster, &accepted);
    check(cluster, &accepted);
    let silence = |channel: &Channel| {
        let at: Vec<u64> =
            channel.provider.received("+60").iter().map(|it| it["at"].as_u64().unwrap()).collect();
        (channel.name, at.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap())
    };
    cluster.channels.iter().map(silence).collect()
}

#[test]
fn the_lanes_of_a_node_that_dies_move_soon_and_those_of_one_that_leaves_at_once() {
    let _turn = alone();
    let Some(server) = Database::server() else { return };
    let channels = ["one", "two", "three", "four"].map(|name| (name, Kind::Paced));
    for (what, most) in [("left", 4000), ("died", 10_000)] {
        let mut cluster = Cluster::start(server.clone(), &channels);
        let silence = longest_silence(&mut cluster, |cluster| {
            for node in 0..NODES - 1 {
                cluster.front.set_to(node, Way::Shut);
                if what == "left" {
                    cluster.nodes[node].terminate();
                    assert!(cluster.nodes[node].ended(20).success());
                } else {
                    cluster.nodes[node].kill();
                }
                sleep(Duration::from_millis(if what == "left" { 3000 } else { 10_500 }));
            }
        });
        say(format!("two of three nodes {what}: the longest silence of each channel, in ms: {silence:?}"));
        assert!(silence.values().all(|silence| *silence <= most), "{what}: {silence:?}");
    }
}
