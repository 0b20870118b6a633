//! The client: a connection to every agent, and what each answers in which order.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::bail;
use novaedge_bench::{
    timing::Distribution,
    traffic::{Client, origin},
};

use crate::edge::{PATIENCE, host};

/// Between two rounds of questions, which leaves the processors to the system.
const BREATH: Duration = Duration::from_micros(200);
/// How long a route is asked for after all agents served it, since one that is served must stay so.
const WATCHED: Duration = Duration::from_millis(200);
/// Between two rounds of questions for routes that are served.
const CALM: Duration = Duration::from_millis(15);
/// Rounds that tell what the client itself takes.
const ROUNDS: usize = 1_000;

/// Connections to all agents.
pub struct Probe {
    agents: Vec<Client>,
    /// Routes that were served a short while ago, with their hosts, and since when.
    young: VecDeque<(usize, String, Instant)>,
    /// What was answered since [`Probe::forget`].
    pub seen: Seen,
}

/// Answers by status.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Until a route was served, and the answer that served it.
    pub first: BTreeMap<u16, u64>,
    /// After an agent has served the route.
    pub later: BTreeMap<u16, u64>,
}

impl Seen {
    /// Answers other than 404, then 200.
    pub fn wrong(&self) -> u64 {
        let first = self.first.iter();
        let first = first.filter(|(status, _)| !matches!(status, 200 | 404));
        let later = self.later.iter().filter(|(status, _)| **status != 200);
        first.chain(later).map(|(_, count)| count).sum()
    }
}

impl Probe {
    /// Connects to all of them.
    pub fn connect(addresses: Vec<SocketAddr>) -> anyhow::Result<Self> {
        let agents = addresses.into_iter().map(Client::connect);
        Ok(Self {
            agents: agents.collect::<anyhow::Result<_>>()?,
            young: VecDeque::new(),
            seen: Seen::default(),
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.agents.len()
    }

    /// Begins to count anew.
    pub fn forget(&mut self) -> Seen {
        std::mem::take(&mut self.seen)
    }

    /// Asks every agent without pause until each has served `host`.
    pub fn until_served(&mut self, host: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut waiting: Vec<usize> = (0..self.agents.len()).collect();
        loop {
            let mut still = Vec::new();
            for agent in waiting {
                if self.ask(agent, host)? != 200 {
                    still.push(agent);
                }
            }
            if still.is_empty() {
                return Ok(());
            }
            waiting = still;
            if Instant::now() > deadline {
                bail!("{host} is never served");
            }
            thread::sleep(BREATH);
        }
    }

    /// From now on a route must stay served, until [`rest`](Self::rest) gives it back.
    pub fn watch(&mut self, route: usize) {
        self.young.push_back((route, host(route), Instant::now()));
    }

    /// Asks now and then for what was served a short while ago, for so long. Gives back the routes that were asked for
    /// long enough.
    pub fn rest(&mut self, time: Duration) -> anyhow::Result<Vec<usize>> {
        let end = Instant::now() + time;
        loop {
            for (_, host, _) in &self.young {
                for agent in &mut self.agents {
                    let status = agent.get(host, "/")?.status;
                    *self.seen.later.entry(status).or_default() += 1;
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::sleep(left.min(CALM));
        }
        let grown = self.young.iter();
        let grown = grown.take_while(|(_, _, since)| since.elapsed() >= WATCHED);
        let grown = grown.count();
        Ok(self.young.drain(..grown).map(|(route, ..)| route).collect())
    }

    /// Whether something is asked for still.
    pub fn is_watching(&self) -> bool {
        !self.young.is_empty()
    }

    fn ask(&mut self, agent: usize, host: &str) -> anyhow::Result<u16> {
        let Some(agent) = self.agents.get_mut(agent) else {
            bail!("no such agent");
        };
        let status = agent.get(host, "/")?.status;
        *self.seen.first.entry(status).or_default() += 1;
        Ok(status)
    }
}

/// What the client itself takes, in milliseconds: a round of questions to as many servers on this machine that answer at
/// once.
pub fn own_time(agents: usize) -> anyhow::Result<Distribution> {
    let addresses = (0..agents).map(|_| origin());
    let mut probe = Probe::connect(addresses.collect::<anyhow::Result<_>>()?)?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        probe.until_served("r.bench.example")?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        thread::sleep(BREATH);
    }
    Ok(Distribution::of(&times))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a panic is how a test fails

    use super::*;

    #[test]
    fn a_404_is_wrong_once_the_route_was_served() {
        let seen = |first: &[(u16, u64)], later: &[(u16, u64)]| Seen {
            first: first.iter().copied().collect(),
            later: later.iter().copied().collect(),
        };
        assert_eq!(seen(&[(404, 5), (200, 3)], &[(200, 9)]).wrong(), 0);
        assert_eq!(
            seen(&[(404, 5), (503, 3)], &[(200, 9), (404, 2)]).wrong(),
            5
        );
    }

    #[test]
    fn a_served_route_is_asked_for_a_while() {
        let mut probe = Probe::connect(vec![origin().unwrap(), origin().unwrap()]).unwrap();
        probe.until_served("a.example").unwrap();
        assert_eq!(probe.seen.first, [(200, 2)].into());
        probe.watch(7);
        assert!(probe.rest(CALM * 2).unwrap().is_empty());
        assert!(probe.is_watching());
        assert_eq!(probe.rest(WATCHED).unwrap(), [7]);
        assert!(!probe.is_watching());
        assert!(probe.seen.later[&200] > 10);
        assert_eq!(probe.forget().wrong(), 0);
    }
}
