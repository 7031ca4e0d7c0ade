//! When the next request of a lane may start: pure, the clock is a parameter.
//!
//! Invariant: the receiver never sees more than N requests in any sliding window. Three things see to it:
//! - Requests are spaced evenly on a schedule that makes up for late timers, so lateness does not add up. The
//!   schedule's window is a little longer than the real one ([`SCHEDULE_MARGIN`]).
//! - A log of the last requests guards the law whatever the schedule says, with a margin of its own
//!   ([`LOG_MARGIN`]). A request counts from the latest moment at which it may have arrived: its departure, plus by
//!   how much it took longer than the shortest one lately, up to [`CAP`]. The network moves arrivals together,
//!   and this is all that the sender can know about it. One that has not departed yet (it fetches a file, connects,
//!   waits for a core) may do so at any moment.
//! - After a pause of the sender there is no burst: the schedule goes on from now.
//! - The first requests after a pause find no connection, and the other side may take much longer than the network's
//!   unevenness to take a new one. Those have an allowance of their own, up to [`COLD_CAP`], which costs little, since
//!   it is made once.
//!
//! A server that takes its time differently for each request looks like a network that does. The allowance is
//! therefore scaled down where it would cost more than [`BUDGET`] of the rate on average, so that at least 98 %
//! of the rate is used in any case. The law is exact for a network that delays requests unevenly by up to [`CAP`]
//! each and by up to [`BUDGET`] of the window on average; beyond that no sender can have both.
//!
//! Where this machine is overloaded, the other side may be so as well, if it is near. The lane knows it by its own timers,
//! which are late then; the allowance is then neither scaled down nor capped: the rate can't be used up anyway.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::rate::Rate;
use crate::call::Departure;

/// By how much the schedule's window is longer than the real one.
const SCHEDULE_MARGIN: f64 = 0.0075;
/// By how much the log's window is longer than the real one; less than the schedule's, so that a timer that is
/// a little late does not push back the request one window later.
const LOG_MARGIN: f64 = 0.005;
/// The largest allowance for one late arrival.
const CAP: Duration = Duration::from_millis(50);
/// The largest allowance for a request that found no connection, or that was under way while this machine was overloaded.
const COLD_CAP: Duration = Duration::from_millis(500);
/// How long a connection that nothing uses is surely kept (five seconds are the shortest that is usual).
const KEPT_ALIVE: Duration = Duration::from_secs(4);
/// By how much timers are late where nothing is wrong.
const USUAL: Duration = Duration::from_millis(5);
/// The share of the window that allowances may cost on average.
const BUDGET: f64 = 0.01;
/// How late the schedule may be and still catch up; beyond, it goes on from now.
const CATCH_UP: Duration = Duration::from_millis(50);
/// How many durations "lately" means, not counting those of requests that found no connection.
const LATELY: usize = 64;
/// How many durations it takes to know the shortest; until then every request has the full allowance.
const ENOUGH: usize = 32;
/// The weight of one duration in their mean: one in so many.
const WEIGHT: u32 = 64;

/// Decides when requests may start.
#[derive(Clone, Debug)]
pub struct Pacer {
    limit: Option<Limit>,
    next_at: Instant,
    resting: bool,
    /// Those that may count still, in the order of their starts.
    log: Vec<Logged>,
    /// How many turns were given.
    reserved: u64,
    durations: VecDeque<Duration>,
    /// The shortest of them; zero until there are enough.
    shortest: Duration,
    /// The shortest duration of a request that found a connection, once there was one.
    shortest_warm: Option<Duration>,
    /// Up to then a request finds a connection.
    warm_until: Option<Instant>,
    /// The moment that the lane waits for, to start a request.
    awaited: Option<Instant>,
    /// The mean allowance before scaling, in seconds.
    mean: f64,
}

#[derive(Clone, Copy, Debug)]
struct Limit {
    count: usize,
    window: Duration,
    log_window: Duration,
    spacing: Duration,
}

impl Limit {
    fn of(rate: Rate) -> Option<Self> {
        rate.limit().map(|(count, window)| Self {
            count: usize::try_from(count).unwrap_or(usize::MAX),
            window,
            log_window: window.mul_f64(1.0 + LOG_MARGIN),
            spacing: window.mul_f64((1.0 + SCHEDULE_MARGIN) / f64::from(count)),
        })
    }
}

