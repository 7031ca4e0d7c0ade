//! The nodes of an installation, and which of them delivers what: each renews one row, and holds slots on the strength of
//! it.
//!
//! Invariants: no clock is compared with another's. A node takes its leases for lapsed [`MARGIN`] before [`TTL`] after its
//! row was renewed; another takes it for gone when it has seen the row unchanged for [`TTL`], and removes the row with the
//! node's slots. All of that happens in the turn to write, so a node whose row is there in its turn holds what it thinks it
//! holds: that is what its settlements are written on.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::{Error, Transaction};

use super::connection::{Connection, SLOTS_CHANGED};
use super::turn;
use crate::store;
use crate::store::lease::{Leases, SLOTS, Slot};

/// How long a row that is not renewed is good.
const TTL: Duration = Duration::from_secs(5);
/// How much earlier a node stops by itself.
const MARGIN: Duration = Duration::from_millis(500);
/// How often the row is renewed.
const BEAT: Duration = Duration::from_secs(1);

/// Whether the row of a node is there: see the invariants.
pub(super) const IS_THERE: &str = "SELECT EXISTS (SELECT FROM nodes WHERE id = $1)";
/// Wakes the other nodes: slots are free, or somebody wants some.
const WAKE_TO_DIVIDE: &str = "SELECT pg_notify($1, $2)";

/// The number of a node, which no other has ever had.
pub(super) type NodeId = i64;

/// This process as a node.
pub(super) struct Membership {
    leases: Leases,
    node: store::Node,
    id: Option<NodeId>,
    /// Which renewal of each other node was seen, and when at first.
    seen: HashMap<NodeId, (i64, Instant)>,
    next: Instant,
    /// What nodes listen to.
    wake: String,
    others: usize,
    /// Others divide the lanes otherwise: it waits until they are gone.
    waits: bool,
}

/// A node, as its row says.
#[derive(Clone, Debug)]
struct Node {
    beat: i64,
    division: String,
    is_leaving: bool,
}

/// What is to change about the slots.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    claim: Vec<Slot>,
    ask_back: Vec<Slot>,
}

impl Membership {
    pub(super) fn new(node: store::Node, leases: Leases) -> Self {
        Self {
            leases,
            node,
            id: None,
            seen: HashMap::new(),
            next: Instant::now(),
            wake: String::new(),
            others: 0,
            waits: false,
        }
    }

    /// The number of the row that units are written on.
    pub(super) fn id(&self) -> NodeId {
        self.id.unwrap_or_default()
    }

    /// What other nodes listen to, if there are any.
    pub(super) fn wake(&self) -> Option<&str> {
        (self.others > 0).then_some(&self.wake)
    }

    /// Waits until the row is to be renewed, or there is something to give back.
    pub(super) async fn is_due(&self) {
        tokio::select! {
            () = tokio::time::sleep_until(self.next) => {}
            () = self.leases.may_be_unused() => {}
        }
    }

    /// Whether the row is to be renewed now.
    pub(super) fn is_due_now(&self) -> bool {
        self.next <= Instant::now()
    }

    /// There will be another try.
    pub(super) fn later(&mut self) {
        self.next = Instant::now() + BEAT;
    }

    /// Begins with a new connection. What was seen before the last one broke proves nothing: the others could not renew their
    /// rows either.
    pub(super) async fn listen(&mut self, connection: &Connection) -> Result<(), Error> {
        let name = "SELECT 'patchcord_' || to_hex(hashtext(current_schema()))";
        self.wake = connection.client().query_one(name, &[]).await?.get(0);
        self.seen.clear();
        self.next = Instant::now();
        connection.listen(&self.wake).await
    }

    /// The row is gone: others have what this node held. It enters anew when nothing of that is under way any more.
    pub(super) fn lost(&mut self) {
        if self.id.take().is_some() {
            tracing::warn!("other nodes deliver what this one did: it was not heard of in time");
            self.leases.lose();
        }
        self.next = Instant::now();
    }

