//! A router between two networks: every rule counts exactly what was sent through it.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use netglance::model::Cell;
use netglance::source::netlink::attr::{attributes, push};
use rustix::net::sockopt::{Timeout, set_socket_linger, set_socket_timeout};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, socket_with};

use super::bracket::Parity;
use super::network::in_own_network;
use super::said;

/// Longest wait for packets that are on their way.
const PATIENCE: Duration = Duration::from_secs(10);

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 2);

/// Bytes of headers without options.
const IP: usize = 20;
const UDP: usize = IP + 8;
const ICMP: usize = IP + 8;
const TCP: usize = IP + 20;

type Errand = Box<dyn FnOnce() + Send>;

/// A network with a thread in it that does what it is told; both end with this.
struct Place(mpsc::Sender<Errand>);

impl Place {
    /// Makes one that a link leads to from here, with this address beyond the link, and our end as its way to all others.
    fn beyond(link: &str, address: Ipv4Addr, ours: &str) -> Self {
        let (send, errands) = mpsc::channel::<Errand>();
        let (told, thread) = mpsc::channel();
        std::thread::spawn(move || {
            // SAFETY: a network namespace holds no descriptors or memory of this process
            unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.unwrap();
            told.send(rustix::thread::gettid()).unwrap();
            for errand in errands {
                errand();
            }
        });
        let thread = thread.recv().unwrap().as_raw_nonzero();
        ip(&format!("link add {link} type veth peer name uplink netns {thread}"));
        ip(&format!("address add {ours}/24 dev {link}"));
        ip(&format!("link set {link} up"));
        let (place, ours) = (Self(send), ours.to_owned());
        place.run(move || {
            for line in ["link set lo up", "link set uplink up"] {
                ip(line);
            }
            ip(&format!("address add {address}/24 dev uplink"));
            ip(&format!("route add default via {ours}"));
        });
        place
    }

    /// Runs something there and waits for it.
    fn run<T: Send + 'static>(&self, errand: impl FnOnce() -> T + Send + 'static) -> T {
        let (send, done) = mpsc::channel();
        self.0.send(Box::new(move || drop(send.send(errand())))).unwrap();
        done.recv().expect("the errand has failed")
    }
}

fn ip(line: &str) {
    said("ip", &line.split(' ').collect::<Vec<_>>());
}

/// Calls `test` in a network that forwards between a client and a server.
fn routed(rules: &str, test: impl FnOnce(&Place, &Place) + Send) {
    in_own_network(|| {
        let client = Place::beyond("left", CLIENT, "10.1.0.1");
        let server = Place::beyond("right", SERVER, "10.2.0.1");
        said("sysctl", &["-w", "net.ipv4.ip_forward=1"]);
        said("sh", &["-c", &format!("nft -f - <<'END'\n{rules}\nEND")]);
        test(&client, &server);
    });
}

/// Packets and bytes that the rule with this comment, or the only one in this chain, has counted.
fn counted(words: &str) -> (usize, usize) {
    let rows = Parity::of("nft_rule", &["family", "table", "handle"]).rows();
    let cell = |row, name| rows.cell(row, rows.table().position(name).unwrap());
    let is = |row: &usize| {
        ["comment", "chain"].iter().any(|name| matches!(cell(*row, name), Cell::Text(text) if text == words))
    };
    let found: Vec<_> = (0..rows.len()).filter(is).collect();
    assert_eq!(found.len(), 1, "rules called {words:?}");
    let number = |name| cell(found[0], name).number().unwrap() as usize;
    (number("packets"), number("bytes"))
}

/// Waits until a rule has counted this, and fails if it has counted more or never does.
fn counts(words: &str, packets: usize, bytes: usize) {
    let begin = Instant::now();
    while counted(words).0 < packets && begin.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(counted(words), (packets, bytes), "{words}");
}

fn raw(protocol: i32) -> OwnedFd {
    let protocol = Protocol::from_raw(u32::try_from(protocol).unwrap().try_into().unwrap());
    let socket = socket_with(AddressFamily::INET, SocketType::RAW, SocketFlags::CLOEXEC, Some(protocol)).unwrap();
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE)).unwrap();
    socket
}

