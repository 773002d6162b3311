//! What goes over which interface, and how do the protocols fare?

use super::gauge::{self, Name, Named};
use super::list::{self, Column, List, Show};
use super::number;
use super::{Block, Cx, Line, PanelDef, Role, Space, line, pick, toggle};
use crate::col;
use crate::collect::link::LinkRow;
use crate::collect::protocol::{IpRow, TcpRow, UdpRow};
use crate::model::Demand;
use crate::store::rate::View;

/// Interfaces.
pub(super) const PANEL: PanelDef = PanelDef {
    name: "network",
    title: "Network",
    key: Some('n'),
    demands: || vec![Demand::table(&LinkRow::TABLE.name)],
    build,
};

/// Counters of TCP, UDP and IP.
pub(super) const PROTOCOLS: PanelDef = PanelDef {
    name: "protocols",
    title: "Protocols",
    key: None,
    demands: || [TcpRow::TABLE, UdpRow::TABLE, IpRow::TABLE].map(|table| Demand::table(&table.name)).to_vec(),
    build: protocols,
};

const RECEIVED: usize = col!(LinkRow, rx_bytes);
const SENT: usize = col!(LinkRow, tx_bytes);

/// Below a short list.
const GRAPHS: &[(&str, usize)] = &[("↓/s", RECEIVED), ("↑/s", SENT)];

fn build(cx: &Cx<'_>, space: Space) -> Block {
    let totals = cx.on(toggle::CUMULATIVE);
    let mut columns = if cx.on(toggle::COMBINED) {
        let title = if totals { "↓+↑" } else { "↓+↑/s" };
        vec![Column::number(title, 0, Show::Sum(RECEIVED, SENT, totals))]
    } else if totals {
        vec![Column::number("↓", 0, Show::Total(RECEIVED)), Column::number("↑", 0, Show::Total(SENT))]
    } else {
        vec![Column::number("↓/s", 0, Show::Of(RECEIVED)), Column::number("↑/s", 0, Show::Of(SENT))]
    };
    columns.insert(0, Column::wide("netns", 8, 0, Show::Words(col!(LinkRow, netns))));
    columns.extend([
        Column::wide("past", 6, 4, Show::Spark(RECEIVED, None)),
        Column::number("↓%", 3, Show::Of(col!(LinkRow, rx_share))),
        Column::number("↑%", 3, Show::Of(col!(LinkRow, tx_share))),
        Column::number("drop/s", 2, Show::Sum(col!(LinkRow, rx_dropped), col!(LinkRow, tx_dropped), false)),
        Column::number("err/s", 5, Show::Sum(col!(LinkRow, rx_errors), col!(LinkRow, tx_errors), false)),
        Column::number("↓p/s", 7, Show::Of(col!(LinkRow, rx_packets))),
        Column::number("↑p/s", 7, Show::Of(col!(LinkRow, tx_packets))),
        Column::number("speed", 6, Show::Of(col!(LinkRow, speed))),
        Column::wide("state", 8, 8, Show::Words(col!(LinkRow, state))),
        Column::wide("kind", 8, 9, Show::Words(col!(LinkRow, kind))),
        Column::wide("master", 10, 9, Show::Words(col!(LinkRow, master))),
    ]);
    let busy = vec![RECEIVED, SENT];
    list::block(
        cx,
        space,
        List { title: "Network", names: "interface", table: LinkRow::TABLE, name: 9, busy, columns, graphs: GRAPHS },
    )
}

fn protocols(cx: &Cx<'_>, space: Space) -> Block {
    let tcp = match gauge::single(cx, TcpRow::TABLE) {
        Ok(view) => view,
        Err(body) => return pick::empty("Protocols", body),
    };
    let mut lines = numbers(cx, &tcp, "TCP", TCP, space.width);
    for (table, name, columns) in [(UdpRow::TABLE, "UDP", UDP), (IpRow::TABLE, "IP", IP)] {
        if let Ok(view) = gauge::single(cx, table) {
            lines.extend(numbers(cx, &view, name, columns, space.width));
        }
    }
    gauge::block(cx, space, "Protocols", (TcpRow::TABLE, Line::new()), lines)
}

/// A protocol's name and its numbers in a grid below it.
fn numbers(cx: &Cx<'_>, view: &View, name: &'static str, columns: &[(Name, usize)], width: u16) -> Vec<Line> {
    let one = |(name, column): &(Name, usize)| Named::new(*name, number::number(cx, view, 0, *column));
    let mut lines = vec![vec![line::text(name, Role::Title)]];
    lines.extend(gauge::grid(columns.iter().map(one).collect(), width));
    lines
}

/// What tells most about TCP; all but the first are per second.
const TCP: &[(Name, usize)] = &[
    (("estab", "established"), col!(TcpRow, established)),
    (("rtx", "retransmits"), col!(TcpRow, retransmits)),
    (("rtx%", "retransmit %"), col!(TcpRow, retransmit_share)),
    (("ovfl", "overflows"), col!(TcpRow, listen_overflows)),
    (("ldrop", "listen drops"), col!(TcpRow, listen_drops)),
    (("open", "opened"), col!(TcpRow, active_opens)),
    (("accpt", "accepted"), col!(TcpRow, passive_opens)),
    (("fail", "failed"), col!(TcpRow, failed_attempts)),
    (("reset", "resets sent"), col!(TcpRow, tx_resets)),
    (("cooki", "SYN cookies"), col!(TcpRow, cookies_sent)),
    (("bdrop", "backlog drop"), col!(TcpRow, backlog_drops)),
    (("seg↓", "segments ↓"), col!(TcpRow, rx_segments)),
    (("seg↑", "segments ↑"), col!(TcpRow, tx_segments)),
];

/// What tells most about UDP, per second.
const UDP: &[(Name, usize)] = &[
    (("pkt↓", "packets ↓"), col!(UdpRow, rx_packets)),
    (("pkt↑", "packets ↑"), col!(UdpRow, tx_packets)),
    (("full", "buffer full"), col!(UdpRow, rx_buffer_errors)),
    (("err", "errors"), col!(UdpRow, rx_errors)),
    (("noprt", "no port"), col!(UdpRow, no_ports)),
];

/// What tells most about IP, per second.
const IP: &[(Name, usize)] = &[
    (("pkt↓", "packets ↓"), col!(IpRow, rx_packets)),
    (("pkt↑", "packets ↑"), col!(IpRow, tx_packets)),
    (("fwd", "forwarded"), col!(IpRow, forwarded)),
    (("fwd6", "forwarded 6"), col!(IpRow, forwarded6)),
    (("rpf", "rp filter"), col!(IpRow, reverse_path_drops)),
    (("nort", "no route"), col!(IpRow, rx_no_routes)),
    (("frag", "reassembly"), col!(IpRow, reassembly_failures)),
];