    /// Renews the row and divides the slots anew, in a transaction of its own.
    pub(super) async fn beat(&mut self, connection: &mut Connection) -> Result<(), Error> {
        self.later();
        // What an earlier self began must not be settled on the row of a later one.
        if self.id.is_none() && self.leases.are_used() {
            return Ok(());
        }
        let transaction = connection.transaction().await?;
        transaction.batch_execute(turn::TAKE).await?;
        // In this order: who leaves says so before it has something to give back.
        let unused = self.leases.unused();
        let is_leaving = self.leases.is_leaving();
        let renewed_at = Instant::now();
        if let Some(id) = self.id {
            let renew = "UPDATE nodes SET beat = beat + 1, leaving = $2 WHERE id = $1";
            if transaction.execute(renew, &[&id, &is_leaving]).await? == 0 {
                self.lost();
                return transaction.rollback().await;
            }
        }
        let (division, seat) = (self.node.division.as_str(), self.node.seat.as_deref());
        let id = match self.id {
            Some(id) => id,
            None => {
                // Its seat was another's, which is gone then: nobody has to wait for that to show.
                transaction.execute("DELETE FROM nodes WHERE seat = $1", &[&seat]).await?;
                let enter = "INSERT INTO nodes (id, division, seat, beat, leaving) \
                             VALUES (nextval('node_ids'), $1, $2, 0, $3) RETURNING id";
                transaction.query_one(enter, &[&division, &seat, &is_leaving]).await?.get(0)
            }
        };
        let (mut nodes, mut slots) = read(&transaction).await?;
        let gone = self.gone(id, &nodes);
        if !gone.is_empty() {
            transaction.execute("DELETE FROM nodes WHERE id = ANY($1)", &[&gone]).await?;
            nodes.retain(|node, _| !gone.contains(node));
            self.seen.retain(|node, _| nodes.contains_key(node));
        }
        let mut freed = unused.clone();
        freed.retain(|slot| slots.get(slot) == Some(&id));
        slots.retain(|slot, _| !freed.contains(slot));
        let mut plan = plan(id, &nodes, &slots);
        change(&transaction, &freed, None).await?;
        change(&transaction, &plan.claim, Some(id)).await?;
        if !freed.is_empty() || !gone.is_empty() || self.id.is_none() {
            transaction.execute(WAKE_TO_DIVIDE, &[&self.wake, &SLOTS_CHANGED]).await?;
        }
        transaction.commit().await?;

        // What was claimed when a connection broke is found here.
        let own = slots.iter().filter(|(_, holder)| **holder == id).map(|(slot, _)| *slot);
        plan.claim.extend(own.filter(|slot| !self.leases.knows(*slot)));
        self.id = Some(id);
        self.others = nodes.len().saturating_sub(1);
        self.leases.give_back(&unused);
        self.leases.ask_back(&plan.ask_back);
        self.leases.renew(renewed_at + TTL.saturating_sub(MARGIN));
        self.leases.grant(&plan.claim);
        self.tell(&gone, &plan, nodes.values());
        Ok(())
    }

    /// Lets go of everything at once.
    pub(super) async fn leave(&mut self, connection: &mut Connection) -> Result<(), Error> {
        let Some(id) = self.id.take() else { return Ok(()) };
        self.leases.lose();
        let transaction = connection.transaction().await?;
        transaction.batch_execute(turn::TAKE).await?;
        transaction.execute("DELETE FROM nodes WHERE id = $1", &[&id]).await?;
        transaction.execute("UPDATE slots SET node = NULL WHERE node = $1", &[&id]).await?;
        transaction.execute(WAKE_TO_DIVIDE, &[&self.wake, &SLOTS_CHANGED]).await?;
        transaction.commit().await
    }

    /// The nodes whose rows have not changed for too long.
    fn gone(&mut self, own: NodeId, nodes: &BTreeMap<NodeId, Node>) -> Vec<NodeId> {
        let now = Instant::now();
        let mut gone = Vec::new();
        for (id, node) in nodes.iter().filter(|(id, _)| **id != own) {
            let seen = self.seen.entry(*id).or_insert((node.beat, now));
            if seen.0 != node.beat {
                *seen = (node.beat, now);
            } else if now.saturating_duration_since(seen.1) >= TTL {
                gone.push(*id);
            }
        }
        gone
    }

    fn tell<'n>(&mut self, gone: &[NodeId], plan: &Plan, nodes: impl Iterator<Item = &'n Node>) {
        if !gone.is_empty() {
            tracing::warn!(nodes = ?gone, "nodes are gone: what they delivered is divided among the others");
        }
        if !plan.claim.is_empty() || !plan.ask_back.is_empty() {
            let (node, nodes) = (self.id, self.others + 1);
            tracing::info!(
                node,
                nodes,
                more = plan.claim.len(),
                fewer = plan.ask_back.len(),
                "lanes are divided anew"
            );
        }
        let waits = nodes.filter(|node| node.division != self.node.division.as_str()).count() > 0
            && self.leases.held().is_empty();
        if waits && !self.waits {
            tracing::warn!(
                "the channels of other nodes share their credentials otherwise: this one delivers nothing until those are gone"
            );
        }
        self.waits = waits;
    }
}

/// All nodes and who holds what.
async fn read(
    transaction: &Transaction<'_>,
) -> Result<(BTreeMap<NodeId, Node>, BTreeMap<Slot, NodeId>), Error> {
    let nodes = transaction.query("SELECT id, beat, division, leaving FROM nodes", &[]).await?;
    let slots = transaction.query("SELECT slot, node FROM slots WHERE node IS NOT NULL", &[]).await?;
    let node = |row: &tokio_postgres::Row| {
        (row.get(0), Node { beat: row.get(1), division: row.get(2), is_leaving: row.get(3) })
    };
    let slot = |row: &tokio_postgres::Row| Some((Slot::from_number(row.get(0))?, row.get(1)));
    Ok((nodes.iter().map(node).collect(), slots.iter().filter_map(slot).collect()))
}

