//! One connection to the database, with its prepared statements.
//!
//! Invariant: a connection on which something failed that is not the request's fault is not used again.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, Row, Statement, Transaction};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::fault;
use crate::store::StoreError;

/// Values of a statement.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// How long connecting may take, unless the address says `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may take in all, with what is said at its beginning.
const ANSWER: Duration = Duration::from_secs(10);
/// How long what was sent may stay without an acknowledgement, unless the address says `tcp_user_timeout`.
const SILENCE: Duration = Duration::from_secs(5);
/// What the server is told when a connection begins. Nothing may be answered that is not on disk. A process that stops in
/// the middle of a transaction, or whose machine is gone without a word, must not be waited for; nor may what hangs. Every
/// statement looks up a few hundred rows by an index at most, which no plan made while the tables are empty may forget. What
/// is not to be planned costs so much, and can't always be helped, that the server would compile the statement each time.
const SESSION: &str = "SET synchronous_commit = on; SET idle_in_transaction_session_timeout = '3s'; \
                       SET lock_timeout = '8s'; SET statement_timeout = '60s'; SET tcp_keepalives_idle = 3; \
                       SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3; SET tcp_user_timeout = '8s'; \
                       SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; \
                       SET plan_cache_mode = force_generic_plan; SET jit = off";

/// Where a database is.
#[derive(Clone)]
pub(super) struct Address {
    config: Config,
    /// The address without its password, for people.
    place: String,
}

impl Address {
    /// Reads `postgres://USER:PASSWORD@HOST:PORT/DATABASE?..`.
    pub(super) fn parse(address: &str) -> Result<Self, StoreError> {
        let place = without_password(address);
        let mut config: Config = address.parse().map_err(|error: tokio_postgres::Error| {
            StoreError::Open { place: place.clone(), reason: fault::describe(&error) }
        })?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE);
        }
        if config.get_application_name().is_none() {
            config.application_name("patchcord");
        }
        if !address.contains("sslmode=") {
            let near = config.get_hosts().iter().all(is_near);
            config.ssl_mode(if near { SslMode::Disable } else { SslMode::Require });
        }
        Ok(Self { config, place })
    }

    /// Whether it holds a password.
    pub(super) fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }
}

