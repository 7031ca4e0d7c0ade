//! The hosts that lanes send to, each with its breaker, and what one lane knows of its own.
//!
//! Invariant: lanes that send to the same host share its breaker, so while it is open there is one probe among all
//! of them, and all go on as soon as one request succeeds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use smol_str::SmolStr;
use tokio::sync::watch;
use tokio::time::Instant;

use super::breaker::{Breaker, BreakerPolicy};
use super::carrier::Contacted;

/// How many hosts are remembered before those that are well and that no lane sends to are forgotten.
const SWEEP: usize = 4096;

/// The breakers of the hosts that were sent to, by name.
#[derive(Debug, Default)]
pub(super) struct Hosts(Mutex<HashMap<SmolStr, watch::Sender<Breaker>>>);

impl Hosts {
    fn of(&self, name: &SmolStr) -> Host {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= SWEEP && !hosts.contains_key(name) {
            hosts.retain(|_, breaker| breaker.receiver_count() > 0 || !breaker.borrow().is_well());
        }
        Host { name: name.clone(), breaker: hosts.entry(name.clone()).or_default().clone() }
    }
}

#[derive(Clone, Debug)]
struct Host {
    name: SmolStr,
    breaker: watch::Sender<Breaker>,
}

impl Host {
    fn is_open(&self) -> bool {
        self.breaker.borrow().is_open()
    }

    fn failed(&self, contact: &SmolStr, began: Instant, at: Instant, policy: &BreakerPolicy) {
        self.breaker.send_if_modified(|breaker| {
            if breaker.failed(contact, began, at, policy) {
                tracing::warn!(host = %self.name, "the host fails again and again: what goes to it pauses");
            }
            // Nobody waits for that.
            false
        });
    }

    fn succeeded(&self) {
        if self.breaker.borrow().is_well() {
            return;
        }
        self.breaker.send_if_modified(|breaker| {
            let closes = breaker.succeeded();
            if closes {
                tracing::info!(host = %self.name, "the host answers again: what goes to it goes on");
            }
            closes
        });
    }

    fn told_nothing(&self, began: Instant, at: Instant) {
        if self.is_open() {
            self.breaker.send_if_modified(|breaker| breaker.told_nothing(began, at));
        }
    }
}

/// The host that a lane sends to, as far as its attempts have told: the last one, or the one that pauses it.
#[derive(Debug)]
pub(super) struct Peer {
    hosts: Arc<Hosts>,
    current: Option<(Host, watch::Receiver<Breaker>)>,
}

impl Peer {
    pub(super) fn new(hosts: Arc<Hosts>) -> Self {
        Self { hosts, current: None }
    }

    /// Whether the lane pauses and probes.
    pub(super) fn is_open(&self) -> bool {
        self.current.as_ref().is_some_and(|(host, _)| host.is_open())
    }

    /// See [`Breaker::paused_until`].
    pub(super) fn paused_until(&self, now: Instant) -> Option<Instant> {
        self.current.as_ref().and_then(|(host, _)| host.breaker.borrow().paused_until(now))
    }

    /// A request starts, see [`Breaker::start`]; when it may, if another lane was faster with the probe.
    pub(super) fn start(&self, now: Instant, longest: Duration) -> Result<(), Instant> {
        let Some((host, _)) = self.current.as_ref().filter(|(host, _)| host.is_open()) else { return Ok(()) };
        let mut started = Ok(());
        host.breaker.send_if_modified(|breaker| {
            if !breaker.start(now, longest) {
                started = Err(breaker.paused_until(now).unwrap_or(now));
            }
            false
        });
        started
    }

    /// An attempt that began at `began` is over: what it told about its host. How long that host pauses from now
    /// on, if it failed and it does.
    pub(super) fn hear(
        &mut self,
        contacted: Option<Contacted>,
        contact: &SmolStr,
        (began, at): (Instant, Instant),
        policy: &BreakerPolicy,
    ) -> Option<Duration> {
        let current = self.current.as_ref().map(|(host, _)| host.clone());
        let Some(Contacted { host: name, is_well }) = contacted else {
            current.inspect(|host| host.told_nothing(began, at));
            return None;
        };
        let host = match current {
            Some(current) if current.name == name => current,
            current => {
                let host = self.hosts.of(&name);
                // While one host pauses the lane, what another does is not what it waits for.
                if let Some(current) = current.filter(Host::is_open) {
                    current.told_nothing(began, at);
                } else {
                    self.current = Some((host.clone(), host.breaker.subscribe()));
                }
                host
            }
        };
        if is_well {
            host.succeeded();
            return None;
        }
        host.failed(contact, began, at, policy);
        let breaker = host.breaker.borrow();
        let wait = || breaker.paused_until(at).map_or(Duration::ZERO, |until| until - at);
        breaker.is_open().then(|| wait().min(policy.max.max(policy.pause)))
    }

    /// Waits until the host that paused the lane works again, or another probe may be made.
    pub(super) async fn works_again(&mut self) {
        // The peer keeps the host, so what tells of it never ends.
        if let Some((_, changes)) = &mut self.current
            && changes.changed().await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}