/// Writes down who holds these slots.
async fn change(transaction: &Transaction<'_>, slots: &[Slot], node: Option<NodeId>) -> Result<(), Error> {
    if slots.is_empty() {
        return Ok(());
    }
    let numbers: Vec<i16> = slots.iter().map(|slot| slot.number()).collect();
    let sql = "INSERT INTO slots (slot, node) SELECT slot, $2 FROM unnest($1::smallint[]) AS changed (slot) \
               ON CONFLICT (slot) DO UPDATE SET node = excluded.node";
    transaction.execute(sql, &[&numbers, &node]).await.map(drop)
}

/// What a node takes of the slots that nobody has, and gives up for those who have fewer. Only nodes that divide the lanes
/// in the same way hold slots at the same time.
fn plan(own: NodeId, nodes: &BTreeMap<NodeId, Node>, slots: &BTreeMap<Slot, NodeId>) -> Plan {
    let Some(me) = nodes.get(&own) else { return Plan::default() };
    let others_hold =
        slots.values().filter_map(|holder| nodes.get(holder)).any(|holder| holder.division != me.division);
    if me.is_leaving || others_hold {
        return Plan::default();
    }
    let sharing = nodes.values().filter(|node| !node.is_leaving && node.division == me.division).count();
    let share = SLOTS.div_ceil(sharing.max(1));
    let mine: Vec<Slot> = slots.iter().filter(|(_, holder)| **holder == own).map(|(slot, _)| *slot).collect();
    let is_free = |slot: &Slot| slots.get(slot).is_none_or(|holder| !nodes.contains_key(holder));
    Plan {
        claim: Slot::all().filter(is_free).take(share.saturating_sub(mine.len())).collect(),
        ask_back: mine.into_iter().skip(share).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(division: &str) -> Node {
        Node { beat: 0, division: division.into(), is_leaving: false }
    }

    fn held(holders: impl Fn(usize) -> NodeId) -> BTreeMap<Slot, NodeId> {
        Slot::all()
            .enumerate()
            .map(|(at, slot)| (slot, holders(at)))
            .filter(|(_, holder)| *holder > 0)
            .collect()
    }

    #[test]
    fn slots_are_divided_evenly_and_come_to_rest() {
        for count in 1..=5 {
            let mut nodes: BTreeMap<NodeId, Node> = (1..=count).map(|id| (id, node("d"))).collect();
            let mut slots = BTreeMap::new();
            let mut rounds = 0;
            let settle = |nodes: &BTreeMap<NodeId, Node>, slots: &mut BTreeMap<Slot, NodeId>| {
                let mut moved = 0;
                for id in nodes.keys() {
                    let plan = plan(*id, nodes, slots);
                    moved += plan.claim.len() + plan.ask_back.len();
                    slots.retain(|slot, _| !plan.ask_back.contains(slot));
                    slots.extend(plan.claim.into_iter().map(|slot| (slot, *id)));
                }
                moved
            };
            while settle(&nodes, &mut slots) > 0 {
                rounds += 1;
                assert!(rounds < 10, "it goes on and on");
            }
            let share = SLOTS.div_ceil(usize::try_from(count).unwrap());
            assert_eq!(slots.len(), SLOTS);
            assert!(nodes.keys().all(|id| slots.values().filter(|it| *it == id).count() <= share));
            nodes.insert(9, node("d"));
            while settle(&nodes, &mut slots) > 0 {}
            let has = slots.values().filter(|it| **it == 9).count();
            assert!(has > SLOTS / usize::try_from(count + 1).unwrap() - 6, "the new one has {has}");
        }
    }

    #[test]
    fn what_a_gone_node_held_is_taken() {
        let nodes = BTreeMap::from([(1, node("d")), (2, node("d"))]);
        let slots = held(|at| if at < 128 { 1 } else { 3 });
        assert_eq!(plan(2, &nodes, &slots).claim.len(), 128);
        assert_eq!(plan(1, &nodes, &slots), Plan::default());
    }

    #[test]
    fn who_divides_otherwise_waits() {
        let nodes = BTreeMap::from([(1, node("old")), (2, node("new"))]);
        assert_eq!(plan(2, &nodes, &held(|at| i64::from(at == 0))), Plan::default());
        assert_eq!(plan(2, &nodes, &BTreeMap::new()).claim.len(), SLOTS, "until the others hold nothing");
        assert_eq!(plan(1, &nodes, &held(|_| 1)), Plan::default(), "and takes nothing from them");
    }

    #[test]
    fn who_leaves_takes_nothing_and_gets_no_share() {
        let mut leaving = node("d");
        leaving.is_leaving = true;
        let nodes = BTreeMap::from([(1, leaving), (2, node("d"))]);
        assert_eq!(plan(1, &nodes, &BTreeMap::new()), Plan::default());
        assert_eq!(plan(2, &nodes, &BTreeMap::new()).claim.len(), SLOTS);
    }
}
