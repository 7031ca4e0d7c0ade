//! The seat of a gateway: what only one process at a time can have.

use std::net::SocketAddr;

use smol_str::{SmolStr, format_smolstr};

/// The seat of the process that listens there: no other can at the same time, in this network of this machine, since it was
/// started. None where the system does not say which that is.
pub(super) fn seat(listens: SocketAddr) -> Option<SmolStr> {
    if listens.port() == 0 {
        return None;
    }
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let network = std::fs::read_link("/proc/self/ns/net").ok()?;
    Some(format_smolstr!("{} {} {listens}", boot.trim(), network.display()))
}
