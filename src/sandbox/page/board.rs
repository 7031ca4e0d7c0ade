//! What the page shows, ready for its template: two threads of one contact, and what crossed.

use serde::Serialize;

use super::crossing::{Crossing, crossings};
use crate::sandbox::platform::{self, Platform, Sent};
use crate::sandbox::provider::{self, Provider};
use crate::world::Millis;

const SHOWN: usize = 60;
const LOOKED_AT: usize = 400;
const CONTACTS: usize = 6;

/// Everything that changes on the page.
#[derive(Debug, Serialize)]
pub struct Board {
    /// Whose thread is open.
    pub contact: String,
    /// Contacts with messages, the newest first.
    pub contacts: Vec<Chip>,
    /// What the contact sees.
    pub phone: Vec<Bubble>,
    /// What the agent sees.
    pub agent: Vec<Bubble>,
    /// What crossed, newest first.
    pub crossings: Vec<Line>,
    /// Counts of both stand-ins.
    pub facts: Vec<Fact>,
    /// The trouble that is going on.
    pub trouble: Option<String>,
}

/// A contact to open.
#[derive(Debug, Serialize)]
pub struct Chip {
    /// The address.
    pub contact: String,
    /// The address as a query value.
    pub link: String,
    /// Whether it is the open one.
    pub open: bool,
}

/// A message in a thread.
#[derive(Debug, Serialize)]
pub struct Bubble {
    /// Unique on the page.
    pub key: String,
    /// Whether the thread's owner wrote it.
    pub own: bool,
    /// What it says.
    pub text: String,
    /// Time of day, UTC.
    pub time: String,
    /// `sending`, `sent`, `delivered`, `read` or `failed`; only for one's own.
    pub state: Option<&'static str>,
    /// Why it failed.
    pub reason: Option<String>,
    at: Millis,
}

/// A crossing with its time of day.
#[derive(Debug, Serialize)]
pub struct Line {
    #[serde(flatten)]
    crossing: Crossing,
    time: String,
    /// Neither arrived nor refused yet.
    waiting: bool,
}

/// A count with its name.
#[derive(Debug, Serialize)]
pub struct Fact {
    /// What was counted.
    pub name: &'static str,
    /// How many.
    pub value: String,
    /// Whether it is worse than it should be.
    pub bad: bool,
}

impl Board {
    /// The board as `contact` and its agent see it now.
    pub fn of(platform: &Platform, provider: &Provider, contact: &str) -> Self {
        let sent: Vec<Sent> =
            platform.sent(LOOKED_AT).into_iter().filter(|sent| !sent.contact.is_empty()).collect();
        let (taken, said, inbox) = (provider.taken(), provider.said(), platform.inbox());
        let (left, right) = (provider.stats(), platform.stats());
        let all = crossings(&sent, &taken, &said, &inbox);

        let mut phone: Vec<_> = said
            .iter()
            .filter(|said| said.contact == contact)
            .map(|said| Bubble {
                state: Some(match (said.accepted, &said.error) {
                    (_, Some(_)) => "failed",
                    (Some(_), None) => "sent",
                    (None, None) => "sending",
                }),
                reason: said.error.clone(),
                ..Bubble::new(format!("p-said-{}", said.number), true, &said.text, said.at)
            })
            .collect();
        phone.extend(
            taken
                .iter()
                .filter(|taken| taken.contact == contact)
                .map(|taken| Bubble::new(format!("p-{}", taken.id), false, &taken.text, taken.at)),
        );

        let mut agent: Vec<_> = sent
            .iter()
            .filter(|sent| sent.contact == contact)
            .map(|sent| Bubble {
                state: Some(state_of(sent)),
                reason: sent
                    .error
                    .clone()
                    .or_else(|| sent.statuses.iter().find_map(|one| one.reason.clone())),
                ..Bubble::new(format!("a-sent-{}", sent.number), true, &sent.text, sent.at)
            })
            .collect();
        agent.extend(inbox.iter().filter(|inbound| inbound.contact == contact).map(|inbound| {
            Bubble::new(format!("a-{}", inbound.mid), inbound.echo, &inbound.text, inbound.at)
        }));

        Self {
            contact: contact.to_owned(),
            contacts: chips(&all, contact),
            phone: newest(phone),
            agent: newest(agent),
            crossings: all.into_iter().take(SHOWN).map(Line::from).collect(),
            facts: facts(&left, &right),
            trouble: trouble(&left, &right),
        }
    }
}

impl Bubble {
    fn new(key: String, own: bool, text: &str, at: Millis) -> Self {
        Self { key, own, text: text.to_owned(), time: time_of(at), state: None, reason: None, at }
    }
}

impl From<Crossing> for Line {
    fn from(crossing: Crossing) -> Self {
        let waiting = crossing.arrived.is_none() && crossing.error.is_none();
        let waiting = waiting && !crossing.receipts.iter().any(|receipt| receipt.value == "failed");
        Self { time: time_of(crossing.at), waiting, crossing }
    }
}

fn newest(mut bubbles: Vec<Bubble>) -> Vec<Bubble> {
    bubbles.sort_by_key(|bubble| bubble.at);
    let surplus = bubbles.len().saturating_sub(SHOWN);
    bubbles.split_off(surplus)
}

fn state_of(sent: &Sent) -> &'static str {
    if sent.error.is_some() {
        return "failed";
    }
    let has = |value: &str| sent.statuses.iter().any(|status| status.value == value);
    ["failed", "read", "delivered"]
        .into_iter()
        .find(|value| has(value))
        .unwrap_or(if sent.accepted.is_some() { "sent" } else { "sending" })
}

fn chips(all: &[Crossing], open: &str) -> Vec<Chip> {
    let mut contacts = vec![open];
    for crossing in all {
        if contacts.len() < CONTACTS && !contacts.contains(&crossing.contact.as_str()) {
            contacts.push(&crossing.contact);
        }
    }
    let chip = |contact: &str| Chip {
        contact: contact.to_owned(),
        link: url::form_urlencoded::byte_serialize(contact.as_bytes()).collect(),
        open: contact == open,
    };
    contacts.into_iter().map(chip).collect()
}

fn facts(left: &provider::Stats, right: &platform::Stats) -> Vec<Fact> {
    let fact = |name, value: u64, bad: bool| Fact { name, value: value.to_string(), bad };
    let limited = right.channels.values().map(|channel| channel.limited).sum::<u64>();
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    vec![
        fact("to the agent", right.messages, false),
        fact("to the contact", left.messages, false),
        fact("most a second, platform", count(right.max_in_any_second), limited > 0),
        fact("most a second, provider", count(left.max_in_any_second), false),
        fact("doubled", right.duplicates, right.duplicates > 0),
        fact("refused by the platform", refused(&right.by_status), refused(&right.by_status) > 0),
    ]
}

fn refused(by_status: &std::collections::BTreeMap<u16, u64>) -> u64 {
    by_status.iter().filter(|(status, _)| **status >= 400).map(|(_, count)| count).sum()
}

fn trouble(left: &provider::Stats, right: &platform::Stats) -> Option<String> {
    match (right.script_left > 0, left.script_left > 0) {
        (true, true) => Some("Both sides are in trouble.".into()),
        (true, false) => Some("The platform is in trouble.".into()),
        (false, true) => Some("The provider is in trouble.".into()),
        (false, false) => None,
    }
}

fn time_of(at: Millis) -> String {
    jiff::Timestamp::from_millisecond(at)
        .map_or_else(|_| String::new(), |time| time.strftime("%H:%M:%S").to_string())
}
