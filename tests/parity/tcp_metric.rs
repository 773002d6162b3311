//! What the kernel remembers of TCP: `ip tcp_metrics`.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};

use netglance::model::Timestamp;

use super::bracket::{Facts, Parity};
use super::network::{in_own_network, ip, list};
use super::said_json;

fn metric_facts() -> Facts {
    let mut facts = Facts::default();
    for host in list(&said_json("ip", &["-j", "tcp_metrics"])) {
        let text = |name: &str| host[name].as_str().unwrap_or_else(|| panic!("{name}: {host}"));
        let key = format!("{} {}", text("dst"), text("source"));
        let age = host["age"].as_f64().unwrap();
        let noted = Timestamp::now().seconds() - age;
        facts.between(&key, "updated", noted - 0.5, noted + 0.5);
        for (column, member) in [
            ("rtt", "rtt"),
            ("rttvar", "rttvar"),
            ("cwnd", "cwnd"),
            ("ssthresh", "ssthresh"),
            ("reordering", "reordering"),
            ("fastopen_mss", "fo_mss"),
            ("fastopen_drops", "fo_syn_drops"),
        ] {
            match host[member].as_f64() {
                Some(value) => facts.number(&key, column, value),
                None => facts.missing(&key, column),
            }
        }
    }
    facts
}

#[test]
fn root_what_is_remembered_of_tcp_is_what_ip_says() {
    in_own_network(|| {
        ip("addr add 10.7.0.1/32 dev lo");
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for address in ["10.7.0.1", "127.0.0.5"] {
            let mut client = TcpStream::connect((address, port)).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            for _ in 0..50 {
                client.write_all(&[0; 5000]).unwrap();
                server.read_exact(&mut [0; 5000]).unwrap();
            }
            client.shutdown(Shutdown::Both).unwrap();
            assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
        }
        let mut table = Parity::of("tcp_metric", &["destination", "source"]).wanting(&[], &[]);
        table.agrees(metric_facts);
        table.left_out(&["destination", "netns", "source"]);
        assert!(table.keys().contains("10.7.0.1 10.7.0.1"), "{:?}", table.keys());
    });
}
