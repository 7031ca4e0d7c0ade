//! What names mean: the scopes that an expression may see, and their values while it is evaluated.
//!
//! A name resolves to a scope, a `let` name or a helper when it is compiled, never to a member of a payload,
//! so a provider's field can't hide a scope. A compiled expression holds slots and does no look-up by name.

use std::cell::Cell;
use std::rc::Rc;

use smol_str::SmolStr;

use super::call::{Answers, Wanted};
use super::value::Value;
use crate::world::{Millis, World};

macro_rules! scopes {
    ($($(#[doc = $doc:literal])+ $variant:ident $name:literal $members:expr;)+) => {
        /// A root of names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Scope {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Scope {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// How a mapping calls it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// What it is, as a sentence.
            pub fn about(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii()),+ }
            }

            /// The only members that it can have; none where anything is possible.
            pub fn members(self) -> Option<&'static [&'static str]> {
                match self { $(Self::$variant => $members),+ }
            }
        }
    };
}

scopes! {
    /// The current node: the decoded body, or the item of the innermost `each`.
    It "it" None;
    /// The whole decoded body.
    Root "root" None;
    /// The webhook request.
    Request "request" Some(&["method", "url", "host", "path", "uri", "query", "headers", "form", "raw", "body", "route", "path_params", "ip"]);
    /// What the channel supplies, as the mapping's `config` declares.
    Config "config" None;
    /// What the installation supplies for all channels, as the mapping's `deployment` declares.
    Deployment "deployment" None;
    /// The channel.
    Channel "channel" Some(&["name", "id", "address", "country", "url", "public_url"]);
    /// The message that is sent.
    Message "message" Some(&["id", "text", "attachments", "attachment", "location", "quick_replies", "locale"]);
    /// The contact that a message is sent to.
    Contact "contact" Some(&["id"]);
    /// The part of the message that this step sends.
    Part "part" Some(&["kind", "text", "media", "url", "mime", "name", "caption", "latitude", "longitude", "address", "attachments", "quick_replies", "index", "first", "last"]);
    /// All parts of the message.
    Parts "parts" None;
    /// The provider's response.
    Response "response" Some(&["status", "headers", "text"]);
    /// The event that a rule made, for its `ack`.
    Event "event" Some(&["id", "type", "contact"]);
    /// The request that is about to be signed.
    Out "out" Some(&["method", "url", "path", "query", "body"]);
    /// What a call is given.
    Arg "arg" None;
    /// Where the last page of a poll left off.
    Cursor "cursor" None;
    /// What the mapping remembers about the contact and the channel.
    Store "store" Some(&["contact", "channel"]);
}

/// Whether anything reads a name; clones tell of the same name.
#[derive(Clone, Debug, Default)]
pub struct Read(Rc<Cell<bool>>);

impl Read {
    /// Says that something does.
    pub fn mark(&self) {
        self.0.set(true);
    }

    /// Whether something does.
    pub fn is_read(&self) -> bool {
        self.0.get()
    }
}

/// A name of the author's choice, and whether anything reads it.
pub type Declared = (SmolStr, Read);

/// A name that stands for the same value everywhere.
#[derive(Clone, Debug)]
pub struct Constant {
    /// The name.
    pub name: SmolStr,
    /// The value.
    pub value: Value,
    /// Whether anything reads it.
    pub read: Read,
}

/// What an expression may see where it stands.
#[derive(Clone, Debug, Default)]
pub struct Names {
    scopes: Vec<Scope>,
    locals: Vec<Declared>,
    config: Option<Vec<Declared>>,
    deployment: Option<Vec<Declared>>,
    constants: Vec<Constant>,
    hidden: Vec<SmolStr>,
    open: bool,
    no_calls: Option<&'static str>,
    prompt: bool,
    late: Vec<usize>,
    reads_late: Read,
    memory: Memory,
}

/// What a mapping remembers, and whether anything reads that.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// `contact.NAME` and `channel.NAME`.
    pub names: Rc<[SmolStr]>,
    /// Whether anything reads the scope `store`.
    pub read: Read,
}

/// Why what a webhook is judged by can ask for no call.
const NOT_YET: &str = "calls are made when the event is delivered, after the webhook was answered";

impl Names {
    /// No names but the given scopes.
    pub fn of(scopes: &[Scope]) -> Self {
        Self { scopes: scopes.to_vec(), ..Self::default() }
    }

    /// The same with the only members that `config` and `deployment` can have; none if they are not known.
    #[must_use]
    pub fn declare(mut self, config: Option<Vec<Declared>>, deployment: Option<Vec<Declared>>) -> Self {
        self.config = config;
        self.deployment = deployment;
        self
    }

    /// The same with constants; none if they are not known, so that any name may mean something.
    #[must_use]
    pub fn constants(mut self, constants: Option<Vec<Constant>>) -> Self {
        self.open |= constants.is_none();
        self.constants = constants.unwrap_or_default();
        self
    }

