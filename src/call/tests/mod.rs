//! Requests over real connections: a server with files, and a provider that takes them.

mod pool;
mod servers;
mod upload;
