//! Random schedules: what is handed in when, and everything that goes wrong meanwhile.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use patchcord::delivery::{BreakerPolicy, Credential, LaneSettings, Rate, RetryPolicy};
use patchcord::message::Status;
use patchcord::store::{Direction, Lane, Record, StatusSet};
use patchcord::world::{Millis, SeededEntropy, World};
use smol_str::{SmolStr, format_smolstr};
use tokio::time::sleep_until;

use super::base::Place;
use super::clock::Wall;
use super::dice::Dice;
use super::disk::{Faults, Sick};
use super::house;
use super::log::{Entry, Event, Log};
use super::network::{Latency, Mail, Network, Receipts, Sky, Tokens, Weather};
use super::promises::{Tally, Terms, judge};
use super::town::{Town, Whole, channel};

/// How long a run may go on after everything works again; more than the longest that anything may take.
const PATIENCE: Duration = Duration::from_hours(48);

/// What is done to the town.
#[derive(Clone, Debug)]
pub enum Deed {
    Message { channel: SmolStr, contact: SmolStr, mid: SmolStr, parts: u8 },
    Webhook { channel: SmolStr, contact: SmolStr, mid: SmolStr },
    Crash,
    Stop { within: Duration },
    Start,
    Jump(Millis),
    Hold(bool),
}

/// A run that is over.
pub struct Run {
    pub entries: Vec<Entry>,
    pub records: Vec<Record>,
    pub verdict: Result<Tally, Vec<String>>,
}

/// What happens to the town, and how it is set up.
pub struct Schedule {
    pub deeds: Vec<(Duration, Deed)>,
    pub lanes: BTreeMap<Lane, LaneSettings>,
    pub latency: Latency,
    pub weather: Vec<Weather>,
    pub receipts: Receipts,
    /// How long a token is good, if not for ever.
    pub tokens: Option<Duration>,
    pub dates: bool,
    pub sick: Sick,
    pub feed: usize,
    pub post: StatusSet,
}

/// How much of Patchcord takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The engine on the store.
    Engine,
    /// The gateway, with a mapping.
    Gateway,
}

/// Runs the schedule of a seed.
pub fn run(seed: u64, depth: Depth) -> Run {
    run_on(Place::Memory, seed, depth)
}

/// Runs the schedule of a seed on an empty store in that place.
pub fn run_on(place: Place, seed: u64, depth: Depth) -> Run {
    play(place, seed, depth, |dice| Schedule::draw(dice, depth))
}

/// Runs a schedule; the seed decides what it leaves open.
pub fn play(place: Place, seed: u64, depth: Depth, schedule: impl FnOnce(&Dice) -> Schedule) -> Run {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let dice = Dice::new(seed);
    let schedule = schedule(&dice);
    runtime.block_on(happen(place, schedule, &dice, depth))
}

