//! A schema of its own on the tests' PostgreSQL server, and what can go wrong on the way there.

use std::thread::sleep;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_postgres::{Config, NoTls, config::Host};

use super::passage::{Passage, Way};
use super::postgres;
use crate::crash::Dice;

/// A schema that is dropped when the test is over.
pub struct Database {
    runtime: Runtime,
    server: Config,
    name: String,
    /// The ways to it, which can be held up.
    pub ways: Vec<Passage>,
}

impl Database {
    /// The tests' server, if there is one.
    pub fn server() -> Option<Config> {
        Some(postgres::server()?.parse().expect("it was connected to"))
    }

    /// A new one on the tests' server, if there is one.
    pub fn new() -> Option<Self> {
        Some(Self::on(Self::server()?, 1))
    }

    /// A new one on that server, with so many ways to it.
    pub fn on(server: Config, ways: usize) -> Self {
        let host = match server.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            _ => "127.0.0.1".to_owned(),
        };
        let port = server.get_ports().first().copied().unwrap_or(5432);
        let name = format!("t{}", patchcord::world::World::system().new_id().replace('-', ""));
        let ways = (0..ways).map(|_| Passage::to(format!("{host}:{port}"))).collect();
        let database = Self { runtime: Runtime::new().unwrap(), server, name, ways };
        database.execute(&format!("CREATE SCHEMA {}", database.name));
        database
    }

    /// Its address, by the first way.
    pub fn address(&self) -> String {
        self.address_by(0)
    }

    /// Its address, by one of the ways.
    pub fn address_by(&self, way: usize) -> String {
        let user = self.server.get_user().unwrap_or("root");
        let password = self.server.get_password().map(String::from_utf8_lossy);
        let password = password.map(|password| format!(":{password}")).unwrap_or_default();
        let database = self.server.get_dbname().unwrap_or(user);
        format!(
            "postgres://{user}{password}@127.0.0.1:{}/{database}?application_name={name}&options=-csearch_path%3D{name}",
            self.ways[way].port,
            name = self.name
        )
    }

    fn execute(&self, sql: &str) {
        self.runtime.block_on(async {
            let (client, connection) = self.server.connect(NoTls).await.unwrap();
            tokio::spawn(connection);
            client.batch_execute(sql).await.unwrap();
        });
    }

    /// Ends all connections to it.
    pub fn end_connections(&self) {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name =";
        self.execute(&format!("{sql} '{}'", self.name));
    }

    /// Lets something go wrong, for a while; says what.
    pub fn trouble(&self, dice: &mut Dice) -> &'static str {
        let for_a_while = |way: Way, most: u64, dice: &mut Dice| {
            self.ways[0].set(way);
            sleep(Duration::from_millis(dice.below(most)));
            self.ways[0].set(Way::Open);
        };
        match dice.below(4) {
            0 => {
                self.end_connections();
                "connections ended by the server"
            }
            1 => {
                for_a_while(Way::Held, 4000, dice);
                "held up on the way"
            }
            2 => {
                for_a_while(Way::Shut, 1500, dice);
                "cut off"
            }
            _ => "nothing besides",
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A gateway that was killed a moment ago may still have its locks.
        self.end_connections();
        self.execute(&format!("DROP SCHEMA {name} CASCADE", name = self.name));
    }
}