/// Whether what is said to a host stays on this machine.
fn is_near(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

fn without_password(address: &str) -> String {
    match url::Url::parse(address) {
        Ok(mut url) => {
            // A URL without a host has no password either.
            let _ = url.set_password(None);
            url.set_query(None);
            url.to_string()
        }
        Err(_) => "the database".to_owned(),
    }
}

/// An open connection.
pub(super) struct Connection {
    client: Client,
    place: String,
    statements: Mutex<HashMap<String, Statement>>,
    /// Told when another connection wakes this one.
    woken: Arc<Woken>,
    driver: JoinHandle<()>,
}

#[derive(Default)]
struct Woken {
    /// The number of this connection's process at the server, whose own notifications are no news.
    own: AtomicI32,
    by_another: Notify,
    /// The same, where it says [`SLOTS_CHANGED`].
    to_divide: Notify,
}

/// What is said when slots are free.
pub(super) const SLOTS_CHANGED: &str = "slots";

impl Connection {
    /// Connects. A server that takes the connection and then says nothing is not waited for either.
    pub(super) async fn open(address: &Address) -> Result<Self, StoreError> {
        let silent = StoreError::Open { place: address.place.clone(), reason: "it does not answer".into() };
        timeout(ANSWER, Self::connect(address)).await.unwrap_or(Err(silent))
    }

    async fn connect(address: &Address) -> Result<Self, StoreError> {
        let place = address.place.clone();
        let failed = |error: &tokio_postgres::Error| StoreError::Open {
            place: place.clone(),
            reason: fault::describe(error),
        };
        let woken = Arc::new(Woken::default());
        let (client, driver) = if address.config.get_ssl_mode() == SslMode::Disable {
            let (client, connection) = address.config.connect(NoTls).await.map_err(|error| failed(&error))?;
            (client, tokio::spawn(drive(connection, woken.clone())))
        } else {
            let tls = tls().map_err(|reason| StoreError::Open { place: place.clone(), reason })?;
            let (client, connection) = address.config.connect(tls).await.map_err(|error| failed(&error))?;
            (client, tokio::spawn(drive(connection, woken.clone())))
        };
        let connection = Self { client, place, statements: Mutex::default(), woken, driver };
        connection.client.batch_execute(SESSION).await.map_err(|error| connection.open_error(&error))?;
        Ok(connection)
    }

    /// The address without its password.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// What the statements go through.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// A transaction, which is rolled back where it is not committed.
    pub(super) async fn transaction(&mut self) -> Result<Transaction<'_>, tokio_postgres::Error> {
        self.client.transaction().await
    }

    /// Prepares statements, all at once.
    pub(super) async fn prepare<'s>(
        &self,
        statements: impl Iterator<Item = &'s str>,
    ) -> Result<(), tokio_postgres::Error> {
        try_join_all(statements.map(|sql| self.statement(sql))).await.map(|_| ())
    }

    /// Listens to what goes by that name; see [`Self::woken`].
    pub(super) async fn listen(&self, name: &str) -> Result<(), tokio_postgres::Error> {
        let own = self.client.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
        self.woken.own.store(own, Ordering::Relaxed);
        self.client.batch_execute(&format!("LISTEN {name}")).await
    }

    /// Waits until another connection says something to what this one listens to.
    pub(super) async fn woken(&self) {
        self.woken.by_another.notified().await;
    }

    /// The same where that is [`SLOTS_CHANGED`].
    pub(super) async fn woken_to_divide(&self) {
        self.woken.to_divide.notified().await;
    }

    /// Whether it has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// An error while opening.
    pub(super) fn open_error(&self, error: &tokio_postgres::Error) -> StoreError {
        StoreError::Open { place: self.place.clone(), reason: fault::describe(error) }
    }

    /// The rows that a statement gives.
    pub(super) async fn rows(
        &self,
        sql: &str,
        values: Values<'_>,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let statement = self.statement(sql).await?;
        self.client.query(&statement, values).await
    }

    /// The one row that a statement gives, if it does.
    pub(super) async fn row(
        &self,
        sql: &str,
        values: Values<'_>,
    ) -> Result<Option<Row>, tokio_postgres::Error> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }

    /// Runs a statement that changes something; gives how many rows it changed.
    pub(super) async fn change(&self, sql: &str, values: Values<'_>) -> Result<u64, tokio_postgres::Error> {
        let statement = self.statement(sql).await?;
        self.client.execute(&statement, values).await
    }

    /// A statement, which is prepared once.
    async fn statement(&self, sql: &str) -> Result<Statement, tokio_postgres::Error> {
        let known = self.statements.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let statement = self.client.prepare(sql).await?;
        self.statements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // What is under way on it is of no interest to anybody any more.
        self.driver.abort();
    }
}

/// What moves the bytes of a connection, until its client is gone or it breaks.
async fn drive<S, T>(mut connection: tokio_postgres::Connection<S, T>, woken: Arc<Woken>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    // Of an error the requests that are under way learn.
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notification(notification) = message
            && notification.process_id() != woken.own.load(Ordering::Relaxed)
        {
            let told =
                if notification.payload() == SLOTS_CHANGED { &woken.to_divide } else { &woken.by_another };
            told.notify_one();
        }
    }
}

/// TLS with the system's roots: a server that can't prove its name is not talked to.
fn tls() -> Result<MakeRustlsConnect, String> {
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            let verifier = rustls_platform_verifier::Verifier::new(builder.crypto_provider().clone())?;
            Ok(builder
                .dangerous()
                .with_custom_certificate_verifier(std::sync::Arc::new(verifier))
                .with_no_client_auth())
        })
        .map_err(|error| error.to_string())?;
    Ok(MakeRustlsConnect::new(config))
}