async fn happen(place: Place, schedule: Schedule, dice: &Dice, depth: Depth) -> Run {
    let wall = Wall::new();
    let world = World::new(Arc::new(wall.clone()), Arc::new(SeededEntropy::new(dice.number())));
    let (mail, post_box) = tokio::sync::mpsc::unbounded_channel();
    let network = Network {
        dice: Dice::new(dice.number()),
        log: Log::new(wall),
        weather: Mutex::new(schedule.weather),
        latency: schedule.latency,
        receipts: schedule.receipts,
        tokens: Mutex::new(Tokens { last: schedule.tokens, ..Tokens::default() }),
        dates: schedule.dates,
        mail,
    };
    let faults = Faults { dice: Dice::new(dice.number()), sick: schedule.sick };
    let (lanes, held) = (schedule.lanes.clone(), Arc::new(AtomicBool::new(false)));
    let is_held = Arc::clone(&held);
    let settings = move |lane: &Lane| {
        let held = is_held.load(Ordering::SeqCst) && lane.direction == Direction::Outbound;
        lanes.get(lane).filter(|_| !held).cloned()
    };
    let (whole, lanes) = match depth {
        Depth::Engine => (Whole::Engine(Arc::new(settings)), schedule.lanes),
        Depth::Gateway => (Whole::Gateway(schedule.lanes.clone()), house::lanes(&schedule.lanes)),
    };
    let (network, post, feed) = (Arc::new(network), schedule.post, schedule.feed);
    let town = Town::new(world, network, faults, whole, post, feed, place);
    town.listen(post_box);
    town.start();
    for (at, deed) in schedule.deeds {
        sleep_until(town.wall.moment(at)).await;
        match deed {
            Deed::Message { channel, contact, mid, parts } => town.send(&channel, &contact, &mid, parts),
            Deed::Webhook { channel, contact, mid } => {
                town.deliver(at, Mail::Message { channel, contact, mid })
            }
            Deed::Crash => town.crash(),
            Deed::Stop { within } => town.stop(within).await,
            Deed::Start => town.start(),
            Deed::Jump(by) => {
                town.log.note(Event::Jump(by));
                town.wall.jump(by);
            }
            Deed::Hold(hold) => {
                held.store(hold, Ordering::SeqCst);
                town.reload();
            }
        }
    }
    town.rests(PATIENCE).await;
    let (entries, records) = (town.log.entries(), town.records().await);
    town.close();
    let terms = Terms {
        settings: &|lane| lanes.get(lane).cloned().unwrap_or_default(),
        is_even: schedule.latency.held_up == 0
            && schedule.latency.uneven <= 5
            && schedule.latency.thought <= 5,
    };
    let verdict = judge(&entries, &records, &terms);
    Run { entries, records, verdict }
}

impl Schedule {
    /// One at random, after whose end nothing goes wrong any more.
    fn draw(dice: &Dice, depth: Depth) -> Self {
        let channels = 1 + dice.below(2);
        let span = match depth {
            Depth::Engine => *dice.pick(&[5_000, 60_000, 600_000, 3_600_000]),
            // The gateway looks after its house every second.
            Depth::Gateway => *dice.pick(&[5_000, 60_000]),
        };
        let heals = Duration::from_millis(span) + dice.between(0, span);
        let post = *dice.pick(&[
            StatusSet::default(),
            StatusSet::default().with(Status::Sent),
            StatusSet::NONE.with(Status::Failed),
        ]);
        let mut lanes = BTreeMap::new();
        let shares = depth == Depth::Engine && dice.chance(300);
        let credential =
            shares.then(|| Credential { key: "key".into(), rate: rate(dice, &["2/s", "20/s", "9/m"]) });
        for number in 0..channels {
            let name = channel(usize::try_from(number).unwrap());
            let (hold_doubtful, credential) = (dice.chance(200), credential.clone());
            let outbound = LaneSettings { hold_doubtful, credential, ..settings(dice, post) };
            lanes.insert(Lane::outbound(name.clone()), outbound);
            let batch = *dice.pick(&[1, 2, 3, 10]);
            lanes.insert(Lane::inbound(name), LaneSettings { batch, ..settings(dice, post) });
        }
        let quiet = Latency {
            held_up: 0,
            least: dice.below(30),
            uneven: dice.below(6),
            thought: dice.below(6),
            token: 800,
        };
        let wild = Latency {
            held_up: dice.below(3000),
            least: dice.below(300),
            uneven: dice.below(2000),
            thought: dice.below(3000),
            token: 800,
        };
        Self {
            deeds: deeds(dice, channels, span, heals),
            lanes,
            latency: if dice.chance(500) { quiet } else { wild },
            weather: weather(dice, span, heals),
            receipts: Receipts::Any,
            tokens: dice.chance(500).then(|| dice.between(1000, 60_000)),
            dates: dice.chance(500),
            sick: Sick {
                from: Duration::ZERO,
                until: heals,
                permille: *dice.pick(&[0, 0, 20, 150]),
                slowest: *dice.pick(&[0, 0, 30, 2000]),
            },
            feed: *dice.pick(&[1, 2, 64]),
            post,
        }
    }
}

fn rate(dice: &Dice, rates: &[&str]) -> Rate {
    dice.pick(rates).parse().unwrap()
}

