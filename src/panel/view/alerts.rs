//! How are alerts arranged, what has happened to them, and who is told?

use super::super::{Cx, Node, Size, alert};
use super::{FRAME, WIDE, lines, visible, with_rows};

/// All of them above, and below what has happened; the selected one has room on wide screens.
pub(super) fn alerts(cx: &Cx<'_>, width: u16, height: u16) -> Node {
    let list = Node::Panel("alert-list");
    if !alert::is_told(cx) {
        // why there are none, and what can be told all the same
        let top = (Size::Fixed((FRAME + 2).min(height / 2)), list);
        return visible(cx, Node::Column(vec![top, (Size::Weight(1), Node::Panel("alerts"))]));
    }
    let actions = with_rows(cx, &[], &["alert-actions"]);
    // one that fails says why below
    let told = if actions.is_empty() { 0 } else { FRAME + 1 + 2 * lines(cx, "alert-actions") };
    let wanted = (lines(cx, "alert-list") + FRAME + 1).max(FRAME + 4);
    let lower = height.saturating_sub(wanted).clamp(height / 3, height / 3 * 2);
    let events = (Size::Weight(1), Node::Panel("alert-events"));
    let told = (Size::Fixed(told.min(lower / 2)), Node::Panel("alert-actions"));
    let told = (!actions.is_empty()).then_some(told);
    let below = if width >= WIDE {
        let mut right = vec![(Size::Weight(1), Node::Panel("alert"))];
        right.extend(told);
        Node::Row(vec![events, (Size::Weight(1), Node::Column(right))])
    } else {
        Node::Column(std::iter::once(events).chain(told).collect())
    };
    visible(cx, Node::Column(vec![(Size::Weight(1), list), (Size::Fixed(lower), below)]))
}
