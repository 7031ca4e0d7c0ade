//! Whom a reverse proxy speaks for.
//!
//! Invariant: no address is believed but from a trusted proxy, so a caller can't make one up.

use std::net::{IpAddr, SocketAddr};

use crate::plan::Network;

/// Who called: the peer itself, or, where that is a trusted proxy, the last address of `X-Forwarded-For` that is none.
/// `forwarded` has the values of the header, in their order.
pub(super) fn caller<'a>(
    peer: IpAddr,
    forwarded: impl DoubleEndedIterator<Item = &'a str>,
    trusted: &[Network],
) -> IpAddr {
    let mut caller = peer;
    let mut before = forwarded.flat_map(|value| value.split(',')).rev().map(address);
    while trusted.iter().any(|network| network.contains(caller))
        && let Some(Some(address)) = before.next()
    {
        caller = address;
    }
    caller
}

/// An address, which some proxies write with a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(peer: &str, forwarded: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "2001:db8::/32"].map(|text| Network::parse(text).unwrap());
        caller(peer.parse().unwrap(), forwarded.iter().copied(), &trusted).to_string()
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_nobody_else() {
        assert_eq!(called("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(called("198.51.100.9", &["198.51.100.7"]), "198.51.100.9");
        assert_eq!(called("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn what_a_caller_put_in_front_is_not_believed() {
        assert_eq!(called("10.0.0.1", &["1.1.1.1, 198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        assert_eq!(called("10.0.0.1", &["1.1.1.1", "198.51.100.7"]), "198.51.100.7");
        assert_eq!(called("10.0.0.1", &["1.1.1.1, what, 10.0.0.2"]), "10.0.0.2");
    }

    #[test]
    fn ports_and_brackets_are_no_part_of_an_address() {
        assert_eq!(called("10.0.0.1", &["198.51.100.7:1234"]), "198.51.100.7");
        assert_eq!(called("2001:db8::1", &["[2001:dead::1]:443, [2001:db8::2]"]), "2001:dead::1");
    }
}
