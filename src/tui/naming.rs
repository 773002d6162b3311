//! Where do the names of ports and addresses on the screen come from?
//!
//! Those of the system are read when somebody wants them first. Name servers are asked only while somebody wants that and
//! addresses are on the screen; what they told is forgotten after.

use std::net::SocketAddr;
use std::sync::LazyLock;

use super::app::App;
use super::event::Wake;
use crate::browse::Reverse;
use crate::model::Level;
use crate::panel::{self, toggle};
use crate::source::file::Root;
use crate::source::services;

/// What has been learned.
pub(super) struct Naming {
    /// Of ports.
    services: LazyLock<services::Names>,
    /// Of addresses.
    hosts: Option<Reverse>,
    /// Name servers instead of those of the system.
    pub(super) servers: Vec<SocketAddr>,
}

impl Default for Naming {
    fn default() -> Self {
        // without the file there are numbers
        let read = || services::read(&Root::new("/")).unwrap_or_default();
        Self { services: LazyLock::new(read), hosts: None, servers: Vec::new() }
    }
}

/// Names as far as they are wanted and known.
pub(super) fn names(app: &App) -> panel::Names<'_> {
    let system = app.toggles.contains(toggle::SERVICES).then(|| &*app.naming.services);
    panel::Names { services: &app.config.settings.services, system, hosts: app.naming.hosts.as_ref() }
}

/// Begins to ask for names of addresses, or ends it.
pub(super) fn follow(app: &mut App) {
    let shown = || app.spots.iter().filter_map(|spot| app.table(spot.table)).any(panel::has_addresses);
    let wanted = app.toggles.contains(toggle::HOSTS) && shown();
    if wanted == app.naming.hosts.is_some() {
        return;
    }
    app.naming.hosts = None;
    if wanted {
        let wake = app.wake.clone();
        let changed = move || wake.iter().for_each(Wake::samples);
        match Reverse::start(&app.naming.servers, changed) {
            Ok(hosts) => app.naming.hosts = Some(hosts),
            Err(cause) => {
                app.toggles.remove(toggle::HOSTS);
                app.say(format!("no names of addresses: {cause}"), Level::Warning);
            }
        }
    }
}