#[derive(Clone, Debug)]
struct Logged {
    ticket: Ticket,
    start: Instant,
    /// None before the turn is taken.
    departure: Option<Departure>,
    /// The departure, once it is known to be the last.
    departed: Option<Instant>,
    /// From its departure to its end, once it is over.
    duration: Option<Duration>,
    /// It finds no connection, as far as is known.
    is_cold: bool,
    /// How long it may have waited for a core.
    waited: Duration,
}

impl Logged {
    fn is_taken(&self) -> bool {
        self.departure.is_some()
    }

    fn departed(&self) -> Option<Instant> {
        self.departed.or_else(|| self.departure.as_ref()?.at())
    }
}

/// A started request, to be handed back when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

impl Pacer {
    /// A pacer for `rate`. Up to `full_until` the window counts as full: what an earlier process sent is not
    /// known, so after a start one whole window is waited for. (Writing every start to disk would cost a commit
    /// per request to save one second per restart.)
    pub fn new(rate: Rate, full_until: Instant) -> Self {
        let limit = Limit::of(rate);
        let next_at = limit.map_or(full_until, |limit| full_until + limit.log_window);
        Self {
            limit,
            next_at,
            resting: true,
            log: Vec::new(),
            reserved: 0,
            durations: VecDeque::new(),
            shortest: Duration::ZERO,
            shortest_warm: None,
            warm_until: None,
            awaited: None,
            mean: 0.0,
        }
    }

    /// Another rate, which is kept to from now on as if its window were full. What is under way counts.
    pub fn change(&mut self, rate: Rate, now: Instant) {
        self.limit = Limit::of(rate);
        self.next_at = now;
        self.fill(now);
    }

    /// Up to then the window counts as full: another process may have sent.
    pub fn fill(&mut self, full_until: Instant) {
        if let Some(limit) = &self.limit {
            self.next_at = self.next_at.max(full_until + limit.log_window);
        }
    }

    /// When the next request may start, for a lane that has one ready at `now`: at the earliest, since one that has not
    /// departed may do so later.
    pub fn ready_at(&mut self, now: Instant) -> Instant {
        let Some(limit) = self.limit else { return now };
        if std::mem::take(&mut self.resting) {
            self.next_at = self.next_at.max(now);
        }
        let ready_at = self.log_allows(&limit, now).map_or(self.next_at, |allowed| self.next_at.max(allowed));
        if ready_at > now {
            self.awaited = Some(ready_at);
        }
        ready_at
    }

    /// There is nothing to start, or something else than the rate forbids it: time that passes now is not made
    /// up for.
    pub fn rest(&mut self) {
        self.resting = true;
        self.awaited = None;
    }

    /// A request starts now; its departure is told by whoever sends it.
    pub fn start(&mut self, now: Instant, departure: Departure) -> Ticket {
        let late =
            self.awaited.take().map_or(Duration::ZERO, |awaited| now.saturating_duration_since(awaited));
        let ticket = self.reserve(now, now);
        self.take(ticket, now, departure);
        if let Some(limit) = self.limit.filter(|_| late > USUAL) {
            // Those that were under way may have been held up as well, and since the turn before this one.
            let waited = late * 2 + limit.spacing;
            self.log.iter_mut().for_each(|logged| logged.waited = logged.waited.max(waited));
        }
        ticket
    }

    /// Gives a turn at that moment, now or later; it is to be asked again before it is taken.
    pub fn reserve(&mut self, now: Instant, at: Instant) -> Ticket {
        let ticket = Ticket(self.reserved);
        self.reserved += 1;
        let Some(limit) = self.limit else { return ticket };
        let behind = at.checked_sub(CATCH_UP).unwrap_or(at);
        self.next_at = self.next_at.max(behind) + limit.spacing;
        self.resting = false;
        let counts = |departed: Instant| departed + COLD_CAP + limit.log_window > now;
        self.log.retain(|logged| logged.departed().is_none_or(counts));
        self.log.push(Logged {
            ticket,
            start: at,
            departure: None,
            departed: None,
            duration: None,
            is_cold: false,
            waited: Duration::ZERO,
        });
        ticket
    }

    /// Whether a turn may be taken now: what was under way when it was given may have departed since.
    pub fn allows(&self, ticket: Ticket, now: Instant) -> bool {
        let Some(limit) = self.limit else { return true };
        let scale = self.scale(&limit);
        let counts = |it: &&Logged| {
            it.ticket != ticket
                && it.is_taken()
                && self.counts_from(it, &limit, scale, now) + limit.log_window > now
        };
        self.log.iter().filter(counts).count() < limit.count
    }

