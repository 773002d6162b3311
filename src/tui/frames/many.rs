//! What does the screen of many hosts look like?

use std::sync::Arc;

use super::super::app::{App, Config, Page};
use super::super::testing;
use super::{NOW, REST, Recorded, SIZES, Seen, TREE, TRUE, compare, defaults, frame, made, past, schema, state};
use crate::model::testing::Made;
use crate::model::{Action, ActionError, Demand, Done, HistoryAsk, Host, Rows, Series, Snapshot, Table, TableState};
use crate::store::level::Thresholds;
use crate::store::rate::{Mode, View};

/// Many hosts.
struct Many;

const HOSTS: &str = "\
fleet host=hv-01 state=live since=1799990000 address=10.0.0.1:61208 version=0.1.0 boot=1799000000 skew=-3.2 \
groups=prod,~rack-3 seen=1799999999 cpu_used=0.22 memory_used=0.41 load_per_cpu=0.3 link_rx_bytes=12e6 \
link_tx_bytes=9e6 mount_used_share=0.44 pressure_some_avg10=0.01 cpu_steal_share=0
fleet host=hv-07 state=live since=1799900000 critical=2 warning=1 seen=1799999999 cpu_used=0.91 memory_used=0.95 load_per_cpu=1.4 \
link_rx_bytes=512e6 link_tx_bytes=102e6 mount_used_share=0.81 pressure_some_avg10=0.11 cpu_steal_share=0.02
fleet host=hv-112 state=stale since=1799999961 careful=1 seen=1799999960 cpu_used=0.31 memory_used=0.52 load_per_cpu=0.2 \
link_rx_bytes=1e6 link_tx_bytes=2e6 mount_used_share=0.7 reason=connected,~but~says~nothing
fleet host=hv-044 state=unreachable warning=1 since=1799999760 retry=1800000021 address=hv-044:61208 groups=test reason=Connection~refused~(os~error~111)
fleet host=hv-045 state=connecting since=1799999999
fleet host=edge-1.example.net state=key-changed since=1799990000 critical=1 seen=1799990000 reason=the~key~of~the~agent~is~another~one
fleet_by_group value=prod hosts=4 live=2 critical=2 warning=1 careful=1 worst=hv-07 cpu_used=0.91 memory_used=0.95
fleet_by_group value=test hosts=1 live=0 critical=0 warning=1 careful=0 worst=hv-044
process host=hv-07 pid=4711 start=9 user=root name=qemu-system-x86 command=/usr/bin/qemu-system-x86_64~-name~db/1 \
cpu_time=10+3.4 rss=17179869184 threads=9 state=sleeping nice=0
process host=hv-01 pid=4711 start=9 user=root name=qemu-system-x86 command=/usr/bin/qemu-system-x86_64~-name~web/1 \
cpu_time=10+0.7 rss=8589934592 threads=5 state=sleeping nice=0
process host=hv-07 pid=812 start=3 user=frr name=ospfd command=/usr/lib/frr/ospfd~-F~traditional cpu_time=10+0.01 \
rss=12582912 threads=2 state=sleeping nice=-20
";

impl Host for Many {
    fn schema(&self) -> &'static [&'static Table] {
        crate::browse::tables()
    }
    fn demand(&self, _: u64, _: Vec<Demand>) {}
    fn latest(&self) -> Arc<Snapshot> {
        let tables = ["fleet", "fleet_by_group", "process"].into_iter().map(|name| {
            let table = *crate::browse::tables().iter().find(|table| table.name == name).unwrap();
            let rows = |grown| -> Arc<dyn Rows> { Arc::new(made(HOSTS, table, grown).unwrap()) };
            (name, state(table, Ok([rows(false), rows(true)])))
        });
        let mut tables: std::collections::BTreeMap<&'static str, TableState> = tables.collect();
        let process = tables.get_mut("process").unwrap();
        process.status.reason = "2 of 6 hosts: 4 not live, the first 50 of each".into();
        Arc::new(Snapshot { tables, generation: 2 })
    }
    fn history(&self, ask: &HistoryAsk) -> Option<Series> {
        let snapshot = self.latest();
        let view = View::new(snapshot.get(&ask.table)?.now.as_ref()?, None, Mode::Rate);
        let value = view.cell(view.find(&ask.key)?, view.table().position(&ask.column)?).number()?;
        Some(past(value).answer(ask))
    }
    fn act(&self, _: &Action) -> Result<Done, ActionError> {
        Err(ActionError::Off)
    }
    fn behind(&self, _: &str, _: &crate::model::Key) -> Option<crate::model::Behind> {
        Some(crate::model::Behind { host: Arc::new(Recorded::new(TREE, REST)), row: None })
    }
}

fn fleet_dashboard() -> App {
    let tables: Vec<&Table> = schema().iter().chain(crate::browse::tables()).copied().collect();
    let levels = Thresholds::new(&crate::browse::thresholds(&defaults(), &tables), tables).unwrap();
    let config = Config { levels: Arc::new(levels), ..Config::default() };
    let mut app = App::new(Arc::new(Many), config, TRUE).unwrap();
    app.clock = || NOW;
    app.samples();
    app
}

pub(super) fn fleet(seen: &mut Seen) {
    let mut app = fleet_dashboard();
    testing::press(&mut app, &["down", "down", "down"]);
    for size in SIZES {
        compare(seen, &format!("fleet-{}x{}", size.0, size.1), &frame(&mut app, size));
    }
    testing::press(&mut app, &["j"]);
    compare(seen, "fleet-groups-80x24", &frame(&mut app, (80, 24)));
    testing::command(&mut app, "process");
    testing::press(&mut app, &["down", "down"]);
    for size in SIZES {
        compare(seen, &format!("fleet-process-{}x{}", size.0, size.1), &frame(&mut app, size));
    }
}

