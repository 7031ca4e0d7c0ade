//! What requests may reach: a guard against what only this machine should.
//!
//! Invariant: an address is judged once a name is resolved, and at every connection, so no name and no redirect leads
//! to a private address unless the operator allows it.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll};
use std::vec;

use futures_util::future::BoxFuture;
use hyper_util::client::legacy::connect::dns::Name;
use tower::Service;
use url::Url;

use super::transport::TransportError;

/// What requests may reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// Whether they may reach loopback, private and link-local addresses.
    pub allow_private: bool,
}

/// How the text of a refusal begins.
pub(super) const FORBIDDEN: &str = "requests to private addresses are not allowed";

fn forbidden(host: &str) -> TransportError {
    TransportError::Forbidden(forbidden_text(host))
}

fn forbidden_text(host: &str) -> String {
    format!("{FORBIDDEN}: `{host}`; `network: {{allow_private: true}}` in patchcord.yaml allows them")
}

impl NetworkPolicy {
    /// Refuses a URL whose host is an address that may not be reached. Names are judged when they are resolved.
    pub(super) fn check(self, url: &Url) -> Result<(), TransportError> {
        let literal = match url.host() {
            Some(url::Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
            Some(url::Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
            _ => None,
        };
        match literal {
            Some(ip) if !self.allows(ip) => Err(forbidden(url.host_str().unwrap_or_default())),
            _ => Ok(()),
        }
    }

    /// Whether a request may reach an address.
    pub fn allows(self, ip: IpAddr) -> bool {
        self.allow_private
            || match ip {
                IpAddr::V4(ip) => is_public_v4(ip),
                IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
                    Some(mapped) => is_public_v4(mapped),
                    None => is_public_v6(ip),
                },
            }
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let protocol = a == 192 && b == 0 && c == 0;
    let benchmark = a == 198 && (18..20).contains(&b);
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_broadcast()
        || ip.is_documentation()
        || ip.is_unspecified()
        || ip.is_multicast()
        || shared
        || protocol
        || benchmark
        || a == 0
        || a >= 240)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [first, second, ..] = ip.segments();
    let global_unicast = first & 0xe000 == 0x2000;
    let documentation = first == 0x2001 && second == 0x0db8;
    // 6to4 and NAT64 addresses carry an IPv4 address that could be private.
    let transition =
        first == 0x2002 || (first == 0x0064 && second == 0xff9b) || (first == 0x2001 && second == 0);
    global_unicast && !documentation && !transition
}

/// Resolves names, and leaves out addresses that may not be reached.
#[derive(Clone)]
pub(super) struct GuardedResolver(pub(super) NetworkPolicy);

impl Service<Name> for GuardedResolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let policy = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> =
                found.iter().copied().filter(|at| policy.allows(at.ip())).collect();
            if allowed.is_empty() && !found.is_empty() {
                return Err(forbidden_text(name.as_str()).into());
            }
            Ok(allowed.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_told_from_public_ones() {
        let policy = NetworkPolicy::default();
        for ip in [
            "127.0.0.1",
            "10.1.2.3",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "::1",
            "fe80::1",
            "fc00::1",
            "::ffff:10.0.0.1",
            "2002:0a00:0001::1",
            "224.0.0.1",
        ] {
            assert!(!policy.allows(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"] {
            assert!(policy.allows(ip.parse().unwrap()), "{ip}");
        }
        assert!(NetworkPolicy { allow_private: true }.allows("127.0.0.1".parse().unwrap()));
    }
}
