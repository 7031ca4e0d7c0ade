//! What will run without a webhook or a message: what a channel's life needs, actions, polls, look-ups.

use std::time::Duration;

use smol_str::SmolStr;

use super::{CallStep, Exchange, Rule};
use crate::expression::{Condition, Template};

/// What the gateway does of its own accord.
#[derive(Debug, Default)]
pub struct Life {
    /// What makes the provider send webhooks to a channel.
    pub on_connect: Vec<CallStep>,
    /// What ends that.
    pub on_disconnect: Vec<CallStep>,
    /// What shows whether the credentials are good.
    pub probe: Vec<CallStep>,
    /// What the platform may ask for, by name.
    pub actions: Vec<(SmolStr, Vec<CallStep>)>,
    /// How news is fetched.
    pub polls: Vec<Poll>,
    /// How a contact's name is found.
    pub lookup_contact: Option<LookUp>,
}

impl Life {
    /// The steps of an action.
    pub fn action(&self, name: &str) -> Option<&[CallStep]> {
        self.actions.iter().find(|(known, _)| known == name).map(|(_, steps)| steps.as_slice())
    }

    /// A poll.
    pub fn poll(&self, name: &str) -> Option<&Poll> {
        self.polls.iter().find(|poll| poll.name == name)
    }
}

/// How news is fetched.
#[derive(Debug)]
pub struct Poll {
    /// Its name.
    pub name: SmolStr,
    /// How often; none is only when a webhook asks for it.
    pub every: Option<Duration>,
    /// A map of what the request is given where the webhook gives nothing else.
    pub with: Template,
    /// The exchange of one page.
    pub exchange: Exchange,
    /// Where the next page begins.
    pub cursor: Option<Template>,
    /// What must hold for the next page to be fetched at once.
    pub more: Option<Condition>,
    /// The most pages at once.
    pub max_pages: u32,
    /// What a page says.
    pub rule: Rule,
}

/// That a rule asks for a poll.
#[derive(Debug)]
pub struct Poke {
    /// The poll.
    pub poll: SmolStr,
    /// A map of what its request is given.
    pub with: Template,
}

/// How a contact's name is found.
#[derive(Debug)]
pub struct LookUp {
    /// A map of what is known of the contact.
    pub profile: Template,
    /// How long that is good.
    pub ttl: Duration,
}
