//! The other side: what providers and the platform answer, as the weather is, and what they say later of their own
//! accord.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use patchcord::message::{IdOwner, Status};
use patchcord::store::{Direction, Lane};
use smol_str::{SmolStr, format_smolstr};
use tokio::sync::mpsc::UnboundedSender;

use super::dice::Dice;
use super::log::{CALL, Event, Item, Log, Said};

/// What may become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sky {
    Fine,
    Throttled,
    Trouble,
    Lost,
    Unreachable,
    Silent,
    Refused,
    OptOut,
    Panic,
}

/// How the other side fares for a while.
#[derive(Debug)]
pub struct Weather {
    pub from: Duration,
    pub until: Duration,
    /// Only on this side.
    pub side: Option<Direction>,
    /// Only with this contact.
    pub contact: Option<SmolStr>,
    /// Only so often.
    pub times: Option<u64>,
    /// How long it asks to be left alone, in milliseconds, where it does at all.
    pub after: Option<(u64, u64)>,
    /// What happens, and how likely it is.
    pub odds: Vec<(Sky, u64)>,
}

impl Weather {
    fn fits(&self, now: Duration, item: &Item, contact: &str) -> bool {
        (self.from..self.until).contains(&now)
            && self.side.is_none_or(|side| side == item.lane.direction)
            && self.contact.as_ref().is_none_or(|only| only == contact)
            && self.times != Some(0)
    }
}

/// How long requests and answers take, in milliseconds: at least, and by how much more at most.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// How long some requests are held up before they depart: they connect, or others have the core.
    pub held_up: u64,
    pub least: u64,
    pub uneven: u64,
    /// How long the other side thinks.
    pub thought: u64,
    /// How long it takes to give out a token.
    pub token: u64,
}

/// What the other side says of its own accord.
#[derive(Clone, Debug)]
pub enum Mail {
    Message { channel: SmolStr, contact: SmolStr, mid: SmolStr },
    Receipt { channel: SmolStr, contact: SmolStr, id: SmolStr, owner: IdOwner, status: Status },
}

/// Which receipts follow what was taken.
#[derive(Debug)]
pub enum Receipts {
    /// Any, in any order, some of them twice.
    Any,
    /// These, after so long.
    These(Vec<(Status, Duration)>),
}

/// What else there is to a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms<'a> {
    /// Which part of the message it sends.
    pub part: usize,
    /// What proves who sends it, where that is asked for.
    pub token: Option<&'a str>,
    /// How long the answer is waited for, if not for ever.
    pub timeout: Option<Duration>,
}

/// What an answer comes to that is not waited for.
fn unheard(said: Said) -> Said {
    match said {
        Said::Taken { id, .. } | Said::Lost { id } => Said::Lost { id },
        _ => Said::Silent,
    }
}

/// A request under way.
pub struct Exchange {
    pub attempt: usize,
    /// How long it takes until it departs, and from there.
    pub held_up: Duration,
    pub takes: Duration,
    pub said: Said,
}

/// The tokens that a provider gives out.
#[derive(Debug, Default)]
pub struct Tokens {
    /// How long one is good; none is for ever.
    pub last: Option<Duration>,
    /// Until when those that were given out are good.
    pub given: BTreeMap<SmolStr, Duration>,
}

pub struct Network {
    pub dice: Dice,
    pub log: Log,
    pub weather: Mutex<Vec<Weather>>,
    pub latency: Latency,
    pub receipts: Receipts,
    pub tokens: Mutex<Tokens>,
    /// Whether it says as a date how long it wants to be left alone.
    pub dates: bool,
    pub mail: UnboundedSender<(Duration, Mail)>,
}

