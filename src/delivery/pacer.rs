//! When the next request of a lane may start: pure, the clock is a parameter.
//!
//! Invariant: the receiver never sees more than N requests in any sliding window. Three things see to it:
//! - Requests are spaced evenly on a schedule that makes up for late timers, so lateness does not add up. The
//!   schedule's window is a little longer than the real one ([`SCHEDULE_MARGIN`]).
//! - A log of the last requests guards the law whatever the schedule says, with a margin of its own
//!   ([`LOG_MARGIN`]). A request counts from the latest moment at which it may have arrived: its start, plus by
//!   how much it took longer than the shortest one lately, up to [`CAP`]. The network moves arrivals together,
//!   and this is all that the sender can know about it.
//! - After a pause of the sender there is no burst: the schedule goes on from now.
//! - The first requests after a pause have to connect first, which may take much longer than the network's
//!   unevenness; the others find a connection. Those first ones have an allowance of their own, up to [`COLD_CAP`],
//!   which costs little, since it is made once.
//!
//! A server that takes its time differently for each request looks like a network that does. The allowance is
//! therefore scaled down where it would cost more than [`BUDGET`] of the rate on average, so that at least 98 %
//! of the rate is used in any case. The law is exact for a network that delays requests unevenly by up to [`CAP`]
//! each and by up to [`BUDGET`] of the window on average; beyond that no sender can have both.
//!
//! Where this machine is overloaded, requests wait for a core between their turn and the network, far longer than a
//! network would delay them. The lane knows it by its own timers, which are late then too; the allowance is then neither
//! scaled down nor capped: the rate can't be used up anyway.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::rate::Rate;

