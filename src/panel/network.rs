//! What goes over which interface, and how do the protocols fare?

use super::list::{self, Column, List, Show};
use super::number::{self, Number};
use super::{Block, Cx, Line, PanelDef, Role, Space, gauge, line, pick, toggle};
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
    list::block(cx, space, List { title: "Network", names: "interface", table: LinkRow::TABLE, name: 8, busy, columns })
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
fn numbers(cx: &Cx<'_>, view: &View, name: &'static str, columns: &[(&'static str, usize)], width: u16) -> Vec<Line> {
    let pairs: Vec<(&'static str, Number)> =
        columns.iter().map(|(name, column)| (*name, number::number(cx, view, 0, *column))).collect();
    let mut lines = vec![vec![line::text(name, Role::Title)]];
    lines.extend(gauge::grid(pairs, width));
    lines
}

/// What tells most about TCP; all but the first are per second.
const TCP: &[(&str, usize)] = &[
    ("estab", col!(TcpRow, established)),
    ("rtx", col!(TcpRow, retransmits)),
    ("rtx%", col!(TcpRow, retransmit_share)),
    ("ovfl", col!(TcpRow, listen_overflows)),
    ("ldrop", col!(TcpRow, listen_drops)),
    ("open", col!(TcpRow, active_opens)),
    ("accpt", col!(TcpRow, passive_opens)),
    ("fail", col!(TcpRow, failed_attempts)),
    ("reset", col!(TcpRow, tx_resets)),
    ("cooki", col!(TcpRow, cookies_sent)),
    ("bdrop", col!(TcpRow, backlog_drops)),
    ("seg↓", col!(TcpRow, rx_segments)),
    ("seg↑", col!(TcpRow, tx_segments)),
];

/// What tells most about UDP, per second.
const UDP: &[(&str, usize)] = &[
    ("pkt↓", col!(UdpRow, rx_packets)),
    ("pkt↑", col!(UdpRow, tx_packets)),
    ("full", col!(UdpRow, rx_buffer_errors)),
    ("err", col!(UdpRow, rx_errors)),
    ("noprt", col!(UdpRow, no_ports)),
];

/// What tells most about IP, per second.
const IP: &[(&str, usize)] = &[
    ("pkt↓", col!(IpRow, rx_packets)),
    ("pkt↑", col!(IpRow, tx_packets)),
    ("fwd", col!(IpRow, forwarded)),
    ("fwd6", col!(IpRow, forwarded6)),
    ("rpf", col!(IpRow, reverse_path_drops)),
    ("nort", col!(IpRow, rx_no_routes)),
    ("frag", col!(IpRow, reassembly_failures)),
];
