//! A schema of its own on the tests' PostgreSQL server, for one run after another.

use patchcord::store::{Options, PostgresStore, feed};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_postgres::{Client, NoTls};

use super::postgres;

/// Removes all rows, which are few in each table, and lets all numbers begin anew.
const EMPTY: &str = "DO $$ DECLARE it record; BEGIN \
    FOR it IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename <> 'schema_version' \
    LOOP EXECUTE format('DELETE FROM %I', it.tablename); END LOOP; \
    FOR it IN SELECT sequencename, start_value FROM pg_sequences WHERE schemaname = current_schema() \
    LOOP PERFORM setval(it.sequencename::regclass, it.start_value, false); END LOOP; END $$";

/// A schema that is dropped when the test is over.
pub struct Database {
    runtime: Runtime,
    client: Client,
    schema: String,
    address: String,
}

impl Database {
    /// A new one with the tables of a store; none where there is no server.
    pub fn new() -> Option<Self> {
        let server = postgres::server()?;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (client, connection) = runtime.block_on(tokio_postgres::connect(&server, NoTls)).unwrap();
        runtime.spawn(connection);
        let schema = format!("t{}", patchcord::world::World::system().new_id().replace('-', ""));
        let sign = if server.contains('?') { '&' } else { '?' };
        let address = format!("{server}{sign}options=-csearch_path%3D{schema}");
        let database = Self { runtime, client, schema, address };
        database.execute(&format!("CREATE SCHEMA {0}; SET search_path = {0}", database.schema));
        drop(PostgresStore::open(&database.address, &Options::default(), feed(1).0).unwrap());
        Some(database)
    }

    /// The store of a process.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What requests to it are made on.
    pub fn runtime(&self) -> Handle {
        self.runtime.handle().clone()
    }

    /// As if it were new.
    pub fn empty(&self) {
        self.execute(EMPTY);
    }

    fn execute(&self, sql: &str) {
        self.runtime.block_on(self.client.batch_execute(sql)).unwrap();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP SCHEMA {} CASCADE", self.schema);
        if let Err(error) = self.runtime.block_on(self.client.batch_execute(&drop)) {
            eprintln!("the schema {} is left behind: {error}", self.schema);
        }
    }
}