impl Network {
    /// A request sets out: with something for a contact, and perhaps with more.
    pub fn meet(
        &self,
        life: usize,
        item: Item,
        more: Vec<Item>,
        contact: &str,
        terms: &Terms<'_>,
    ) -> Exchange {
        let Latency { held_up, least, uneven, thought, token } = self.latency;
        let token = if item.kind == CALL { token } else { 0 };
        let is_held_up = held_up > 0 && self.dice.chance(200);
        let held_up = self.dice.between(0, if is_held_up { held_up } else { 0 });
        let now = self.log.elapsed() + held_up;
        let (arrives, back) = (
            now + self.dice.between(least, least + uneven),
            self.dice.between(least, least + thought + token),
        );
        let said = match self.said(now - held_up, &item, contact) {
            Said::Taken { .. } if item.kind == CALL => self.give(arrives),
            Said::Taken { .. } if terms.token.is_some_and(|token| self.is_over(token, &item, arrives)) => {
                Said::Expired
            }
            // In HTTP that is one and the same.
            Said::Trouble(after @ Some(_)) if terms.timeout.is_some() => Said::Throttled(after),
            said => said,
        };
        let (takes, said) = match terms.timeout {
            Some(timeout) if said == Said::Silent || arrives + back - now > timeout => {
                (timeout, unheard(said))
            }
            _ => (arrives + back - now, said),
        };
        let lane = item.lane.clone();
        let mid = item.mid.clone();
        let contact = SmolStr::new(contact);
        let attempt = self.log.note_as(|attempt| Event::Begins {
            attempt,
            life,
            item,
            more,
            contact: contact.clone(),
            part: terms.part,
            arrives,
            said: said.clone(),
        });
        if let (Said::Taken { id, .. } | Said::Lost { id }, Direction::Outbound) = (&said, lane.direction) {
            self.tell(&lane, &contact, &mid, id, arrives);
        }
        Exchange { attempt, held_up, takes, said }
    }

    fn give(&self, at: Duration) -> Said {
        let token = format_smolstr!("t{:08x}", self.dice.below(1 << 32));
        let mut tokens = self.tokens.lock().unwrap();
        let until = tokens.last.map_or(Duration::MAX, |last| at + last);
        tokens.given.insert(token.clone(), until);
        Said::Token(token)
    }

    fn is_over(&self, token: &str, item: &Item, at: Duration) -> bool {
        let tokens = self.tokens.lock().unwrap();
        item.lane.direction == Direction::Outbound && tokens.given.get(token).is_none_or(|until| *until <= at)
    }

    fn said(&self, now: Duration, item: &Item, contact: &str) -> Said {
        let mut weather = self.weather.lock().unwrap();
        let id = || format_smolstr!("p{:016x}", self.dice.number());
        let Some(weather) = weather.iter_mut().find(|weather| weather.fits(now, item, contact)) else {
            return Said::Taken { id: id(), rest: None };
        };
        weather.times = weather.times.map(|times| times - 1);
        let after = || weather.after.map(|(least, most)| self.dice.between(least, most));
        let mut ball = self.dice.below(weather.odds.iter().map(|(_, odds)| odds).sum());
        let sky = weather.odds.iter().find(|(_, odds)| {
            let hit = ball < *odds;
            ball = ball.saturating_sub(*odds);
            hit
        });
        match sky.map_or(Sky::Fine, |(sky, _)| *sky) {
            Sky::Fine => Said::Taken { id: id(), rest: None },
            Sky::Throttled => Said::Throttled(after()),
            Sky::Trouble => Said::Trouble(after()),
            Sky::Lost => Said::Lost { id: id() },
            Sky::Unreachable => Said::Unreachable,
            Sky::Silent => Said::Silent,
            // Who gives out tokens has nothing to refuse.
            Sky::Refused | Sky::OptOut if item.kind == CALL => Said::Trouble(None),
            Sky::OptOut if item.lane.direction == Direction::Outbound => Said::OptOut,
            Sky::Refused | Sky::OptOut => Said::Refused,
            Sky::Panic => Said::Panic,
        }
    }

    /// The receipts that follow what was taken.
    fn tell(&self, lane: &Lane, contact: &SmolStr, mid: &SmolStr, id: &SmolStr, arrived: Duration) {
        let told: Vec<(Status, Duration)> = match &self.receipts {
            Receipts::These(receipts) => receipts.clone(),
            Receipts::Any => self.any(),
        };
        let owner = if matches!(self.receipts, Receipts::Any) && self.dice.chance(200) {
            IdOwner::Own
        } else {
            IdOwner::Provider
        };
        for (status, after) in told {
            let id = if owner == IdOwner::Own { mid } else { id }.clone();
            let (channel, contact) = (lane.channel.clone(), contact.clone());
            // The run goes on until nobody has anything to say.
            self.mail.send((arrived + after, Mail::Receipt { channel, contact, id, owner, status })).unwrap();
        }
    }

    fn any(&self) -> Vec<(Status, Duration)> {
        let all: &[&[Status]] = &[
            &[],
            &[Status::Sent],
            &[Status::Delivered],
            &[Status::Delivered, Status::Read],
            &[Status::Sent, Status::Delivered, Status::Read],
            &[Status::Failed],
            &[Status::Delivered, Status::Failed],
        ];
        let mut told = Vec::new();
        for status in *self.dice.pick(all) {
            for _ in 0..=self.dice.below(10) / 8 {
                told.push((*status, self.dice.between(0, *self.dice.pick(&[5, 200, 5000]))));
            }
        }
        told
    }
}