    /// The same with more scopes.
    #[must_use]
    pub fn with(&self, scopes: &[Scope]) -> Self {
        let mut names = self.clone();
        names.scopes.extend(scopes);
        names
    }

    /// The same where no call can be made, and why.
    #[must_use]
    pub fn without_calls(&self, why: &'static str) -> Self {
        Self { no_calls: Some(why), ..self.clone() }
    }

    /// Why no call can be made here; none where one can.
    pub fn forbids_calls(&self) -> Option<&'static str> {
        self.no_calls
    }

    /// The same with what the mapping remembers.
    #[must_use]
    pub fn remembering(mut self, memory: Memory) -> Self {
        self.memory = memory;
        self
    }

    /// The same where values are made while the provider waits for the answer to its webhook: no call can be made,
    /// nothing can be looked up in the store.
    #[must_use]
    pub fn prompt(&self) -> Self {
        Self { prompt: true, no_calls: Some(NOT_YET), reads_late: Read::default(), ..self.clone() }
    }

    /// The same where values may be made when the event is delivered; [`Names::reads_late`] tells whether they have
    /// to be.
    #[must_use]
    pub fn later(&self) -> Self {
        let no_calls = self.no_calls.filter(|_| !self.prompt);
        Self { prompt: false, no_calls, reads_late: Read::default(), ..self.clone() }
    }

    /// Whether only what is known at once can be read here.
    pub(super) fn is_prompt(&self) -> bool {
        self.prompt
    }

    /// Whether anything that was compiled with these names is not known at once.
    pub fn reads_late(&self) -> bool {
        self.reads_late.is_read()
    }

    /// Notes that something is read that is not known at once.
    pub fn mark_late(&self) {
        self.reads_late.mark();
    }

    /// What a slot holds is not known at once.
    pub fn make_late(&mut self, slot: usize) {
        self.late.push(slot);
    }

    /// Whether what a slot holds is not known at once.
    pub(super) fn is_late(&self, slot: usize) -> bool {
        self.late.contains(&slot)
    }

    /// What the mapping remembers, as `contact.NAME`.
    pub(super) fn remembered(&self) -> &[SmolStr] {
        &self.memory.names
    }

    /// Adds a `let` name and says which slot it has.
    pub fn bind(&mut self, name: &str) -> usize {
        self.locals.push((SmolStr::new(name), Read::default()));
        self.locals.len() - 1
    }

    /// Whether anything reads what a slot holds.
    pub fn read_of(&self, slot: usize) -> Read {
        self.locals.get(slot).map(|(_, read)| read.clone()).unwrap_or_default()
    }

    /// Takes the name from a slot, which stays: it has no value here.
    pub fn hide(&mut self, slot: usize) {
        if let Some((name, _)) = self.locals.get_mut(slot) {
            self.hidden.push(std::mem::take(name));
        }
    }

    /// Whether a name was taken from its slot.
    pub(super) fn is_hidden(&self, name: &str) -> bool {
        self.hidden.iter().any(|hidden| hidden == name)
    }

    /// Lets any name mean something: what defines names could not be read, so none can be called unknown.
    pub fn open(&mut self) {
        self.open = true;
    }

    /// Whether any name may mean something.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// How many `let` names there are.
    pub fn depth(&self) -> usize {
        self.locals.len()
    }

    pub(super) fn local(&self, name: &str) -> Option<usize> {
        let slot = self.locals.iter().rposition(|(local, _)| local == name && !name.is_empty())?;
        self.read_of(slot).mark();
        Some(slot)
    }

    /// The slot of a `let` name, without counting as a reader of it.
    pub fn slot(&self, name: &str) -> Option<usize> {
        self.locals.iter().rposition(|(local, _)| local == name && !name.is_empty())
    }

    /// The `let` names that are visible here.
    pub fn locals(&self) -> impl Iterator<Item = &str> {
        self.locals.iter().map(|(name, _)| name.as_str()).filter(|name| !name.is_empty())
    }

    pub(super) fn constant(&self, name: &str) -> Option<&Value> {
        let constant = self.constants.iter().find(|constant| constant.name == name)?;
        constant.read.mark();
        Some(&constant.value)
    }

    /// Whether a `let` name or a constant is visible here.
    pub fn has_local(&self, name: &str) -> bool {
        self.locals.iter().any(|(local, _)| local == name && !name.is_empty())
            || self.constants.iter().any(|constant| constant.name == name)
    }

    /// Whether a scope is visible here.
    pub fn sees(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Notes that a member of a scope is read, or all of them.
    pub(super) fn mark(&self, scope: Scope, member: Option<&str>) {
        if scope == Scope::Store {
            self.memory.read.mark();
            self.mark_late();
        }
        let declared = match scope {
            Scope::Config => &self.config,
            Scope::Deployment => &self.deployment,
            _ => return,
        };
        let read = declared.iter().flatten().filter(|(name, _)| member.is_none_or(|member| name == member));
        read.for_each(|(_, read)| read.mark());
    }

    /// The only members that a scope can have here.
    pub(super) fn members(&self, scope: Scope) -> Option<Vec<&str>> {
        fn names(declared: Option<&Vec<Declared>>) -> Option<Vec<&str>> {
            Some(declared?.iter().map(|(name, _)| name.as_str()).collect())
        }
        match scope {
            Scope::Config => names(self.config.as_ref()),
            Scope::Deployment => names(self.deployment.as_ref()),
            other => other.members().map(<[&str]>::to_vec),
        }
    }

    /// Every name that could be meant here.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        let locals = self.locals.iter().map(|(name, _)| name.as_str()).filter(|name| !name.is_empty());
        let constants = self.constants.iter().map(|constant| constant.name.as_str());
        locals.chain(constants).chain(self.scopes.iter().map(|scope| scope.name()))
    }
}