fn send_raw(socket: &OwnedFd, packet: &[u8]) {
    let to = SocketAddrV4::new(SERVER, 0);
    assert_eq!(rustix::net::sendto(socket, packet, SendFlags::empty(), &to).unwrap(), packet.len());
}

/// The checksum of the Internet protocols (RFC 1071).
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!sum as u16).to_be_bytes()
}

/// Sends echo requests and waits for the answer to each.
fn ping(count: u8, payload: usize) {
    let socket = raw(libc::IPPROTO_ICMP);
    for number in 0..count {
        let mut packet = vec![8, 0, 0, 0, 7, 7, 0, number];
        packet.resize(8 + payload, 0x55);
        let sum = checksum(&packet);
        packet[2..4].copy_from_slice(&sum);
        send_raw(&socket, &packet);
        let mut answer = [0; 2048];
        let (_, length) = rustix::net::recv(&socket, &mut answer, RecvFlags::empty()).unwrap();
        assert_eq!((answer[IP], length), (0, ICMP + payload), "no echo reply");
    }
}

fn send_datagrams(port: u16, count: usize, bytes: usize) {
    let socket = UdpSocket::bind((CLIENT, 0)).unwrap();
    for _ in 0..count {
        socket.send_to(&vec![7; bytes], (SERVER, port)).unwrap();
    }
}

/// Segments that a connection has sent and received (`tcpi_segs_out`, `tcpi_segs_in`).
fn segments(stream: &TcpStream) -> (usize, usize) {
    let mut info = [0_u8; 256];
    let mut length = info.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes
    let done = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    assert_eq!(done, 0);
    let number = |at: usize| u32::from_ne_bytes(info[at..at + 4].try_into().unwrap()) as usize;
    (number(136), number(140))
}

/// Times that 500 bytes go to the server and come back.
const TURNS: usize = 20;

const PERIMETER: &str = "
    table ip t {
        chain forward {
            type filter hook forward priority 0; policy drop;
            icmp type echo-request counter accept comment \"requests\"
            icmp type echo-reply counter accept comment \"replies\"
            udp dport 7000 counter accept comment \"datagrams\"
            tcp dport 8000 counter accept comment \"to the server\"
            tcp sport 8000 counter accept comment \"to the client\"
            counter drop comment \"all else\"
        }
    }
";

#[test]
fn root_a_router_counts_what_it_forwards_and_what_it_drops() {
    routed(PERIMETER, |client, server| {
        client.run(|| ping(9, 56));
        counts("requests", 9, 9 * (ICMP + 56));
        counts("replies", 9, 9 * (ICMP + 56));
        let _taken = server.run(|| UdpSocket::bind((SERVER, 7000)).unwrap());
        client.run(|| send_datagrams(7000, 11, 200));
        counts("datagrams", 11, 11 * (UDP + 200));
        client.run(|| send_datagrams(7001, 13, 100));
        counts("all else", 13, 13 * (UDP + 100));

        let listener = server.run(|| TcpListener::bind((SERVER, 8000)).unwrap());
        let echo = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = [0; 500];
            while stream.read_exact(&mut bytes).is_ok() {
                stream.write_all(&bytes).unwrap();
            }
        });
        let stream = client.run(|| {
            let mut stream = TcpStream::connect((SERVER, 8000)).unwrap();
            stream.set_nodelay(true).unwrap();
            for _ in 0..TURNS {
                stream.write_all(&[9; 500]).unwrap();
                stream.read_exact(&mut [0; 500]).unwrap();
            }
            stream
        });
        // an acknowledgement may still be on its way: until both sides agree
        let begin = Instant::now();
        let (sent, received) = loop {
            let segments = segments(&stream);
            let agrees = (counted("to the server").0, counted("to the client").0) == segments;
            if agrees || begin.elapsed() > PATIENCE {
                break segments;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        // 20 bytes of options in the first segment of each side, and a time stamp of 12 in all others
        let bytes = |segments: usize| TURNS * 500 + segments * (TCP + 12) + 8;
        counts("to the server", sent, bytes(sent));
        counts("to the client", received, bytes(received));
        drop(stream);
        echo.join().unwrap();
        counts("all else", 13, 13 * (UDP + 100));
    });
}

