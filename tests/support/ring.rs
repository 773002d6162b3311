//! Routers in network namespaces of their own: four of FRR in a ring with two areas, and one of BIRD beside it.
//!
//! ```text
//!   host --- one --- b       area 0: host-one, host-three, one-b
//!    |        |              area 1: one-two, two-three
//!  three --- two
//! ```
//! All speak versions 2 and 3 of OSPF with a hello a second. Where all are there, the test's own, `one` and `b` speak BGP and
//! BFD, too, and the first two IS-IS; `two` and `three` bring routes from elsewhere. The caller has mounts and a network of its own.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::process::Guard;
use super::space::{ip, mount};

/// Longest wait for the routers to find each other.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Routers of FRR: namespace, or none for the one that the test is in, and number.
pub(crate) const ROUTERS: [(&str, u32); 4] = [("host", 1), ("one", 2), ("two", 3), ("three", 4)];

/// What BIRD calls version 3, with a byte of each kind that such a name may have.
pub(crate) const SIX: &str = "six-v3.1";

/// The one of BIRD.
pub(crate) const BIRD: (&str, u32) = ("b", 5);

/// Pairs of numbers that are joined, and the area of each network.
const LINKS: [(u32, u32, u32); 5] = [(1, 2, 0), (2, 3, 1), (3, 4, 1), (1, 4, 0), (2, 5, 0)];

/// Those of them that speak BGP and BFD.
const TALKATIVE: [u32; 3] = [1, 2, 5];

/// Daemons that tell an agent of SNMP where one is.
const TELLS: [&str; 2] = ["ospfd", "ospf6d"];

/// Daemons that can be asked at their terminals, with their ports.
const TERMINALS: [(&str, &str); 2] = [("ospfd", "2604"), ("ospf6d", "2606")];

/// Daemons, which end with it.
pub(crate) struct Ring {
    daemons: Vec<(String, Guard)>,
    /// The router whose daemons tell an agent of SNMP.
    told: Option<&'static str>,
    /// The password with which daemons of the test's own router can be asked at their terminals.
    password: Option<&'static str>,
}

/// Where the control sockets of a router are.
pub(crate) fn space(router: &str) -> PathBuf {
    PathBuf::from("/run/frr").join(router)
}

