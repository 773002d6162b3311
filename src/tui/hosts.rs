//! What does the dashboard do with a host that is many?
//!
//! Its table is the only page. A strip below it tells more of one host, and a host that is opened has a dashboard of its own
//! until one comes back.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::app::App;
use super::{Error, paint};

/// What there is to say of the selected host, or of the first one.
pub(super) fn strip(app: &mut App, buffer: &mut Buffer, area: Rect) {
    let found = app.focus().and_then(|(_, view, state)| state.row(&view).or_else(|| state.rows.first().copied()));
    let lines = found.map(|row| crate::panel::fleet::detail(&app.cx(), row, (area.width, area.height)));
    for (y, line) in (area.top()..area.bottom()).zip(lines.unwrap_or_default()) {
        paint::line(buffer, Rect { y, height: 1, ..area }, &line, &app.theme);
    }
}

/// Opens a host that was chosen, or goes back to where it was opened.
pub(super) fn turn(app: &mut App, below: &mut Option<App>) -> Result<(), Error> {
    if let Some(host) = app.open.take() {
        let inner = app.inside(host)?;
        *below = Some(std::mem::replace(app, inner));
    } else if std::mem::take(&mut app.left)
        && let Some(fleet) = below.take()
    {
        let size = app.size;
        *app = fleet;
        app.size = size;
        app.samples();
    }
    Ok(())
}