#[test]
fn root_packets_of_gre_are_counted_by_their_key() {
    routed("table ip none", |client, _| {
        // the word after flags and protocol, behind the header of IP: the key
        for (key, chain) in [("0x2a", "ours"), ("0x2b", "theirs")] {
            let u32 = format!("0>>22&0x3C@4={key}");
            said("iptables-nft", &["-N", chain]);
            said("iptables-nft", &["-A", chain, "-j", "ACCEPT"]);
            said("iptables-nft", &["-A", "FORWARD", "-p", "47", "-m", "u32", "--u32", &u32, "-j", chain]);
        }
        client.run(|| {
            let socket = raw(libc::IPPROTO_GRE);
            for (key, count) in [(0x2a, 6), (0x2b, 4), (0x2c, 3)] {
                // flag K, protocol IPv4, key, and what is carried
                let packet = [&[0x20, 0, 8, 0, 0, 0, 0, key], &[0x55; 64][..]].concat();
                for _ in 0..count {
                    send_raw(&socket, &packet);
                }
            }
        });
        counts("ours", 6, 6 * (IP + 8 + 64));
        counts("theirs", 4, 4 * (IP + 8 + 64));
    });
}

/// First segments from forged addresses.
const FLOOD: usize = 500;

const PROXY: &str = "
    table ip t {
        chain raw {
            type filter hook prerouting priority raw; policy accept;
            tcp dport 9000 tcp flags syn notrack
        }
        chain forward {
            type filter hook forward priority 0; policy accept;
            tcp dport 9000 ct state invalid,untracked counter synproxy mss 1460 wscale 7 timestamp sack-perm comment \"proxied\"
            ct state invalid counter drop comment \"leaked\"
        }
    }
";

/// A first segment of TCP from an address that is not ours, with its header of IP.
fn syn(number: u16) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    let source = Ipv4Addr::new(10, 1, 1 + high, low).octets();
    let mut segment = vec![high, low | 1, 0x23, 0x28, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0];
    let pseudo = [&source[..], &SERVER.octets(), &[0, libc::IPPROTO_TCP as u8, 0, 20], &segment].concat();
    let sum = checksum(&pseudo);
    segment[16..18].copy_from_slice(&sum);
    let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, libc::IPPROTO_TCP as u8, 0, 0];
    packet.extend([&source[..], &SERVER.octets(), &segment].concat());
    packet
}

#[test]
fn root_a_flood_of_first_segments_ends_at_the_proxy() {
    routed("table ip none", |client, server| {
        for setting in ["net.ipv4.tcp_syncookies=1", "net.netfilter.nf_conntrack_tcp_loose=0"] {
            said("sysctl", &["-w", setting]);
        }
        // where the forged addresses would be: the proxy answers each
        ip("route add 10.1.0.0/16 dev left");
        said("sh", &["-c", &format!("nft -f - <<'END'\n{PROXY}\nEND")]);
        client.run(|| {
            // one that takes the header of IP from us
            let socket = raw(libc::IPPROTO_RAW);
            for number in 0..FLOOD {
                send_raw(&socket, &syn(number as u16));
            }
        });
        counts("proxied", FLOOD, FLOOD * TCP);
        assert_eq!(said("conntrack", &["-C"]).trim(), "0", "a flood is not tracked");

        let listener = server.run(|| TcpListener::bind((SERVER, 9000)).unwrap());
        let said = std::thread::spawn(move || {
            let mut word = String::new();
            listener.accept().unwrap().0.read_to_string(&mut word).unwrap();
            word
        });
        client.run(|| TcpStream::connect((SERVER, 9000)).unwrap().write_all(b"let in").unwrap());
        assert_eq!(said.join().unwrap(), "let in");
        // its first segment, and the acknowledgement of the proxy's answer
        counts("proxied", FLOOD + 2, FLOOD * TCP + (TCP + 20) + (TCP + 12));
        counts("leaked", 0, 0);
    });
}

/// A program that decides about packets of TCP in a queue of the kernel: those that ask for `/refused` do not pass.
struct Judge {
    ended: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<(usize, usize)>>,
}

/// The queue, as rules and messages name it.
const QUEUE: u16 = 5;

/// Message types of `nfnetlink_queue`.
const PACKET: u16 = 3 << 8;
const VERDICT: u16 = 3 << 8 | 1;
const CONFIG: u16 = 3 << 8 | 2;

