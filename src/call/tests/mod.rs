//! Requests over real connections: a server with files, and a provider that takes them.

mod departure;
mod once;
mod pool;
mod servers;
mod trouble;
mod upload;
