//! The rate of a credential that several lanes share.
//!
//! Invariant: the lanes of a credential have one pacer, and take turns in the order in which they ask: each has at most
//! one turn ahead. A turn that is not used in time is lost, and never makes up for anything; so is one whose place in the
//! window was taken meanwhile, by what departed late.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smol_str::SmolStr;
use tokio::time::Instant;

use super::pacer::{Pacer, Ticket};
use super::rate::Rate;
use crate::call::Departure;

/// How late a turn may be used.
const LATE: Duration = Duration::from_millis(20);

/// What the provider allows a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// What tells it from others.
    pub key: SmolStr,
    /// At most so many requests, of all lanes that use it.
    pub rate: Rate,
}

/// The pacers of credentials.
#[derive(Debug, Default)]
pub(super) struct Credentials(Mutex<HashMap<SmolStr, Shared>>);

#[derive(Clone, Debug)]
struct Shared {
    rate: Rate,
    pacer: Arc<Mutex<Pacer>>,
}

/// A lane's share of the rate of its credential, if it has one.
#[derive(Debug)]
pub(super) struct Share {
    pacer: Option<Arc<Mutex<Pacer>>>,
    turn: Option<(Instant, Ticket)>,
}

/// A turn in which a request was started; its lane may have another credential by the end of it.
#[derive(Debug)]
pub(super) struct Used {
    pacer: Arc<Mutex<Pacer>>,
    ticket: Ticket,
}

impl Credentials {
    /// The share of a lane; up to `full_until` the window counts as full, also of a credential that is known: meanwhile it may
    /// have been another process's.
    pub(super) fn share(&self, credential: Option<&Credential>, full_until: Instant) -> Share {
        let pacer = credential.map(|Credential { key, rate }| {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let new = |full_until| Shared {
                rate: *rate,
                pacer: Arc::new(Mutex::new(Pacer::new(*rate, full_until))),
            };
            let shared = known.entry(key.clone()).or_insert_with(|| new(full_until));
            if shared.rate != *rate {
                // A changed rate is kept to from now on, as if its window were full.
                *shared = new(Instant::now());
            }
            lock(&shared.pacer).fill(full_until);
            Arc::clone(&shared.pacer)
        });
        Share { pacer, turn: None }
    }
}

impl Share {
    /// When the lane's turn is, for one that has something to send at `now`.
    pub(super) fn turn_at(&mut self, now: Instant) -> Instant {
        let Some(pacer) = &self.pacer else { return now };
        let mut pacer = lock(pacer);
        let is_lost = |(at, ticket): &(Instant, Ticket)| {
            *at + LATE < now || (*at <= now && !pacer.allows(*ticket, now))
        };
        if let Some((_, ticket)) = self.turn.take_if(|turn| is_lost(turn)) {
            pacer.unused(ticket);
        }
        let (at, _) = self.turn.get_or_insert_with(|| {
            let at = pacer.ready_at(now).max(now);
            (at, pacer.reserve(now, at))
        });
        *at
    }

    /// A request starts now, in the lane's turn.
    pub(super) fn start(&mut self, now: Instant, departure: Departure) -> Option<Used> {
        let (pacer, (_, ticket)) = (self.pacer.as_ref()?, self.turn.take()?);
        lock(pacer).take(ticket, now, departure);
        Some(Used { pacer: Arc::clone(pacer), ticket })
    }
}

impl Used {
    /// The request is over, however it went.
    pub(super) fn finish(self, now: Instant) {
        lock(&self.pacer).finish(self.ticket, now);
    }
}

fn lock(pacer: &Mutex<Pacer>) -> MutexGuard<'_, Pacer> {
    pacer.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_credential_that_was_another_process_s_meanwhile_waits_a_window() {
        let (credentials, now) = (Credentials::default(), Instant::now());
        let credential = Credential { key: "one".into(), rate: "10/s".parse().unwrap() };
        let before = now - Duration::from_secs(60);
        assert_eq!(credentials.share(Some(&credential), before).turn_at(now), now);
        let came_back = now + Duration::from_secs(5);
        let turn = credentials.share(Some(&credential), came_back).turn_at(came_back);
        assert!(turn >= came_back + Duration::from_secs(1), "{:?}", turn - came_back);
    }

    #[tokio::test(start_paused = true)]
    async fn lanes_of_one_credential_take_turns_and_others_do_not_wait() {
        let (credentials, now) = (Credentials::default(), Instant::now());
        let long_ago = now - Duration::from_secs(60);
        let credential = |key: &str| Credential { key: key.into(), rate: "10/s".parse().unwrap() };
        let (one, other) = (credential("one"), credential("other"));
        let mut shares: Vec<Share> =
            [Some(&one), Some(&one), Some(&other), None].map(|it| credentials.share(it, long_ago)).into();
        let turns: Vec<Instant> = shares.iter_mut().map(|share| share.turn_at(now)).collect();
        assert_eq!((turns[0], turns[2], turns[3]), (now, now, now));
        let wait = turns[1] - now;
        assert!(wait >= Duration::from_millis(100) && wait < Duration::from_millis(110), "{wait:?}");
        assert_eq!(shares[1].turn_at(now), turns[1], "a turn stays");
        assert!(shares[1].turn_at(turns[1] + LATE * 2) > turns[1], "unless it is not used");
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_is_lost_where_others_departed_late() {
        let (credentials, now) = (Credentials::default(), Instant::now());
        let credential = Credential { key: "one".into(), rate: "1/s".parse().unwrap() };
        let share = || credentials.share(Some(&credential), now - Duration::from_secs(60));
        let (mut one, mut other) = (share(), share());
        let departure = Departure::default();
        assert_eq!(one.turn_at(now), now);
        one.start(now, departure.clone()).unwrap();
        let turn = other.turn_at(now);
        departure.note(now + Duration::from_millis(700));
        let put_off = other.turn_at(turn);
        assert!(put_off >= now + Duration::from_millis(1700), "{:?}", put_off - now);
        assert_eq!(other.turn_at(put_off), put_off);
    }
}