/// By how much the schedule's window is longer than the real one.
const SCHEDULE_MARGIN: f64 = 0.0075;
/// By how much the log's window is longer than the real one; less than the schedule's, so that a timer that is
/// a little late does not push back the request one window later.
const LOG_MARGIN: f64 = 0.005;
/// The largest allowance for one late arrival.
const CAP: Duration = Duration::from_millis(50);
/// The largest allowance for a request that had to connect first.
const COLD_CAP: Duration = Duration::from_millis(500);
/// How long a connection that nothing uses is surely kept (five seconds are the shortest that is usual).
const KEPT_ALIVE: Duration = Duration::from_secs(4);
/// By how much timers are late where nothing is wrong.
const USUAL: Duration = Duration::from_millis(5);
/// The share of the window that allowances may cost on average.
const BUDGET: f64 = 0.01;
/// How late the schedule may be and still catch up; beyond, it goes on from now.
const CATCH_UP: Duration = Duration::from_millis(50);
/// How many durations "lately" means, not counting those of requests that had to connect.
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
    log: VecDeque<Logged>,
    /// The ticket of the log's first entry.
    first: u64,
    durations: VecDeque<Duration>,
    /// The shortest of them; zero until there are enough.
    shortest: Duration,
    /// The shortest duration of a request that found a connection, once there was one.
    shortest_warm: Option<Duration>,
    /// Up to then a request finds a connection.
    warm_until: Option<Instant>,
    /// The mean allowance before scaling, in seconds.
    mean: f64,
    /// The moment that the lane waits for, to start a request.
    awaited: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Limit {
    count: usize,
    window: Duration,
    log_window: Duration,
    spacing: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Logged {
    start: Instant,
    duration: Option<Duration>,
    /// It has to connect first, as far as is known.
    cold: bool,
    /// How long it may have waited for a core.
    waited: Duration,
}

/// A started request, to be handed back when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

impl Pacer {
    /// A pacer for `rate`. Up to `full_until` the window counts as full: what an earlier process sent is not
    /// known, so after a start one whole window is waited for. (Writing every start to disk would cost a commit
    /// per request to save one second per restart.)
    pub fn new(rate: Rate, full_until: Instant) -> Self {
        let limit = rate.limit().map(|(count, window)| Limit {
            count: usize::try_from(count).unwrap_or(usize::MAX),
            window,
            log_window: window.mul_f64(1.0 + LOG_MARGIN),
            spacing: window.mul_f64((1.0 + SCHEDULE_MARGIN) / f64::from(count)),
        });
        let next_at = limit.map_or(full_until, |limit| full_until + limit.log_window);
        Self {
            limit,
            next_at,
            resting: true,
            log: VecDeque::new(),
            first: 0,
            durations: VecDeque::new(),
            shortest: Duration::ZERO,
            shortest_warm: None,
            warm_until: None,
            mean: 0.0,
            awaited: None,
        }
    }

    /// Up to then the window counts as full: another process may have sent.
    pub fn fill(&mut self, full_until: Instant) {
        if let Some(limit) = &self.limit {
            self.next_at = self.next_at.max(full_until + limit.log_window);
        }
    }

    /// When the next request may start, for a lane that has one ready at `now`.
    pub fn ready_at(&mut self, now: Instant) -> Instant {
        let Some(limit) = self.limit else { return now };
        if std::mem::take(&mut self.resting) {
            self.next_at = self.next_at.max(now);
        }
        let ready_at = self.log_allows(&limit).map_or(self.next_at, |allowed| self.next_at.max(allowed));
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

    /// A request starts now.
    pub fn start(&mut self, now: Instant) -> Ticket {
        let Some(limit) = self.limit else { return Ticket(0) };
        let behind = now.checked_sub(CATCH_UP).unwrap_or(now);
        self.next_at = self.next_at.max(behind) + limit.spacing;
        self.resting = false;
        let late =
            self.awaited.take().map_or(Duration::ZERO, |awaited| now.saturating_duration_since(awaited));
        let over = |logged: &Logged| logged.start + COLD_CAP + limit.log_window <= now;
        while self.log.front().is_some_and(over) {
            self.log.pop_front();
            self.first += 1;
        }
        let cold = self.warm_until.is_none_or(|until| until < now);
        self.log.push_back(Logged { start: now, duration: None, cold, waited: Duration::ZERO });
        if late > USUAL {
            // Those that were under way may have been held up as well, and since the turn before this one.
            let waited = late * 2 + limit.spacing;
            self.log.iter_mut().for_each(|logged| logged.waited = logged.waited.max(waited));
        }
        Ticket(self.first + self.log.len() as u64 - 1)
    }

    /// The request started later than was told.
    pub fn late(&mut self, ticket: Ticket, now: Instant) {
        if let Some(logged) = self.logged(ticket) {
            logged.start = logged.start.max(now);
        }
    }

    /// The request never started; its place in the window stays taken.
    pub fn unused(&mut self, ticket: Ticket, at: Instant) {
        if let Some(logged) = self.logged(ticket) {
            *logged =
                Logged { start: at, duration: Some(Duration::ZERO), cold: false, waited: Duration::ZERO };
        }
    }

    fn logged(&mut self, ticket: Ticket) -> Option<&mut Logged> {
        let index = ticket.0.checked_sub(self.first).and_then(|index| usize::try_from(index).ok())?;
        self.log.get_mut(index)
    }

    /// A request is over, however it went.
    pub fn finish(&mut self, ticket: Ticket, now: Instant) {
        if self.limit.is_none() {
            return;
        }
        let Some(logged) = self.logged(ticket) else { return };
        let duration = now.saturating_duration_since(logged.start);
        logged.duration = Some(duration);
        let cold = logged.cold;
        self.warm_until = Some(now + KEPT_ALIVE);
        if cold {
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
    fn log_allows(&self, limit: &Limit) -> Option<Instant> {
        if self.log.len() < limit.count {
            return None;
        }
        let budget = limit.window.as_secs_f64() * BUDGET;
        let scale = if self.mean > budget { budget / self.mean } else { 1.0 };
        let mut ends: Vec<Instant> = self
            .log
            .iter()
            .map(|it| it.start + self.allowance(it, limit, scale) + limit.log_window)
            .collect();
        // One more may start when all but N - 1 have left the window.
        let index = ends.len() - limit.count;
        Some(*ends.select_nth_unstable(index).1)
    }

    /// By how much later than the fastest a request is taken to have arrived.
    fn allowance(&self, it: &Logged, limit: &Limit, scale: f64) -> Duration {
        // One that is still under way when its window is over may not have arrived before.
        let duration = it.duration.unwrap_or(limit.window);
        if it.cold {
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

    /// One request of a simulated run: how late the timer is, how much longer than the fastest it takes, and
    /// which part of that extra time passes before the request arrives; all in milliseconds.
    #[derive(Clone, Debug)]
    struct Request {
        timer: f64,
        extra: f64,
        before: f64,
    }

    fn request() -> impl Strategy<Value = Request> {
        let extra = prop_oneof![8 => 0.0..8.0_f64, 1 => 0.0..50.0_f64, 1 => Just(0.0)];
        (0.0..2.0_f64, extra, 0.0..=1.0_f64).prop_map(|(timer, extra, before)| Request {
            timer,
            extra,
            before,
        })
    }

    /// A network: how long the fastest request takes, which part of that before it arrives, and how long connecting
    /// takes, for requests that start before there is an answer.
    #[derive(Clone, Copy, Debug)]
    struct Network {
        base: f64,
        there: f64,
        connect: f64,
    }

    /// Runs a lane with a backlog against a network; gives the moments of arrival and of the starts.
    fn simulate(rate: Rate, network: Network, requests: &[Request]) -> (Vec<Instant>, Vec<Instant>) {
        let origin = Instant::now();
        let mut pacer = Pacer::new(rate, origin);
        let mut now = origin;
        let (mut starts, mut arrivals) = (Vec::new(), Vec::new());
        let mut under_way: Vec<(Instant, Ticket)> = Vec::new();
        let mut connect = network.connect;
        for request in requests {
            loop {
                let ready_at = pacer.ready_at(now);
                under_way.sort_by_key(|(end, _)| *end);
                match under_way.first().copied() {
                    // Something ends before: the lane looks again.
                    Some((end, ticket)) if end <= ready_at.max(now) => {
                        under_way.remove(0);
                        connect = 0.0;
                        now = now.max(end);
                        pacer.finish(ticket, end);
                    }
                    _ if ready_at > now => now = ready_at + ms(request.timer),
                    _ => break,
                }
            }
            let ticket = pacer.start(now);
            starts.push(now);
            arrivals.push(now + ms(connect + network.base * network.there + request.extra * request.before));
            under_way.push((now + ms(connect + network.base + request.extra), ticket));
        }
        (starts, arrivals)
    }

    const QUICK: Network = Network { base: 5.0, there: 0.5, connect: 0.0 };

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
            connect in prop_oneof![Just(0.0), 0.0..400.0_f64],
            requests in prop::collection::vec(request(), 100..250),
        ) {
            let rate = Rate::new(count, Duration::from_secs(1)).unwrap();
            let (starts, arrivals) = simulate(rate, Network { base, there, connect }, &requests);
            prop_assert!(most(arrivals, Duration::from_secs(1)) <= count as usize);
            let took = (starts[starts.len() - 1] - starts[0]).as_secs_f64();
            let ideal = f64::from(u32::try_from(starts.len() - 1).unwrap()) / f64::from(count);
            // At the start the full allowance is made, until enough is known.
            let start = COLD_CAP.as_secs_f64() + CAP.as_secs_f64() * (2.0 + 32.0 / f64::from(count));
            let allowed = ideal / 0.98 + start;
            prop_assert!(took <= allowed, "{} % of the rate", 100.0 * ideal / took);
        }

        #[test]
        fn most_of_the_rate_is_used_whatever_time_the_server_takes(
            requests in prop::collection::vec(0.0..900.0_f64, 300..400),
        ) {
            let rate = Rate::default();
            let requests: Vec<Request> =
                requests.into_iter().map(|extra| Request { timer: 1.0, extra, before: 0.0 }).collect();
            let (starts, arrivals) = simulate(rate, QUICK, &requests);
            prop_assert!(most(arrivals, Duration::from_secs(1)) <= 20);
            let took = (starts[starts.len() - 1] - starts[100]).as_secs_f64();
            let ideal = f64::from(u32::try_from(starts.len() - 101).unwrap()) / 20.0;
            // The allowance follows the mean with some delay.
            prop_assert!(took <= ideal / 0.98 + 0.1, "{} % of the rate", 100.0 * ideal / took);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn what_waits_for_a_core_does_not_arrive_too_close_to_what_follows(
            stalls in prop::collection::vec(prop_oneof![4 => Just(0.0), 1 => 60.0..400.0_f64], 100..150),
        ) {
            // Everything stands still from the start of one request to some time after the next one's turn.
            let pair = |stall: f64| {
                let late = (stall - 50.0).max(0.0);
                [Request { timer: 0.0, extra: stall, before: 1.0 }, Request { timer: late, extra: 0.0, before: 0.0 }]
            };
            let requests: Vec<Request> = stalls.into_iter().flat_map(pair).collect();
            let (starts, arrivals) = simulate(Rate::default(), QUICK, &requests);
            prop_assert!(most(arrivals, Duration::from_secs(1)) <= 20);
            let took = (starts[starts.len() - 1] - starts[0]).as_secs_f64();
            let ideal = f64::from(u32::try_from(starts.len() - 1).unwrap()) / 20.0;
            prop_assert!(took <= ideal * 2.0, "{} % of the rate", 100.0 * ideal / took);
        }
    }

    #[test]
    fn connecting_first_does_not_crowd_the_first_second() {
        let requests = vec![Request { timer: 0.0, extra: 0.0, before: 0.0 }; 200];
        let (starts, arrivals) = simulate(Rate::default(), Network { connect: 300.0, ..QUICK }, &requests);
        assert_eq!(most(arrivals, Duration::from_secs(1)), 20);
        let took = (starts[199] - starts[0]).as_secs_f64();
        assert!(took < 199.0 / 20.0 * 1.01 + 0.3, "{took}");
    }

    #[test]
    fn late_timers_do_not_add_up() {
        let requests = vec![Request { timer: 2.0, extra: 0.0, before: 0.0 }; 1000];
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
        pacer.start(now);
        pacer.rest();
        let later = now + Duration::from_mins(1);
        assert_eq!(pacer.ready_at(later), later);
        pacer.start(later);
        assert!(pacer.ready_at(later) >= later + Duration::from_millis(50));
        let mut unlimited = Pacer::new(Rate::UNLIMITED, origin);
        unlimited.start(origin);
        assert_eq!(unlimited.ready_at(origin), origin);
    }
}