    /// A request starts in its turn.
    pub fn take(&mut self, ticket: Ticket, now: Instant, departure: Departure) {
        let is_cold = self.warm_until.is_none_or(|until| until < now);
        if let Some(logged) = self.logged(ticket) {
            (logged.start, logged.departure) = (logged.start.max(now), Some(departure));
            logged.is_cold = is_cold;
        }
    }

    /// A turn is not taken; it is lost.
    pub fn unused(&mut self, ticket: Ticket) {
        self.log.retain(|logged| logged.ticket != ticket);
    }

    fn logged(&mut self, ticket: Ticket) -> Option<&mut Logged> {
        self.log.iter_mut().rev().find(|logged| logged.ticket == ticket)
    }

    /// A request is over, however it went. One that told of no departure may have departed until now.
    pub fn finish(&mut self, ticket: Ticket, now: Instant) {
        let Some(logged) = self.logged(ticket) else { return };
        let departed = logged.departed();
        let duration = departed.map_or(Duration::ZERO, |departed| now.saturating_duration_since(departed));
        (logged.departed, logged.duration) = (Some(departed.unwrap_or(now)), Some(duration));
        let is_cold = logged.is_cold;
        if departed.is_none() {
            return;
        }
        self.warm_until = Some(now + KEPT_ALIVE);
        if is_cold {
            return;
        }
        self.shortest_warm = Some(self.shortest_warm.map_or(duration, |shortest| shortest.min(duration)));
        self.durations.push_back(duration);
        if self.durations.len() > LATELY {
            self.durations.pop_front();
        }
        if self.durations.len() < ENOUGH {
            return;
        }
        self.shortest = self.durations.iter().min().copied().unwrap_or_default();
        if self.durations.len() < LATELY {
            return;
        }
        if self.mean == 0.0 {
            let all: Duration = self.durations.iter().map(|duration| self.lateness(*duration)).sum();
            self.mean = (all / WEIGHT).as_secs_f64();
        }
        let late = self.lateness(duration).as_secs_f64();
        self.mean += (late - self.mean) / f64::from(WEIGHT);
    }

    /// The moment from which the log allows one more; `None`: it does.
    fn log_allows(&self, limit: &Limit, now: Instant) -> Option<Instant> {
        if self.log.len() < limit.count {
            return None;
        }
        let scale = self.scale(limit);
        let end = |it| self.counts_from(it, limit, scale, now) + limit.log_window;
        let mut ends: Vec<Instant> = self.log.iter().map(end).collect();
        // One more may start when all but N - 1 have left the window.
        let index = ends.len() - limit.count;
        Some(*ends.select_nth_unstable(index).1)
    }

    /// What allowances are scaled by.
    fn scale(&self, limit: &Limit) -> f64 {
        let budget = limit.window.as_secs_f64() * BUDGET;
        if self.mean > budget { budget / self.mean } else { 1.0 }
    }

    /// The latest moment at which a request may have arrived after the fastest would have; for one that has not departed,
    /// the earliest.
    fn counts_from(&self, it: &Logged, limit: &Limit, scale: f64, now: Instant) -> Instant {
        match it.departed() {
            Some(departed) => departed + self.allowance(it, limit, scale),
            None => it.start.max(now),
        }
    }

    /// By how much later than the fastest a request is taken to have arrived.
    fn allowance(&self, it: &Logged, limit: &Limit, scale: f64) -> Duration {
        // One that is still under way when its window is over may not have arrived before.
        let duration = it.duration.unwrap_or(limit.window);
        if it.is_cold {
            // The one that it is compared with may be up to one allowance slower than the fastest.
            let warm = self.shortest_warm.unwrap_or_default().saturating_sub(CAP);
            return duration.saturating_sub(warm).min(COLD_CAP);
        }
        let waited = duration.saturating_sub(self.shortest).min(it.waited).min(COLD_CAP);
        self.lateness(duration).mul_f64(scale).max(waited)
    }