fn settings(dice: &Dice, post: StatusSet) -> LaneSettings {
    LaneSettings {
        rate: rate(dice, &["1/s", "3/s", "20/s", "20/s", "6/m", "unlimited"]),
        per_contact: rate(dice, &["unlimited", "unlimited", "1/s", "4/s", "3/m"]),
        in_flight: *dice.pick(&[1, 2, 3, 8, 32]),
        // Only the platform takes several in one request.
        batch: 1,
        retry: RetryPolicy {
            first: dice.between(50, 2000),
            max: dice.between(2000, 60_000),
            attempts: *dice.pick(&[None, None, Some(1), Some(3), Some(6)]),
            give_up_after: dice.between(10_000, *dice.pick(&[60_000, 7_200_000])),
        },
        hold_doubtful: false,
        credential: None,
        breaker: BreakerPolicy {
            failures: *dice.pick(&[2, 3, 10]),
            pause: dice.between(100, 2000),
            max: dice.between(2000, 30_000),
        },
        post,
        time_limit: dice.between(1500, 30_000),
        window: *dice.pick(&[2, 3, 8, 1000]),
    }
}

fn deeds(dice: &Dice, channels: u64, span: u64, heals: Duration) -> Vec<(Duration, Deed)> {
    let mut deeds = Vec::new();
    let moment = || {
        // Some things come together.
        if dice.chance(400) { dice.between(0, 200) } else { dice.between(0, span) }
    };
    let contacts = 1 + dice.below(4);
    for number in 0..3 + dice.below(22) {
        let channel = channel(usize::try_from(dice.below(channels)).unwrap());
        let (contact, mid) = (format_smolstr!("c{}", dice.below(contacts)), format_smolstr!("m{number}"));
        let at = moment();
        if dice.chance(700) {
            let parts = *dice.pick(&[1, 1, 1, 2, 3]);
            deeds.push((at, Deed::Message { channel, contact, mid, parts }));
        } else {
            // A provider may well say things twice.
            for _ in 0..=dice.below(8) / 6 {
                let (channel, contact, mid) = (channel.clone(), contact.clone(), mid.clone());
                deeds.push((at + dice.between(0, 3000), Deed::Webhook { channel, contact, mid }));
            }
        }
    }
    for _ in 0..dice.below(4) {
        let at = moment();
        let end = if dice.chance(700) { Deed::Crash } else { Deed::Stop { within: dice.between(0, 5000) } };
        deeds.push((at, end));
        deeds.push((at + dice.between(50, *dice.pick(&[100, 5000, 100_000])), Deed::Start));
    }
    if dice.chance(300) {
        for _ in 0..=dice.below(2) {
            let by = Millis::try_from(dice.below(7_200_000)).unwrap();
            deeds.push((moment(), Deed::Jump(if dice.chance(500) { by } else { -by })));
        }
    }
    if dice.chance(150) {
        let at = moment();
        deeds.push((at, Deed::Hold(true)));
        deeds.push((at + dice.between(10, 10_000), Deed::Hold(false)));
    }
    deeds.push((heals, Deed::Hold(false)));
    deeds.push((heals, Deed::Start));
    // What comes at the same moment comes in the order in which it was drawn.
    deeds.sort_by_key(|(at, _)| *at);
    deeds
}

fn weather(dice: &Dice, span: u64, heals: Duration) -> Vec<Weather> {
    let troubles = [
        Sky::Throttled,
        Sky::Trouble,
        Sky::Lost,
        Sky::Unreachable,
        Sky::Silent,
        Sky::Refused,
        Sky::OptOut,
        Sky::Panic,
    ];
    let mut weather = Vec::new();
    for _ in 0..dice.below(4) {
        let from = dice.between(0, span);
        let until = heals.min(from + dice.between(100, span));
        let fine = *dice.pick(&[0, 2, 10]);
        let mut odds = vec![(Sky::Fine, fine)];
        for _ in 0..=dice.below(3) {
            odds.push((*dice.pick(&troubles), 1 + dice.below(4)));
        }
        weather.push(Weather {
            from,
            until,
            side: *dice.pick(&[None, Some(Direction::Outbound), Some(Direction::Inbound)]),
            contact: dice.chance(200).then(|| SmolStr::new("c0")),
            times: dice.chance(300).then(|| 1 + dice.below(20)),
            after: dice.chance(600).then(|| (0, *dice.pick(&[1000, 30_000, 600_000]))),
            odds,
        });
    }
    weather
}
