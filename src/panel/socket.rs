//! Which addresses does this host have, who listens on them, and how many sockets are there?

use super::list::{self, Column, List, Show};
use super::{Block, Cx, PanelDef, Space};
use crate::col;
use crate::collect::address::AddressRow;
use crate::collect::listener::ListenerRow;
use crate::collect::socket::SocketRow;
use crate::model::Demand;

/// Addresses of interfaces.
pub(super) const ADDRESSES: PanelDef = PanelDef {
    name: "addresses",
    title: "Addresses",
    key: Some('I'),
    demands: || vec![Demand::table(&AddressRow::TABLE.name)],
    build: addresses,
};

/// Sockets by protocol and state.
pub(super) const SOCKETS: PanelDef = PanelDef {
    name: "sockets",
    title: "Sockets",
    key: Some('K'),
    demands: || vec![Demand::table(&SocketRow::TABLE.name)],
    build: sockets,
};

/// Listening sockets with their processes.
pub(super) const LISTENERS: PanelDef = PanelDef {
    name: "listeners",
    title: "Listening",
    key: None,
    demands: || vec![Demand::table(&ListenerRow::TABLE.name)],
    build: listeners,
};

fn addresses(cx: &Cx<'_>, space: Space) -> Block {
    let columns = vec![
        Column::wide("netns", 8, 0, Show::Words(col!(AddressRow, netns))),
        Column::wide("/", 3, 2, Show::Words(col!(AddressRow, prefix))),
        Column::wide("interface", 12, 0, Show::Words(col!(AddressRow, interface))),
        Column::wide("scope", 8, 3, Show::Words(col!(AddressRow, scope))),
        Column::wide("state", 10, 1, Show::Words(col!(AddressRow, state))),
    ];
    let table = AddressRow::TABLE;
    list::block(
        cx,
        space,
        List { title: "Addresses", names: "address", table, name: 15, busy: Vec::new(), columns, graphs: &[] },
    )
}

fn sockets(cx: &Cx<'_>, space: Space) -> Block {
    let columns = vec![
        Column::wide("netns", 8, 0, Show::Words(col!(SocketRow, netns))),
        Column::wide("state", 12, 1, Show::Words(col!(SocketRow, state))),
        Column::number("count", 0, Show::Of(col!(SocketRow, count))),
        Column::wide("past", 6, 2, Show::Spark(col!(SocketRow, count), None)),
    ];
    let busy = vec![col!(SocketRow, count)];
    let table = SocketRow::TABLE;
    list::block(cx, space, List { title: "Sockets", names: "protocol", table, name: 6, busy, columns, graphs: &[] })
}

fn listeners(cx: &Cx<'_>, space: Space) -> Block {
    let columns = vec![
        Column::wide("netns", 8, 0, Show::Words(col!(ListenerRow, netns))),
        Column::wide("proto", 5, 1, Show::Words(col!(ListenerRow, protocol))),
        Column::wide("address", 15, 2, Show::Words(col!(ListenerRow, address))),
        Column::wide("process", 12, 0, Show::Words(col!(ListenerRow, process))),
        Column::number("queue", 3, Show::Of(col!(ListenerRow, queue))),
        Column::number("limit", 4, Show::Of(col!(ListenerRow, queue_limit))),
    ];
    let busy = vec![col!(ListenerRow, queue)];
    list::block(
        cx,
        space,
        List { title: "Listening", names: "port", table: ListenerRow::TABLE, name: 5, busy, columns, graphs: &[] },
    )
}
