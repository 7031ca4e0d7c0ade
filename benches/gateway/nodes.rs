//! One PostgreSQL and what is made of it: a queue on it by hand, which is its limit on this machine, and the gateway in one
//! process and in several, with the gateway on SQLite beside them.

use std::time::{Duration, Instant};

use patchcord::store::SLOTS;
use tokio_postgres::NoTls;

use super::by_hand_postgres;
use super::figures::Faults;
use super::installation::{Folder, Installation, webhook_for};
use super::load::Load;
use super::process::Process;
use super::run::{Figures, medians, run};
use super::scale::Scale;
use super::sink::Sink;

/// Enough that each of a few nodes has about as many lanes as any other.
const CHANNELS: u64 = 32;
/// How long nodes may take to divide the lanes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a row measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    ByHand,
    Sqlite,
    Postgres(usize),
}

/// All rows in turn, several times; prints the medians.
pub fn nodes(scale: &Scale) {
    let Some(server) = &scale.postgres else {
        eprintln!(
            "`nodes` measures a PostgreSQL: set PATCHCORD_BENCH_POSTGRES=postgres://USER@HOST/DATABASE"
        );
        std::process::exit(2);
    };
    let nodes = scale.nodes.iter().map(|count| Row::Postgres(*count));
    let rows: Vec<Row> = [Row::ByHand, Row::Sqlite].into_iter().chain(nodes).collect();
    let mut runs = vec![[Vec::new(), Vec::new()]; rows.len()];
    for _ in 0..scale.runs {
        for (row, [accepts, ways]) in rows.iter().zip(&mut runs) {
            accepts.push(row.once(server, false, scale));
            ways.push(row.once(server, true, scale));
        }
    }
    head();
    let table: Vec<[Figures; 2]> =
        runs.iter().map(|ways| ways.each_ref().map(|runs| medians(runs))).collect();
    for (row, figures) in rows.iter().zip(&table) {
        row.print(figures, &table[0]);
    }
    println!();
    for (row, [_, figures]) in rows.iter().zip(table) {
        let mut faults = figures.faults;
        if *row == Row::ByHand {
            // Nothing keeps the order.
            faults.out_of_order = 0;
        }
        assert_eq!(faults, Faults::default(), "{row:?}: messages were lost, out of order or repeated");
    }
}

impl Row {
    /// One run, on a store of its own; `delivers` is whether what is accepted goes on to the platform.
    fn once(self, server: &str, delivers: bool, scale: &Scale) -> Figures {
        let folder = Folder::on((self != Self::Sqlite).then(|| server.to_owned()));
        let sink = Sink::start();
        let platform_rate = if delivers { "unlimited" } else { "1/s" };
        let installation =
            Installation { sink: sink.address, platform_rate, chats: CHANNELS as usize, channels: 0 };
        installation.write(&folder);
        let processes = match self {
            Self::ByHand => vec![by_hand_postgres::start(&folder, delivers.then_some(sink.address))],
            Self::Sqlite => vec![Process::serve(&folder.0)],
            Self::Postgres(nodes) => {
                let processes = (0..nodes).map(|_| Process::serve(&folder.0)).collect();
                wait_until_divided(&folder, nodes);
                processes
            }
        };
        // As many in every row: each of the most nodes gets what another case has.
        let most = scale.nodes.iter().max().copied().unwrap_or(1) as u64;
        let load = Load { connections: scale.connections * most, rate: None, lasts: scale.lasts, first: 1 };
        run(&processes, &sink, load, delivers, |number, contact| webhook_for(CHANNELS, number, contact))
    }

    fn name(self) -> String {
        match self {
            Self::ByHand => "PostgreSQL, by hand".to_owned(),
            Self::Sqlite => "SQLite, 1 process".to_owned(),
            Self::Postgres(1) => "PostgreSQL, 1 node".to_owned(),
            Self::Postgres(nodes) => format!("PostgreSQL, {nodes} nodes"),
        }
    }

    fn print(self, [accepts, ways]: &[Figures; 2], [accepts_by_hand, ways_by_hand]: &[Figures; 2]) {
        println!(
            "{:24} {:9.0} {:6.0} % {:7.2} {:7.2} {:11.0} {:6.0} % {:7.2} {:7.2} {:6} {:8} {:>7}",
            self.name(),
            accepts.accepted,
            accepts.accepted / accepts_by_hand.accepted * 100.0,
            accepts.cpu,
            accepts.database_cpu,
            ways.delivered,
            ways.delivered / ways_by_hand.delivered * 100.0,
            ways.cpu,
            ways.database_cpu,
            ways.faults.lost,
            ways.faults.repeated,
            if self == Self::ByHand { "-".to_owned() } else { ways.faults.out_of_order.to_string() },
        );
    }
}

fn head() {
    for [accepted, share, cpu, database, delivered, lost, repeated, order] in [
        ["accepted", "of what", "CPU s", "the", "delivered", "lost", "repeats", "out of"],
        ["/s", "by hand", "/10k", "DB's", "/s", "", "", "order"],
    ] {
        println!(
            "{:24} {accepted:>9} {share:>8} {cpu:>7} {database:>7} {delivered:>11} {share:>8} {cpu:>7} {database:>7} {lost:>6} {repeated:>8} {order:>7}",
            ""
        );
    }
}

/// Waits until every node has its share of the lanes.
fn wait_until_divided(folder: &Folder, nodes: usize) {
    const SHARES: &str = "SELECT count(*) FROM slots WHERE node IS NOT NULL GROUP BY node";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&folder.address(), NoTls).await.unwrap();
        tokio::spawn(connection);
        let began = Instant::now();
        loop {
            let rows = client.query(SHARES, &[]).await.unwrap();
            let shares: Vec<usize> = rows.iter().map(|row| row.get::<_, i64>(0) as usize).collect();
            let is_even = shares.iter().all(|share| *share <= SLOTS.div_ceil(nodes));
            if shares.len() == nodes && shares.iter().sum::<usize>() == SLOTS && is_even {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "the lanes are not divided evenly: {shares:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}
