//! What is made of measurements.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::load::Sent;
use super::sink::Arrival;

/// The value that so many per cent are not above.
pub fn percentile(values: &mut [Duration], percent: f64) -> Duration {
    values.sort_unstable();
    let rank = (values.len() as f64 * percent / 100.0).ceil() as usize;
    values.get(rank.max(1) - 1).copied().unwrap_or_default()
}

/// The one in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The most moments in any second; they are in order.
pub fn most_in_a_second(moments: &[Instant]) -> usize {
    let (mut most, mut first) = (0, 0);
    for (at, moment) in moments.iter().enumerate() {
        while *moment - moments[first] >= Duration::from_secs(1) {
            first += 1;
        }
        most = most.max(at - first + 1);
    }
    most
}

/// How many per second, of which so many came from the first to the last.
pub fn per_second(count: usize, first: Instant, last: Instant) -> f64 {
    let seconds = last.saturating_duration_since(first).as_secs_f64();
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

/// What became of the messages that were accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Those that never came.
    pub lost: usize,
    /// Those that came after a later one of their contact.
    pub out_of_order: usize,
    /// Arrivals of messages that had come before.
    pub repeated: usize,
}

impl Faults {
    /// Compares what was accepted with what came; a message belongs to the contact `number % contacts`.
    pub fn find(sent: &[Sent], arrivals: &[Arrival], contacts: u64) -> Self {
        let mut faults = Self::default();
        let (mut came, mut latest) = (HashMap::new(), HashMap::<u64, u64>::new());
        for Arrival { number, at, .. } in arrivals {
            if came.insert(*number, *at).is_some() {
                faults.repeated += 1;
                continue;
            }
            let latest = latest.entry(number % contacts).or_default();
            if *latest > *number {
                faults.out_of_order += 1;
            }
            *latest = (*latest).max(*number);
        }
        faults.lost = sent.iter().filter(|sent| sent.accepted() && !came.contains_key(&sent.number)).count();
        faults
    }
}

/// How long messages took from the moment that they were due to their arrival.
pub fn ways(sent: &[Sent], arrivals: &[Arrival]) -> Vec<Duration> {
    let due: HashMap<u64, Instant> = sent.iter().map(|sent| (sent.number, sent.due)).collect();
    let way = |arrival: &Arrival| Some(arrival.at.saturating_duration_since(*due.get(&arrival.number)?));
    arrivals.iter().filter_map(way).collect()
}