/// Where in the innermost loop an expression is evaluated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turn {
    /// Counted from 0.
    pub index: usize,
    /// How many turns there are.
    pub count: usize,
}

/// The values of the scopes while expressions are evaluated.
#[derive(Clone)]
pub struct Env<'w> {
    scopes: [Value; Scope::ALL.len()],
    locals: Vec<Value>,
    /// The calls that `let` names want, by slot.
    unanswered: Vec<(usize, Wanted)>,
    /// The innermost loop.
    pub turn: Turn,
    /// Randomness.
    pub world: &'w World,
    /// The time, frozen for the whole evaluation.
    pub now: Millis,
    /// What is known of the mapping's calls.
    pub answers: Answers,
    budget: usize,
}

/// How much one evaluation may do: nodes made and calls run. Large enough for any honest mapping, small enough
/// that no payload keeps a core busy.
const BUDGET: usize = 200_000;

/// The most text that one template may make, in bytes.
pub(super) const MOST_TEXT: usize = 4 << 20;

impl<'w> Env<'w> {
    /// An environment in which every scope is null.
    pub fn new(world: &'w World) -> Self {
        Self {
            scopes: std::array::from_fn(|_| Value::Null),
            locals: Vec::new(),
            unanswered: Vec::new(),
            turn: Turn::default(),
            now: world.now(),
            world,
            answers: Answers::default(),
            budget: BUDGET,
        }
    }

    /// The value of a scope.
    #[allow(clippy::indexing_slicing)] // the array has a place for every variant
    pub fn scope(&self, scope: Scope) -> &Value {
        &self.scopes[scope as usize]
    }

    /// Gives a scope a value and returns the one that it had.
    #[allow(clippy::indexing_slicing)] // as above
    pub fn set(&mut self, scope: Scope, value: Value) -> Value {
        std::mem::replace(&mut self.scopes[scope as usize], value)
    }

    /// The value of a `let` name.
    pub fn local(&self, slot: usize) -> &Value {
        static NULL: Value = Value::Null;
        self.locals.get(slot).unwrap_or(&NULL)
    }

    /// Gives a `let` name a value; names that were bound after it are gone.
    pub fn set_local(&mut self, slot: usize, value: Value) {
        self.locals.resize(slot, Value::Null);
        self.locals.push(value);
        self.unanswered.retain(|(unanswered, _)| *unanswered < slot);
    }

    /// Lets a `let` name want a call where it is read.
    pub fn set_unanswered(&mut self, slot: usize, wanted: Wanted) {
        self.set_local(slot, Value::Null);
        self.unanswered.push((slot, wanted));
    }

    /// Fails where a `let` name wants a call that has not been made.
    pub(super) fn answered(&mut self, slot: usize) -> Result<(), Failure> {
        match self.unanswered.iter().find(|(unanswered, _)| *unanswered == slot) {
            None => Ok(()),
            Some((_, wanted)) => {
                self.answers.wanted = Some(wanted.clone());
                Err(Failure(format!("the call `{}` has not been made", wanted.key)))
            }
        }
    }

    /// The same place for another evaluation, which has its own budget: after a call was made, all is evaluated again.
    pub fn refill(&mut self) {
        self.budget = BUDGET;
    }

    /// Spends for a text that was made: one step for each 256 bytes.
    pub(super) fn spend_text(&mut self, text: &str) -> Result<(), Failure> {
        self.spend(text.len() >> 8)
    }

    pub(super) fn spend(&mut self, amount: usize) -> Result<(), Failure> {
        self.budget = self.budget.checked_sub(amount).ok_or_else(|| {
            Failure(format!("the mapping does more than {BUDGET} steps for this input; it was stopped"))
        })?;
        Ok(())
    }
}

/// Why an expression has no value: bad input that the mapping did not expect, or a limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);
