//! Networks of IP addresses.

use std::net::IpAddr;

/// A network of IP addresses, such as `192.0.2.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    prefix: u32,
}

impl Network {
    /// Reads a network, or an address as the network of nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.trim().split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text.trim(), None),
        };
        let first: IpAddr = address.parse().ok()?;
        let longest = if first.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
            None => longest,
        };
        (prefix <= longest).then_some(Self { first, prefix })
    }

    /// One address in it.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// Whether an address is in it. An IPv4 address that is written as one of IPv6 is one of IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let differ = match (self.first, address.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(other)) => {
                (first.to_bits() ^ other.to_bits()).checked_shr(32 - self.prefix).unwrap_or(0) != 0
            }
            (IpAddr::V6(first), IpAddr::V6(other)) => {
                (first.to_bits() ^ other.to_bits()).checked_shr(128 - self.prefix).unwrap_or(0) != 0
            }
            _ => true,
        };
        !differ
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        Network::parse(network).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn the_prefix_decides() {
        assert!(contains("192.0.2.0/24", "192.0.2.255") && !contains("192.0.2.0/24", "192.0.3.0"));
        assert!(contains("192.0.2.128/25", "192.0.2.128") && !contains("192.0.2.128/25", "192.0.2.127"));
        assert!(contains("0.0.0.0/0", "255.1.2.3") && contains("::/0", "2001:db8::1"));
        assert!(
            contains("2001:db8::/33", "2001:db8:7fff::") && !contains("2001:db8::/33", "2001:db8:8000::")
        );
        assert!(contains("198.51.100.7", "198.51.100.7") && !contains("198.51.100.7", "198.51.100.8"));
    }

    #[test]
    fn families_are_apart_but_for_mapped_addresses() {
        assert!(contains("192.0.2.0/24", "::ffff:192.0.2.9"));
        assert!(!contains("::/0", "192.0.2.9") && !contains("0.0.0.0/0", "2001:db8::1"));
    }

    #[test]
    fn what_is_no_network_is_none() {
        for text in
            ["", "a", "192.0.2.0/33", "192.0.2/24", "::/129", "192.0.2.0/", "192.0.2.0/+8", "1.2.3.4/-1"]
        {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
