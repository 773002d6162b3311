//! Peers of WireGuard: `wg show`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::machine::Guest;
use super::part;

/// Two tunnels that are each other's peers, and one peer that is not there. The shell has an `ip` of its own that knows less.
const TUNNELS: &str = "
ip() { /usr/bin/ip \"$@\"; }
umask 077
ip link set lo up
for i in 0 1 2; do wg genkey > /tmp/k$i; wg pubkey < /tmp/k$i > /tmp/p$i; done
for i in 0 1; do ip link add wg$i type wireguard; done
wg set wg0 private-key /tmp/k0 listen-port 51820 peer $(cat /tmp/p1) endpoint 127.0.0.1:51821 \
    allowed-ips 10.0.0.2/32,fd00::/64 persistent-keepalive 1
wg set wg0 peer $(cat /tmp/p2) allowed-ips 10.0.0.3/32
wg set wg1 private-key /tmp/k1 listen-port 51821 peer $(cat /tmp/p0) endpoint [::1]:51820 persistent-keepalive 7
for i in 0 1; do ip link set wg$i up; done
until wg show wg0 latest-handshakes | grep -q '[1-9][0-9]*$'; do :; done
";

/// Peers by interface and key, as `wg` tells them.
fn told(said: &str) -> BTreeMap<(String, String), Vec<String>> {
    let words = |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
    // an interface has fewer words
    let peers = said.lines().map(words).filter(|words| words.len() == 9);
    peers.map(|words| ((words[0].clone(), words[1].clone()), words)).collect()
}

#[test]
fn peers_of_wireguard_are_what_wg_says() {
    let script = format!(
        "{TUNNELS}
        echo '== before'; wg show all dump
        echo '== peers'; netglance show wireguard_peer --format json
        echo '== after'; wg show all dump\n"
    );
    let said = Guest::with(&["ip", "wg"]).run(&script);
    let (before, after) = (told(part(&said, "before")), told(part(&said, "after")));
    let rows: Vec<Value> = serde_json::from_str(part(&said, "peers")).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!((rows.len(), before.len()), (3, 3), "{said}");
    for row in &rows {
        let text = |column: &str| row[column].as_str();
        let key = (text("interface").unwrap().to_owned(), text("key").unwrap().to_owned());
        let (first, last) = (&before[&key], &after[&key]);
        let endpoint = row["port"].as_u64().map(|port| match text("address").unwrap() {
            address if address.contains(':') => format!("[{address}]:{port}"),
            address => format!("{address}:{port}"),
        });
        assert_eq!(endpoint.as_deref(), Some(&*first[3]).filter(|endpoint| *endpoint != "(none)"));
        let networks = text("networks").map(|networks| networks.replace(", ", ","));
        assert_eq!(networks.as_deref(), Some(&*first[4]).filter(|networks| *networks != "(none)"));
        for (column, at) in [("handshake", 5), ("rx_bytes", 6), ("tx_bytes", 7)] {
            let [low, high] = [first, last].map(|words| words[at].parse::<f64>().unwrap());
            let have = row[column].as_f64().unwrap_or(0.0).trunc();
            assert!((low..=high).contains(&have), "{column}: {low} {have} {high}");
        }
        assert_eq!(row["handshake"].is_null(), first[5] == "0");
        assert_eq!(row["keepalive"].as_f64(), first[8].parse().ok());
    }
    let spoken = rows.iter().filter(|row| !row["handshake"].is_null()).count();
    assert!(spoken >= 1, "{rows:?}");
}