    /// By how much a request that found a connection may have arrived later than the fastest would have.
    fn lateness(&self, duration: Duration) -> Duration {
        duration.saturating_sub(self.shortest).min(CAP)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(millis: f64) -> Duration {
        Duration::from_secs_f64(millis / 1000.0)
    }

    /// One request of a simulated run: how late the timer is, how long it is held up before it departs, how much longer
    /// than the fastest it takes from there, and which part of that extra time passes before it arrives; all in
    /// milliseconds.
    #[derive(Clone, Copy, Debug, Default)]
    struct Request {
        timer: f64,
        held_up: f64,
        extra: f64,
        before: f64,
    }

    fn request() -> impl Strategy<Value = Request> {
        let extra = prop_oneof![8 => 0.0..8.0_f64, 1 => 0.0..50.0_f64, 1 => Just(0.0)];
        (0.0..2.0_f64, extra, 0.0..=1.0_f64).prop_map(|(timer, extra, before)| Request {
            timer,
            held_up: 0.0,
            extra,
            before,
        })
    }

    /// A network: how long the fastest request takes, and which part of that before it arrives.
    #[derive(Clone, Copy, Debug)]
    struct Network {
        base: f64,
        there: f64,
    }

    /// Runs a lane with a backlog against a network; gives the moments of arrival and of the starts.
    fn simulate(rate: Rate, network: Network, requests: &[Request]) -> (Vec<Instant>, Vec<Instant>) {
        let origin = Instant::now();
        let mut pacer = Pacer::new(rate, origin);
        let mut now = origin;
        let (mut starts, mut arrivals) = (Vec::new(), Vec::new());
        let mut to_depart: Vec<(Instant, Departure)> = Vec::new();
        let mut under_way: Vec<(Instant, Ticket)> = Vec::new();
        for request in requests {
            loop {
                to_depart.retain(|(at, departure)| {
                    if *at <= now {
                        departure.note(*at);
                    }
                    *at > now
                });
                let ready_at = pacer.ready_at(now);
                under_way.sort_by_key(|(end, _)| *end);
                match under_way.first().copied() {
                    // Something ends before: the lane looks again.
                    Some((end, ticket)) if end <= ready_at.max(now) => {
                        under_way.remove(0);
                        now = now.max(end);
                        to_depart.retain(|(at, departure)| {
                            if *at <= now {
                                departure.note(*at);
                            }
                            *at > now
                        });
                        pacer.finish(ticket, end);
                    }
                    _ if ready_at > now => now = ready_at + ms(request.timer),
                    _ => break,
                }
            }
            let departure = Departure::default();
            let ticket = pacer.start(now, departure.clone());
            starts.push(now);
            let departs = now + ms(request.held_up);
            to_depart.push((departs, departure));
            arrivals.push(departs + ms(network.base * network.there + request.extra * request.before));
            under_way.push((departs + ms(network.base + request.extra), ticket));
        }
        (starts, arrivals)
    }

    const QUICK: Network = Network { base: 5.0, there: 0.5 };

    fn most(mut moments: Vec<Instant>, window: Duration) -> usize {
        moments.sort_unstable();
        let inside =
            |first: &Instant| moments.iter().filter(|it| *it >= first && **it - *first < window).count();
        moments.iter().map(inside).max().unwrap_or(0)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn the_receiver_never_sees_more_than_the_rate_in_any_window(
            count in prop_oneof![Just(1_u32), Just(5), Just(20), Just(50)],
            base in 0.0..400.0_f64,
            there in 0.0..=1.0_f64,
            requests in prop::collection::vec(request(), 100..250),
        ) {
            let rate = Rate::new(count, Duration::from_secs(1)).unwrap();
            let (starts, arrivals) = simulate(rate, Network { base, there }, &requests);
            prop_assert!(most(arrivals, Duration::from_secs(1)) <= count as usize);
            let took = (starts[starts.len() - 1] - starts[0]).as_secs_f64();
            let ideal = f64::from(u32::try_from(starts.len() - 1).unwrap()) / f64::from(count);
            // At the start the full allowance is made, until enough is known.
            let start = CAP.as_secs_f64() * (2.0 + 32.0 / f64::from(count));
            let allowed = ideal / 0.98 + start;
            prop_assert!(took <= allowed, "{} % of the rate", 100.0 * ideal / took);
        }

        #[test]
        fn most_of_the_rate_is_used_whatever_time_the_server_takes(
            requests in prop::collection::vec(0.0..900.0_f64, 300..400),
        ) {
            let rate = Rate::default();
            let requests: Vec<Request> =
                requests.into_iter().map(|extra| Request { timer: 1.0, extra, ..Request::default() }).collect();
            let (starts, arrivals) = simulate(rate, QUICK, &requests);
            prop_assert!(most(arrivals, Duration::from_secs(1)) <= 20);
            let took = (starts[starts.len() - 1] - starts[100]).as_secs_f64();
            let ideal = f64::from(u32::try_from(starts.len() - 101).unwrap()) / 20.0;
            // The allowance follows the mean with some delay.
            prop_assert!(took <= ideal / 0.98 + 0.1, "{} % of the rate", 100.0 * ideal / took);
        }

        #[test]
        fn what_is_held_up_before_it_departs_does_not_arrive_too_close_to_what_follows(
            count in prop_oneof![Just(1_u32), Just(5), Just(20)],
            held_up in prop::collection::vec(prop_oneof![4 => Just(0.0), 1 => 0.0..3000.0_f64], 100..200),
            slow in prop_oneof![Just(5.0), 1000.0..3000.0_f64],
        ) {
            let rate = Rate::new(count, Duration::from_secs(1)).unwrap();
            let requests: Vec<Request> =
                held_up.into_iter().map(|held_up| Request { held_up, ..Request::default() }).collect();
            let (_, arrivals) = simulate(rate, Network { base: slow, there: 0.0 }, &requests);
            prop_assert!(most(arrivals, Duration::from_secs(1)) <= count as usize);
        }
    }

    #[test]
    fn connecting_first_costs_no_more_than_its_time() {
        let request = |index| Request { held_up: if index < 7 { 300.0 } else { 0.0 }, ..Request::default() };
        let requests: Vec<Request> = (0..200).map(request).collect();
        let (starts, arrivals) = simulate(Rate::default(), QUICK, &requests);
        assert_eq!(most(arrivals, Duration::from_secs(1)), 20);
        let took = (starts[199] - starts[0]).as_secs_f64();
        assert!(took < 199.0 / 20.0 * 1.01 + 0.3, "{took}");
    }

    #[test]
    fn a_changed_rate_counts_what_is_under_way() {
        let now = Instant::now();
        let mut pacer = Pacer::new("2/s".parse().unwrap(), now.checked_sub(ms(9000.0)).unwrap());
        let departure = Departure::default();
        let held_up = pacer.start(now, departure.clone());
        pacer.change("1/s".parse().unwrap(), now);
        let later = now + ms(5000.0);
        assert!(pacer.ready_at(later) >= later + ms(1000.0), "it may depart at any moment");
        departure.note(later);
        pacer.finish(held_up, later + ms(1.0));
        let ready_at = pacer.ready_at(later + ms(1.0));
        assert!((later + ms(1000.0)..later + ms(1100.0)).contains(&ready_at));
    }

    #[test]
    fn one_that_tells_of_no_departure_counts_to_its_end() {
        let now = Instant::now();
        let mut pacer = Pacer::new("1/s".parse().unwrap(), now.checked_sub(ms(9000.0)).unwrap());
        let ticket = pacer.start(now, Departure::default());
        pacer.finish(ticket, now + ms(700.0));
        assert!(pacer.ready_at(now + ms(700.0)) >= now + ms(1700.0));
    }

    #[test]
    fn late_timers_do_not_add_up() {
        let requests = vec![Request { timer: 2.0, ..Request::default() }; 1000];
        let (starts, _) = simulate(Rate::default(), QUICK, &requests);
        let took = (starts[999] - starts[0]).as_secs_f64();
        assert!(took < 999.0 / 20.0 * 1.0085, "{took}");
    }

    #[test]
    fn a_window_after_the_start_counts_as_full() {
        let origin = Instant::now();
        assert!(Pacer::new(Rate::default(), origin).ready_at(origin) >= origin + Duration::from_secs(1));
        let later = origin + Duration::from_secs(9);
        assert_eq!(Pacer::new(Rate::default(), origin).ready_at(later), later);
    }

    #[test]
    fn there_is_no_burst_after_a_rest_and_none_without_limit_is_held_up() {
        let origin = Instant::now();
        let mut pacer = Pacer::new(Rate::default(), origin);
        let now = origin + Duration::from_mins(1);
        assert_eq!(pacer.ready_at(now), now);
        pacer.start(now, Departure::default());
        pacer.rest();
        let later = now + Duration::from_mins(1);
        assert_eq!(pacer.ready_at(later), later);
        pacer.start(later, Departure::default());
        assert!(pacer.ready_at(later) >= later + Duration::from_millis(50));
        let mut unlimited = Pacer::new(Rate::UNLIMITED, origin);
        unlimited.start(origin, Departure::default());
        assert_eq!(unlimited.ready_at(origin), origin);
    }
}
