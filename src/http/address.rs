//! Where a request comes from, also from behind proxies.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the client. Only a proxy that the operator trusts is believed when it names
/// whom it serves: the hop furthest to the right that is no trusted proxy itself. Everything to the
/// left of that hop is hearsay, which the client may have written.
pub(super) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    if !is_trusted(peer, trusted) {
        return peer;
    }
    let by = |name, hop: fn(&str) -> Option<IpAddr>| {
        headers.contains_key(&name).then(|| last_untrusted(peer, headers, (name, hop), trusted))
    };
    match (by(X_FORWARDED_FOR, plain_hop), by(header::FORWARDED, forwarded_hop)) {
        (Some(one), Some(other)) if one == other => one,
        // A proxy writes one of the two and may pass the client's own words on in the other.
        (Some(_), Some(_)) | (None, None) => peer,
        (Some(address), None) | (None, Some(address)) => address,
    }
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&address))
}

/// Goes from hop to hop, from the peer to the client, as long as each is trusted to know the next.
fn last_untrusted(
    peer: IpAddr,
    headers: &HeaderMap,
    (name, hop): (HeaderName, fn(&str) -> Option<IpAddr>),
    trusted: &[IpNet],
) -> IpAddr {
    let lines = headers.get_all(name).into_iter().rev();
    let hops = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    let mut nearest = peer;
    for text in hops {
        let Some(address) = hop(text.trim()) else { return nearest };
        nearest = address.to_canonical();
        if !is_trusted(nearest, trusted) {
            return nearest;
        }
    }
    nearest
}

/// An address, with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn plain_hop(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().map(|address| address.ip());
    bare.parse().or_else(|_| with_port()).ok()
}

/// The `for` of an element of `Forwarded` (RFC 7239 §4).
fn forwarded_hop(text: &str) -> Option<IpAddr> {
    let node = text.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"'))
    });
    plain_hop(node?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn seen(peer: &str, headers: &[(&'static str, &str)]) -> String {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        client_address(peer.parse().unwrap(), &map, &trusted).to_string()
    }

    #[test]
    fn a_stranger_is_not_believed() {
        let claim = ("x-forwarded-for", "192.0.2.7");
        assert_eq!(seen("203.0.113.5", &[claim]), "203.0.113.5");
        assert_eq!(seen("203.0.113.5", &[("forwarded", "for=192.0.2.7")]), "203.0.113.5");
        assert_eq!(seen(PROXY, &[claim]), "192.0.2.7");
        assert_eq!(seen("::ffff:10.0.0.1", &[claim]), "192.0.2.7", "a socket for both families");
        assert_eq!(seen(PROXY, &[]), PROXY);
    }

    #[test]
    fn the_rightmost_hop_that_is_no_proxy_counts() {
        let chain = |value| seen(PROXY, &[("x-forwarded-for", value)]);
        assert_eq!(chain("1.1.1.1, 192.0.2.7"), "192.0.2.7", "what stands before it is hearsay");
        assert_eq!(chain("1.1.1.1, 192.0.2.7, 10.3.4.5, fd00::1"), "192.0.2.7");
        assert_eq!(chain("10.9.9.9, 10.3.4.5"), "10.9.9.9", "a client within");
        assert_eq!(chain("192.0.2.7:4711"), "192.0.2.7");
        assert_eq!(chain("[2001:db8::7]:4711"), "2001:db8::7");
        assert_eq!(chain("2001:db8::7"), "2001:db8::7");
        assert_eq!(chain("192.0.2.7, unknown, 10.3.4.5"), "10.3.4.5", "the last one that is known");
        assert_eq!(chain(""), PROXY);
        let lines = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "192.0.2.7, 10.3.4.5")];
        assert_eq!(seen(PROXY, &lines), "192.0.2.7");
    }

    #[test]
    fn forwarded_is_read_too_and_two_headers_must_agree() {
        let element = "for=1.1.1.1, for=\"[2001:db8::7]:4711\";proto=https;by=10.0.0.1";
        assert_eq!(seen(PROXY, &[("forwarded", element)]), "2001:db8::7");
        assert_eq!(seen(PROXY, &[("forwarded", "proto=https;For=192.0.2.7")]), "192.0.2.7");
        assert_eq!(seen(PROXY, &[("forwarded", "for=_hidden")]), PROXY);
        let both = |other| [("forwarded", "for=192.0.2.7"), ("x-forwarded-for", other)];
        assert_eq!(seen(PROXY, &both("192.0.2.7")), "192.0.2.7");
        assert_eq!(seen(PROXY, &both("192.0.2.8")), PROXY);
    }
}