/// Runs a command in the namespace of a router, and gives what it prints.
pub(crate) fn run_in(router: &str, command: &[&str]) -> String {
    let mut whole = if router == "host" { Command::new(command[0]) } else { Command::new("ip") };
    if router == "host" {
        whole.args(&command[1..]);
    } else {
        whole.args(["netns", "exec", router]).args(command);
    }
    let output = whole.stdin(Stdio::null()).env("LC_ALL", "C").output().unwrap();
    assert!(output.status.success(), "{router} {command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What `vtysh` says of a daemon of a router.
pub(crate) fn vtysh(router: &str, command: &str) -> String {
    run_in("host", &["vtysh", "--vty_socket", space(router).to_str().unwrap(), "-c", command])
}

/// The same as JSON.
pub(crate) fn vtysh_json(router: &str, command: &str) -> serde_json::Value {
    let said = vtysh(router, command);
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{router} {command}: {error}: {said}"))
}

/// What `birdc` says.
pub(crate) fn birdc(command: &str) -> String {
    run_in("host", &["birdc", "-s", "/run/bird/bird.ctl", command])
}

/// Configures routers as somebody at a terminal does.
pub(crate) fn configure(router: &str, lines: &[&str]) {
    let socket = space(router);
    let mut command = Command::new("vtysh");
    command.args(["--vty_socket", socket.to_str().unwrap(), "-c", "configure terminal"]);
    for line in lines {
        command.args(["-c", line]);
    }
    assert!(command.stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap().success(), "{router} {lines:?}");
}

/// Waits until something is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "{what} never happened");
        // a look takes some milliseconds of others' time
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Ring {
    /// Starts so many of the routers of FRR, and that of BIRD if all are wanted, and waits until they have found each other.
    pub(crate) fn start(routers: usize) -> Self {
        Self::begin(routers, None, None, || {})
    }

    /// The same, where the daemons of the test's own router can be asked at their terminals.
    pub(crate) fn open(routers: usize, password: &'static str) -> Self {
        Self::begin(routers, None, Some(password), || {})
    }

    /// The same, where the daemons of one router tell an agent of SNMP, which `agent` starts before them.
    pub(crate) fn told(routers: usize, router: &'static str, agent: impl FnOnce()) -> Self {
        Self::begin(routers, Some(router), None, agent)
    }

    fn begin(routers: usize, told: Option<&'static str>, password: Option<&'static str>, agent: impl FnOnce()) -> Self {
        mount("tmpfs", std::path::Path::new("/run"), "tmpfs", 0, "mode=0755");
        let routers = &ROUTERS[..routers];
        let is_whole = routers.len() == ROUTERS.len();
        let bird = is_whole.then_some(BIRD);
        let there: Vec<(&str, u32)> = routers.iter().copied().chain(bird).collect();
        wire(&there);
        agent();
        let mut ring = Self { daemons: Vec::new(), told, password };
        run_in("host", &["install", "-d", "-o", "frr", "-g", "frr", "/run/frr"]);
        for (router, number) in routers {
            ring.frr(router, *number, &there);
        }
        if bird.is_some() {
            ring.bird();
        }
        for (router, number) in routers {
            let links = LINKS.iter().filter(|link| ends(link, *number, &there).is_some()).count();
            wait_until("adjacencies", || {
                let full = |command: &str| vtysh(router, command).matches(" Full/").count();
                full("show ip ospf neighbor") == links && full("show ipv6 ospf6 neighbor") == links
            });
        }
        if bird.is_some() {
            // two sessions of BGP and of BFD in the middle, one at each end
            wait_until("sessions", || {
                let said = vtysh_json("one", "show bgp summary json");
                let up = said["ipv4Unicast"]["peers"]
                    .as_object()
                    .map(|peers| peers.values().filter(|peer| peer["state"] == "Established").count());
                let bfd = vtysh_json("one", "show bfd peers json");
                let isis = vtysh("one", "show isis neighbor").matches(" Up ").count();
                isis == 2
                    && up == Some(2)
                    && bfd
                        .as_array()
                        .is_some_and(|peers| peers.iter().filter(|peer| peer["status"] == "up").count() == 2)
            });
        }
        ring
    }

    /// Starts the daemons of a router.
    fn frr(&mut self, router: &str, number: u32, there: &[(&str, u32)]) {
        let place = space(router);
        run_in("host", &["install", "-d", "-o", "frr", "-g", "frr", place.to_str().unwrap()]);
        let (mut two, mut three) = (String::new(), String::new());
        let is_talkative =
            |number: u32| there.iter().any(|(router, _)| *router == BIRD.0) && TALKATIVE.contains(&number);
        for link in &LINKS {
            let Some((other, _)) = ends(link, number, there) else { continue };
            let (area, name) = (link.2, format!("to{other}"));
            let _ = write!(
                two,
                "interface {name}\n ip ospf area {area}\n ip ospf hello-interval 1\n ip ospf dead-interval 4\n"
            );
            let _ = write!(
                three,
                "interface {name}\n ipv6 ospf6 area {area}\n ipv6 ospf6 hello-interval 1\n ipv6 ospf6 dead-interval 4\n"
            );
            if is_talkative(number) && is_talkative(other) {
                two.push_str(" ip ospf bfd\n");
            }
            if *link == LINKS[3] {
                two.push_str(" ip ospf network point-to-point\n");
                three.push_str(" ipv6 ospf6 network point-to-point\n");
            }
            two.push_str("exit\n");
            three.push_str("exit\n");
        }
        let (foreign, foreign6) = foreign(number);
        let _ =
            write!(two, "router ospf\n ospf router-id 10.9.9.{number}\n timers throttle spf 0 50 200\n{foreign}exit\n");
        let _ = write!(three, "router ospf6\n ospf6 router-id 10.9.9.{number}\n{foreign6}exit\n");
        let bgp = bgp(number);
        let isis = isis(number);
        let all = vec![("bfdd", ""), ("bgpd", &*bgp), ("isisd", &*isis)];
        let more = if is_talkative(number) { all } else { Vec::new() };
        for (daemon, text) in [("zebra", "")].into_iter().chain(more).chain([("ospfd", &*two), ("ospf6d", &*three)]) {
            let agent = if self.told == Some(router) && TELLS.contains(&daemon) { "agentx\n" } else { "" };
            let password = self.password.map(|password| format!("password {password}\n")).unwrap_or_default();
            std::fs::write(place.join(format!("{daemon}.conf")), format!("{password}{text}{agent}")).unwrap();
            self.daemon(router, daemon);
        }
    }

    /// Starts a daemon of FRR with the configuration that lies there.
    pub(crate) fn daemon(&mut self, router: &str, daemon: &str) {
        let place = space(router);
        let config = place.join(format!("{daemon}.conf"));
        let socket = place.join(format!("{daemon}.vty"));
        let _ = std::fs::remove_file(&socket);
        let program = format!("/usr/lib/frr/{daemon}");
        let mut command = if router == "host" { Command::new(&program) } else { Command::new("ip") };
        if router != "host" {
            command.args(["netns", "exec", router, &program]);
        }
        if self.told == Some(router) && TELLS.contains(&daemon) {
            command.args(["-M", "snmp"]);
        }
        let terminal = TERMINALS.iter().find(|(known, _)| *known == daemon && router == "host");
        let port = terminal.filter(|_| self.password.is_some()).map_or("0", |(_, port)| port);
        command.args(["-N", router, "-u", "frr", "-g", "frr", "-A", "127.0.0.1", "-P", port, "-f"]).arg(config);
        self.daemons.push((format!("{router}/{daemon}"), Guard::start(command.stderr(Stdio::null()))));
        wait_until("a control socket", || socket.exists());
    }

    /// Starts BIRD.
    fn bird(&mut self) {
        run_in("host", &["install", "-d", "-o", "bird", "-g", "bird", "/run/bird"]);
        let config = "router id 10.9.9.5;\nprotocol device { scan time 2; }\n\
            protocol bfd detection { interface \"to2\" { interval 300 ms; multiplier 3; }; }\n\
            protocol bgp uplink { description \"up: the ring\"; local as 5; neighbor 10.0.25.2 as 2; ipv4 { import all; export all; }; }\n\
            protocol bgp nobody { local as 5; neighbor 10.0.25.99 as 99; hold time 30; ipv4 { import all; export none; }; }\n\
            protocol static { ipv4; route 10.75.0.0/16 blackhole; }\n\
            protocol ospf v2 backbone { ipv4 { import all; export none; }; \
            area 0 { interface \"to2\" { hello 1; dead 4; bfd yes; }; }; }\n\
            protocol ospf v3 'SIX' { ipv6 { import all; export none; }; area 0 { interface \"to2\" { hello 1; dead 4; }; }; }\n";
        std::fs::write("/run/bird/bird.conf", config.replace("SIX", SIX)).unwrap();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", BIRD.0, "bird", "-f", "-c", "/run/bird/bird.conf", "-s", "/run/bird/bird.ctl"]);
        command.args(["-P", "/run/bird/bird.pid", "-u", "bird", "-g", "bird"]);
        self.daemons.push(("b/bird".to_owned(), Guard::start(command.stderr(Stdio::null()))));
        wait_until("a control socket", || PathBuf::from("/run/bird/bird.ctl").exists());
    }

    /// The process of a daemon, such as `one/ospfd`.
    pub(crate) fn pid(&self, daemon: &str) -> u32 {
        self.daemons.iter().rfind(|(name, _)| name == daemon).unwrap().1.pid()
    }

    /// Ends a daemon without a word.
    pub(crate) fn kill(&mut self, daemon: &str) {
        let before = self.daemons.len();
        self.daemons.retain(|(name, _)| name != daemon);
        assert_ne!(self.daemons.len(), before, "{daemon} does not run");
    }
}

/// Routes that a router brings from elsewhere: one the way to everywhere, another what is on its own.
fn foreign(number: u32) -> (&'static str, &'static str) {
    match number {
        3 => (
            " default-information originate always metric-type 1\n",
            " default-information originate always metric-type 1\n",
        ),
        4 => (" redistribute connected metric-type 2\n", " redistribute connected\n"),
        _ => ("", ""),
    }
}

/// What `bgpd` is told: each has its number as autonomous system, and a network of its own.
fn bgp(number: u32) -> String {
    let mut text =
        format!("router bgp {number}\n bgp router-id 10.9.9.{number}\n no bgp ebgp-requires-policy\n timers bgp 3 9\n");
    let links = LINKS.iter().filter(|(one, other, _)| TALKATIVE.contains(one) && TALKATIVE.contains(other));
    for (low, high, _) in links.filter(|(one, other, _)| *one == number || *other == number) {
        let far = if *low == number { high } else { low };
        let _ = writeln!(text, " neighbor 10.0.{low}{high}.{far} remote-as {far}");
        let _ = writeln!(text, " neighbor 10.0.{low}{high}.{far} description to the one who is {far}");
    }
    let _ = write!(text, " neighbor 10.99.99.99 remote-as 99\n address-family ipv4 unicast\n");
    let _ = write!(
        text,
        "  network 10.7{number}.0.0/16\n exit-address-family\nexit\nip route 10.7{number}.0.0/16 blackhole\n"
    );
    text
}

/// What `isisd` is told: of the link between the first two, both levels.
fn isis(number: u32) -> String {
    let name = if number == 1 { 2 } else { 1 };
    format!(
        "interface to{name}\n ip router isis core\n isis hello-interval 1\nexit\n\
         router isis core\n net 49.0001.0000.0000.000{number}.00\n is-type level-1-2\nexit\n"
    )
}

/// The other end of a link of a router, if it is there.
fn ends(link: &(u32, u32, u32), number: u32, there: &[(&str, u32)]) -> Option<(u32, u32)> {
    let (one, other, area) = *link;
    let far = if one == number { other } else { one };
    let is_there = |number: u32| there.iter().any(|(_, known)| *known == number);
    ((one == number || other == number) && is_there(far)).then_some((far, area))
}

/// Makes namespaces and the links between them.
fn wire(there: &[(&str, u32)]) {
    let name = |number: u32| there.iter().find(|(_, known)| *known == number).unwrap().0;
    let mut batch = String::new();
    for (router, _) in there.iter().filter(|(router, _)| *router != "host") {
        let _ = writeln!(batch, "netns add {router}");
    }
    ip(&batch);
    for (router, _) in there {
        run_in(router, &["sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0", "net.ipv4.ip_forward=1"]);
        run_in(router, &["ip", "link", "set", "lo", "up"]);
    }
    for (router, number) in there.iter().filter(|(_, number)| !foreign(*number).0.is_empty()) {
        for address in [format!("10.8.{number}.1/32"), format!("fd08::{number}/128")] {
            run_in(router, &["ip", "addr", "add", &address, "dev", "lo"]);
        }
    }
    for (one, other, _) in
        LINKS.iter().filter(|link| ends(link, link.0, there).is_some() && ends(link, link.1, there).is_some())
    {
        let (first, second) = (name(*one), name(*other));
        let (near, far) = (format!("to{other}"), format!("to{one}"));
        run_in(first, &["ip", "link", "add", &near, "type", "veth", "peer", "name", &far, "netns", second]);
        for (router, near, far) in [(first, one, other), (second, other, one)] {
            let (low, high) = (one.min(other), one.max(other));
            run_in(router, &["ip", "addr", "add", &format!("10.0.{low}{high}.{near}/24"), "dev", &format!("to{far}")]);
            run_in(router, &["ip", "link", "set", &format!("to{far}"), "up"]);
        }
    }
}