#[test]
fn a_group_leads_to_its_hosts() {
    let mut app = fleet_dashboard();
    frame(&mut app, (120, 40));
    testing::press(&mut app, &["j", "down", "enter"]);
    assert!(app.open.is_none());
    let shown = frame(&mut app, (120, 40));
    assert!(shown.contains("1 of 6, filter groups =~ \"(^|, )prod(, |$)\""), "{shown}");
    for page in ["fleet_by_group", "fleet_by_state", "fleet_by_version", "fleet"] {
        testing::press(&mut app, &["j"]);
        assert_eq!(app.page, Page::Table(page));
        frame(&mut app, (120, 40));
    }
}

#[test]
fn no_number_of_hosts_and_no_name_of_one_breaks_a_page() {
    let (host, _) = testing::app(Config::default());
    *host.tables.lock().unwrap() = Some(crate::browse::tables());
    for count in [0, 1, 1000] {
        let mut app = App::new(Arc::clone(&host) as Arc<dyn Host>, Config::default(), TRUE).unwrap();
        for (at, name) in ["fleet", "fleet_by_group", "process", "mount", "load"].into_iter().enumerate() {
            let table = *crate::browse::tables().iter().find(|table| table.name == name).unwrap();
            let hostile = "\u{202e}\x1b[31m💩\n\t\u{0}/../";
            host.publish(Made::new(table, count, hostile), 1 + at as u64);
            host.publish(Made::new(table, count, hostile), 10 + at as u64);
            app.samples();
            app.go(Page::Table(&table.name));
            for size in [(0, 0), (1, 1), (3, 7), (20, 6), (40, 9), (80, 24), (200, 60)] {
                app.size = size;
                for key in ["end", "up", "e", "esc", "v", "esc", "/", "esc", ">"] {
                    testing::press(&mut app, &[key]);
                }
                let shown = testing::screen(&mut app);
                assert!(!shown.contains(['\u{202e}', '\x1b', '\u{0}', '\t']), "{name} {size:?}");
            }
        }
    }
}

#[test]
fn a_row_of_many_hosts_opens_its_host_at_that_row() {
    let mut app = fleet_dashboard();
    testing::command(&mut app, "process");
    frame(&mut app, (120, 40));
    testing::press(&mut app, &["down"]);
    let asked = app.asked.iter().find(|demand| demand.table == "process").unwrap();
    let top = asked.top.as_ref().unwrap();
    assert_eq!((top.sort.clone(), top.rows), (vec![("cpu".to_owned(), true)], 50));
    for key in ["k", "g", "f5", "j"] {
        testing::press(&mut app, &[key]);
        assert!(matches!(app.overlay, super::super::overlay::Overlay::None) && app.message.is_some(), "{key}");
    }
    testing::press(&mut app, &["enter"]);
    let behind = app.open.take().unwrap();
    let mut below = None;
    let key = Recorded::new(TREE, REST).0.get("process").map(|state| {
        let rows = &state.now.as_ref().unwrap().rows;
        crate::model::Key::of(&**rows, rows.len() - 1)
    });
    app.open = Some(crate::model::Behind { row: key.clone().map(|key| ("process", key)), ..behind });
    super::super::hosts::turn(&mut app, &mut below).unwrap();
    app.clock = || NOW;
    assert!(frame(&mut app, (120, 12)).lines().last().unwrap().contains("esc:fleet"));
    let state = &app.tables["process"];
    assert!(app.page == Page::Table("process") && state.selected == key);
    let (_, view, state) = app.focus().unwrap();
    let at = state.position(&view).unwrap();
    assert!((state.top..state.top + state.page).contains(&at), "it is on the screen");
    testing::press(&mut app, &["esc"]);
    super::super::hosts::turn(&mut app, &mut below).unwrap();
    assert!(below.is_none() && app.page == Page::Table("process") && app.fleet.is_some());
    testing::press(&mut app, &["esc", "tab"]);
    assert_eq!(app.page, Page::Explore);
    testing::press(&mut app, &["esc"]);
    assert_eq!(app.page, Page::Table("fleet"));
}

#[test]
fn a_host_of_many_is_opened_and_left_again() {
    let mut app = fleet_dashboard();
    testing::press(&mut app, &["down", "enter"]);
    let host = app.open.take().expect("the host is opened").host;
    let mut inner = app.inside(host).unwrap();
    inner.clock = app.clock;
    assert!(frame(&mut inner, (120, 40)).contains("Processes"));
    assert!(frame(&mut inner, (120, 40)).lines().last().unwrap().contains("esc:fleet"));
    testing::press(&mut inner, &["down", "esc"]);
    assert!(!inner.left, "the selection goes first");
    testing::press(&mut inner, &["esc"]);
    assert!(inner.left);
    testing::press(&mut app, &["esc", "tab", "esc"]);
    assert!(!app.left && app.page == Page::Table("fleet"), "nothing is above the table of hosts");
    testing::press(&mut app, &["/"]);
    testing::type_text(&mut app, "state != live");
    testing::press(&mut app, &["enter"]);
    assert!(frame(&mut app, (120, 40)).contains("4 of 6"), "{}", frame(&mut app, (120, 40)));
}