/// One message about the queue, with one attribute.
fn queue_message(kind: u16, attribute: u16, bytes: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 0];
    body.extend(QUEUE.to_be_bytes());
    push(&mut body, attribute, bytes);
    let mut message = (16 + body.len() as u32).to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend((libc::NLM_F_REQUEST as u16).to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    message
}

impl Judge {
    /// Takes the queue of this thread's network.
    fn sit() -> Self {
        let mut socket = netlink_sys::Socket::new(libc::NETLINK_NETFILTER as isize).unwrap();
        socket.bind_auto().unwrap();
        set_socket_timeout(&socket, Timeout::Recv, Some(Duration::from_millis(20))).unwrap();
        // bind for IPv4, and copy whole packets
        for (attribute, bytes) in [(1, &[1, 0, 0, 2][..]), (2, &[0, 0, 0xff, 0xff, 2])] {
            socket.send(&queue_message(CONFIG, attribute, bytes), 0).unwrap();
        }
        let ended = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            let (mut passed, mut refused) = (0, 0);
            let mut bytes = vec![0; 1 << 16];
            while !seen.load(Ordering::Relaxed) {
                let Ok(length) = socket.recv(&mut &mut bytes[..], 0) else { continue };
                if length < 20 || u16::from_ne_bytes([bytes[4], bytes[5]]) != PACKET {
                    continue;
                }
                let mut id = [0; 4];
                let mut bad = false;
                for attribute in attributes(&bytes[20..length]).map(Result::unwrap) {
                    match attribute.kind {
                        1 => id.copy_from_slice(&attribute.bytes[..4]),
                        10 => bad = attribute.bytes.windows(12).any(|word| word == b"GET /refused"),
                        _ => {}
                    }
                }
                *if bad { &mut refused } else { &mut passed } += 1;
                let verdict = [[0, 0, 0, u8::from(!bad)], id].concat();
                socket.send(&queue_message(VERDICT, 2, &verdict), 0).unwrap();
            }
            (passed, refused)
        });
        Self { ended, thread: Some(thread) }
    }

    /// Packets that have passed, and those that have not.
    fn rise(mut self) -> (usize, usize) {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

const AFTER: &str = "
    table ip after {
        chain forward {
            type filter hook forward priority 10; policy accept;
            tcp dport 8080 counter comment \"passed\"
        }
    }
";

#[test]
fn root_a_queue_counts_what_a_program_lets_pass_and_refuses() {
    routed(AFTER, |client, server| {
        said("iptables-nft", &["-N", "judged"]);
        said("iptables-nft", &["-A", "judged", "-j", "NFQUEUE", "--queue-num", &QUEUE.to_string()]);
        said("iptables-nft", &["-A", "FORWARD", "-p", "tcp", "--dport", "8080", "-j", "judged"]);
        let judge = Judge::sit();
        let listener = server.run(|| TcpListener::bind((SERVER, 8080)).unwrap());
        let asked = std::thread::spawn(move || {
            let mut asked = String::new();
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().unwrap();
                stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
                let mut bytes = [0; 100];
                let length = stream.read(&mut bytes).unwrap_or(0);
                asked.push_str(str::from_utf8(&bytes[..length]).unwrap());
                let _ = stream.write_all(b"HTTP/1.0 204 No Content\r\n\r\n");
            }
            asked
        });
        let answers = client.run(|| {
            ["/wanted", "/refused"].map(|path| {
                let mut stream = TcpStream::connect((SERVER, 8080)).unwrap();
                // in one segment
                stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
                let mut answer = Vec::new();
                let _ = stream.read_to_end(&mut answer);
                // nothing is sent again after the test has counted
                set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
                answer.len()
            })
        });
        assert_eq!(asked.join().unwrap(), "GET /wanted HTTP/1.0\r\n\r\n");
        assert!(answers[0] > 0, "what was wanted has been answered");
        // until no more packets come: the last ones are those that end the connections
        let begin = Instant::now();
        let mut before = counted("judged");
        loop {
            std::thread::sleep(Duration::from_millis(50));
            let now = counted("judged");
            if now == before || begin.elapsed() > PATIENCE {
                break;
            }
            before = now;
        }
        let (passed, refused) = judge.rise();
        assert!(refused > 0, "nothing was refused");
        assert_eq!(counted("judged").0, passed + refused);
        assert_eq!(counted("passed").0, passed);
    });
}
