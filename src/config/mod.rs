//! What did the user configure?
//!
//! Defaults, then the file, then the environment, then flags: what comes later wins. Every part of the program declares its
//! own settings; here they become one [`Config`], are checked against what exists, and get a place in an error message.

mod alerts;
mod environment;
mod file;
mod hosts;
mod load;
mod mistake;
mod names;
mod problem;
mod reading;
mod schema;
mod watch;

use std::ops::Range;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::DeTable;

use crate::collect::settings;
use crate::source::netns::Pattern;
use crate::source::routing::settings as routing;
use crate::source::trail;
use crate::store::level;
use crate::{panel, server, tui};

pub use crate::store::expr::nearest;
pub use alerts::{ALERTS, alerts, alerts_file, check_alerts, is_alerts, read_alerts};
pub use file::{candidates, themes};
pub use hosts::{check as check_hosts, hosts, is_list, watch_hosts};
pub use load::{Loaded, load};
pub use names::views;
pub use problem::{Problem, Problems};
pub use watch::{Watch, watch};

/// The configuration that packages install: every key with its default.
pub const DEFAULTS: &str = include_str!("../../config/netglance.toml");

/// Everything that can be configured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Config {
    /// What the dashboard looks like and how it is used: the keys that are in no section, `[keys]` and `[layout]`.
    #[serde(flatten)]
    pub dashboard: tui::Settings,
    /// The network namespaces that are read beside the own one.
    pub netns: Vec<Pattern>,
    /// Whether and how often each collector runs.
    pub collect: settings::Settings,
    /// Where changes of the packet filter are written down.
    pub trail: trail::Settings,
    /// Where routing daemons listen, and which neighbors they should have.
    pub routing: routing::Settings,
    /// Which rows of a table are shown, and under which name.
    pub show: panel::Settings,
    /// From where on a value is careful, warning or critical.
    pub threshold: level::Settings,
    /// Where the agent listens.
    pub serve: server::Settings,
}

/// The sections that have a file of their own in the program. Serde cannot flatten and deny unknown keys at once, so the
/// keys are handed out to this and to the dashboard's settings before they are read.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Sections {
    netns: Vec<Pattern>,
    collect: settings::Settings,
    trail: trail::Settings,
    routing: routing::Settings,
    show: panel::Settings,
    threshold: level::Settings,
    serve: server::Settings,
}

/// Keys of the dashboard's settings, which stand in no section.
fn dashboard_keys() -> Vec<String> {
    let schema = schemars::schema_for!(tui::Settings);
    let properties = schema.get("properties").and_then(serde_json::Value::as_object);
    properties.into_iter().flat_map(|keys| keys.keys().cloned()).collect()
}

const SECTIONS: [&str; 7] = ["netns", "collect", "trail", "routing", "show", "threshold", "serve"];

/// Why a text is no configuration.
struct Refusal {
    span: Option<Range<usize>>,
    message: String,
    hint: String,
    /// Where it is, if that is not in the text.
    elsewhere: Option<String>,
}

impl Config {
    fn from_spanned(root: Spanned<DeTable<'_>>) -> Result<Self, Refusal> {
        let keys = dashboard_keys();
        let span = root.span();
        let (mut sections, mut dashboard) = (DeTable::new(), DeTable::new());
        for (key, value) in root.into_inner() {
            let name = key.get_ref().as_ref();
            if SECTIONS.contains(&name) {
                sections.insert(key, value);
            } else if keys.iter().any(|known| known == name) {
                dashboard.insert(key, value);
            } else {
                let near = nearest(name, keys.iter().map(String::as_str).chain(SECTIONS));
                let hint = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if ["title", "colors"].contains(&name) => {
                        "that is a key of a theme, which is checked with the configuration that names it".to_owned()
                    }
                    None => String::new(),
                };
                let message = format!("unknown key `{name}`");
                return Err(Refusal { span: Some(key.span()), message, hint, elsewhere: None });
            }
        }
        let sections = Sections::deserialize(toml::Deserializer::from(Spanned::new(span.clone(), sections)))?;
        let dashboard = Deserialize::deserialize(toml::Deserializer::from(Spanned::new(span, dashboard)))?;
        let Sections { netns, collect, trail, routing, show, threshold, serve } = sections;
        Ok(Self { dashboard, netns, collect, trail, routing, show, threshold, serve })
    }

    fn from_table(table: &toml::Table) -> Result<Self, Refusal> {
        let text = table.to_string();
        Self::from_spanned(DeTable::parse(&text)?)
    }

    /// The JSON schema of the file.
    pub fn schema() -> serde_json::Value {
        schema::of_file()
    }
}

/// Checks one file as if it were the configuration, without the environment.
///
/// # Errors
/// Every mistake with file, line and column.
pub fn check(path: &std::path::Path) -> Result<(), Problems> {
    let text = file::read(path)?;
    load::compose(Some((path, &text)), []).map(|_| ())
}

#[cfg(test)]
mod tests;
