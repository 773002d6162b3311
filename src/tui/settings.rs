//! What may a person decide about the dashboard in the configuration file?

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::Allowed;
use crate::panel::Services;

/// The dashboard's part of the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Name of the theme.
    pub theme: String,
    /// View that is shown at first.
    pub view: Option<String>,
    /// Filter of the processes at the start.
    pub filter: Option<String>,
    /// How often what is shown is sampled, as in `2s`; each collector's own interval if not given.
    pub interval: Option<String>,
    /// Whether the mouse is used; without it the terminal selects text.
    pub mouse: bool,
    /// ASCII only, whatever the terminal can show.
    pub ascii: bool,
    /// Rings the terminal's bell when an alert of this host fires or gets worse.
    pub bell: bool,
    /// Shows that on the desktop, too, or by the terminal where there is none.
    pub notify: bool,
    /// Removes every action that changes the host.
    pub read_only: bool,
    /// Offers actions on more than processes, too: to forget connections that the kernel tracks.
    pub allow_actions: bool,
    /// Switches that are thrown at the start, by name; that of a panel hides it.
    pub toggles: Vec<String>,
    /// Keys by action: `quit = ["q", "ctrl-c"]`.
    pub keys: BTreeMap<String, Vec<String>>,
    /// Names of ports, by protocol and port: `"tcp/8443" = "panel"`.
    pub services: Services,
    /// Arrangement of the overview.
    pub layout: Layout,
}

impl Settings {
    /// What may be done to the host.
    pub fn allowed(&self) -> Allowed {
        match (self.read_only, self.allow_actions) {
            (true, _) => Allowed::Nothing,
            (false, false) => Allowed::Processes,
            (false, true) => Allowed::Everything,
        }
    }
}

/// Arrangement of the overview.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Layout {
    /// Panels from top to bottom instead of the built-in arrangement; empty means the built-in one.
    pub overview: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            theme: "default".to_owned(),
            view: None,
            filter: None,
            interval: None,
            mouse: true,
            ascii: false,
            bell: true,
            notify: true,
            read_only: false,
            allow_actions: false,
            toggles: Vec::new(),
            keys: BTreeMap::new(),
            services: Services::default(),
            layout: Layout::default(),
        }
    }
}
