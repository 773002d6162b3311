//! What does the dashboard know at any moment, and what does it ask of the host?

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use ratatui::layout::Rect;

use super::Error;
use super::cache::Cache;
use super::cell::Reader;
use super::keymap::Keymap;
use super::notice::Notices;
use super::overlay::Overlay;
use super::pane::Pane;
use super::past::{Past, Then};
use super::settings::Settings;
use super::table_paint::Placed;
use super::table_view::TableView;
use super::theme::{Ability, Theme};
use crate::model::{Behind, Connection, Demand, Host, Key, Level, Style, Table, Timestamp};
use crate::panel::{self, Node, PANELS, PanelDef, TOGGLES, VIEWS, ViewDef, Views as _};
use crate::store::{expr::Filter, level::Thresholds};

/// Everything beside the host that the dashboard is started with.
#[derive(Clone, Default)]
pub struct Config {
    /// The dashboard's settings.
    pub settings: Settings,
    /// Which rows panels show.
    pub show: panel::Settings,
    /// Thresholds.
    pub levels: Arc<Thresholds>,
    /// Directory of the user's themes.
    pub themes: Option<PathBuf>,
}

/// What fills the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// A view by its position.
    View(usize),
    /// The list of all tables.
    Explore,
    /// One table.
    Table(&'static str),
}

/// A table on the screen.
pub(super) struct Spot {
    pub(super) key: String,
    pub(super) table: &'static str,
    pub(super) area: Rect,
    pub(super) placed: Vec<Placed>,
}

pub(super) struct App {
    pub(super) host: Arc<dyn Host>,
    pub(super) config: Config,
    pub(super) keymap: Keymap,
    pub(super) theme: Theme,
    pub(super) ability: Ability,
    /// Whether the terminal shows no more than ASCII, whatever the settings say.
    ascii: bool,
    pub(super) toggles: BTreeSet<&'static str>,
    /// The selected row of each table, as drawn last.
    pub(super) picked: BTreeMap<&'static str, Key>,
    pub(super) page: Page,
    pub(super) tables: HashMap<String, TableView>,
    pub(super) cache: Cache,
    /// What was shown before.
    pub(super) past: Past,
    /// The host as a frozen screen sees it.
    then: Option<Then>,
    /// Changes of levels that nobody has acknowledged.
    pub(super) notices: Notices,
    pub(super) overlay: Overlay,
    /// The row whose details are shown, as it was known last.
    pub(super) last: Option<super::detail::Last>,
    pub(super) message: Option<(String, Level)>,
    /// How far what lies over the screen can be scrolled, as drawn last.
    pub(super) reach: std::cell::Cell<usize>,
    /// How many points a graph has, as drawn last.
    pub(super) slots: std::cell::Cell<usize>,
    /// Whether the question before a signal, as drawn last, names the process.
    pub(super) named: std::cell::Cell<bool>,
    /// Actions that have no outcome yet.
    pub(super) acting: Vec<super::acting::Acting>,
    /// Tells the loop of outcomes.
    pub(super) wake: Option<super::event::Wake>,
    /// How the host is reached, as it was when the samples were taken.
    pub(super) connection: Connection,
    /// The process that was given another nice value last, when, and which value.
    pub(super) niced: Option<(panel::Target, Timestamp, i32)>,
    /// Names of ports and addresses.
    pub(super) naming: super::naming::Naming,
    /// Selected line of the list of tables.
    pub(super) explore: usize,
    /// Where the list of tables was drawn last, and its first line.
    pub(super) listed: Option<(Rect, usize)>,
    /// Tables as drawn last, the focused one first.
    pub(super) spots: Vec<Spot>,
    /// Panels as drawn last.
    pub(super) panes: Vec<Pane>,
    /// Names of the panels that the focus goes through: those as drawn last, and those without room.
    pub(super) walk: Vec<&'static str>,
    /// The panel that the arrows go to, if it is not the table.
    pub(super) focused: Option<&'static str>,
    /// First item shown of each panel that is scrolled.
    pub(super) scrolls: HashMap<&'static str, usize>,
    /// What can be selected in each panel that is no table, as drawn last, and what is.
    pub(super) marks: HashMap<&'static str, Vec<panel::Mark>>,
    pub(super) chosen: HashMap<&'static str, u64>,
    /// Where Esc goes back to.
    pub(super) came: Option<Page>,
    /// Tabs as drawn last.
    pub(super) tabs: Vec<(Rect, Page)>,
    pub(super) size: (u16, u16),
    /// Where the time comes from.
    pub(super) clock: fn() -> Timestamp,
    pub(super) dirty: bool,
    pub(super) quit: bool,
    pub(super) asked: Vec<Demand>,
    /// Filter that a table begins with.
    pub(super) first: Option<(&'static str, Filter)>,
    /// What a dialog has left to be done.
    pub(super) command: Option<String>,
    /// The table of hosts, where the host is many.
    pub(super) fleet: Option<&'static str>,
    /// Whether it was opened from such a table, and whether it goes back to it.
    pub(super) opened: bool,
    pub(super) left: bool,
    /// The row's page that it began with, from which it goes back at once.
    pub(super) home: Option<Page>,
    /// A host that is to be opened.
    pub(super) open: Option<Behind>,
}

impl App {
    pub(super) fn new(host: Arc<dyn Host>, config: Config, mut ability: Ability) -> Result<Self, Error> {
        let ascii = ability.ascii;
        ability.ascii |= config.settings.ascii;
        let keymap = Keymap::new(&config.settings.keys, config.settings.allowed())?;
        let theme = Theme::named(&config.settings.theme, config.themes.as_deref(), ability)?;
        let fleet = panel::fleet::table(&*host);
        let page = first_page(&*host, fleet, config.settings.view.as_deref())?;
        let toggles = thrown(&config.settings.toggles)?;
        let mut app = Self {
            host,
            keymap,
            theme,
            ability,
            ascii,
            toggles,
            picked: BTreeMap::new(),
            page,
            tables: HashMap::new(),
            cache: Cache::default(),
            past: Past::default(),
            then: None,
            notices: Notices::default(),
            overlay: Overlay::None,
            last: None,
            message: None,
            reach: std::cell::Cell::new(0),
            slots: std::cell::Cell::new(0),
            named: std::cell::Cell::new(false),
            acting: Vec::new(),
            wake: None,
            connection: Connection::Local,
            niced: None,
            naming: super::naming::Naming::default(),
            explore: 0,
            listed: None,
            spots: Vec::new(),
            panes: Vec::new(),
            walk: Vec::new(),
            focused: None,
            scrolls: HashMap::new(),
            marks: HashMap::new(),
            chosen: HashMap::new(),
            came: None,
            tabs: Vec::new(),
            clock: Timestamp::now,
            size: (0, 0),
            dirty: true,
            quit: false,
            asked: Vec::new(),
            command: None,
            first: None,
            fleet,
            opened: false,
            left: false,
            home: None,
            open: None,
            config,
        };
        app.samples();
        app.first_filter()?;
        Ok(app)
    }

    /// A dashboard of a host that is opened from this one.
    pub(super) fn inside(&self, host: Arc<dyn Host>) -> Result<Self, Error> {
        let mut config = self.config.clone();
        (config.settings.view, config.settings.filter) = (None, None);
        let mut app = Self::new(host, config, self.ability)?;
        (app.opened, app.size, app.clock) = (true, self.size, self.clock);
        app.theme = self.theme.clone();
        Ok(app)
    }

    /// The filter of the settings belongs to the processes wherever they are shown, or to what is shown first of many hosts.
    fn first_filter(&mut self) -> Result<(), Error> {
        let Some(text) = self.config.settings.filter.clone() else { return Ok(()) };
        let first = match self.page {
            Page::Table(name) if self.fleet.is_some() => Some(name),
            _ => self.fleet,
        };
        let table = first.and_then(|name| self.table(name)).or(panel::SORTS.first().map(|sort| sort.table));
        let Some(table) = table else { return Ok(()) };
        let filter =
            Filter::parse_prompt(&text, table).map_err(|cause| Error::Filter { message: cause.to_string() })?;
        self.first = Some((&table.name, filter));
        Ok(())
    }

    /// Takes the newest samples; of a frozen screen only what it asked for later.
    pub(super) fn samples(&mut self) {
        let latest = self.host.latest();
        self.connection = self.host.connection();
        super::acting::look(self);
        if self.past.is_frozen() {
            if self.past.join(&latest, &self.asked, self.host.schema()) {
                self.rewind();
            }
        } else {
            self.past.keep(&latest);
            self.cache.set(latest);
            let mut notices = std::mem::take(&mut self.notices);
            notices.update(&self.cx());
            self.notices = notices;
            super::detail::follow(self);
            self.dirty = true;
        }
    }

    /// Shows what the past says should be shown: a moment of it, or the newest.
    pub(super) fn rewind(&mut self) {
        let shown = self.past.shown().map(|(snapshot, time)| (Arc::clone(snapshot), time));
        self.then = shown.as_ref().map(|(_, time)| Then::new(Arc::clone(&self.host), *time));
        match shown {
            Some((snapshot, _)) => {
                self.cache.set(snapshot);
                super::detail::follow(self);
            }
            None => self.samples(),
        }
        self.dirty = true;
    }

    /// Wall clock of what is shown.
    pub(super) fn now(&self) -> Timestamp {
        let shown = self.past.shown().and_then(|(snapshot, _)| super::past::taken(snapshot));
        shown.unwrap_or_else(|| self.present())
    }

    /// Wall clock of the host.
    pub(super) fn present(&self) -> Timestamp {
        Timestamp((self.clock)().0.saturating_add(self.host.skew()))
    }

    /// Bits or bytes.
    pub(super) fn style(&self) -> Style {
        Style { bits: self.toggles.contains(panel::toggle::BITS), ..Style::default() }
    }

    /// How cells are written.
    pub(super) fn writing(&self) -> Reader<'_> {
        let scale = panel::scale(&self.cx());
        let (levels, show) = (&*self.config.levels, &self.config.show);
        Reader {
            style: self.style(),
            levels,
            show,
            now: self.now(),
            scale,
            names: super::naming::names(self),
            beside: &[],
        }
    }

    /// The host whose past is shown.
    pub(super) fn reader(&self) -> &dyn Host {
        self.then.as_ref().map_or(self.host.as_ref(), |then| then)
    }

    /// How the frame of a frozen screen is marked.
    pub(super) fn mark(&self) -> Option<String> {
        let age = self.past.age()?.round().max(1.0);
        Some(match age {
            _ if self.past.is_newest() => "paused".to_owned(),
            age => format!("paused -{}", super::stale::age(age)),
        })
    }

    /// Takes another configuration; on an error everything stays as it is. The page and the switches stay in any case.
    pub(super) fn configure(&mut self, config: Config) -> Result<(), Error> {
        let keymap = Keymap::new(&config.settings.keys, config.settings.allowed())?;
        let ability = Ability { ascii: self.ascii || config.settings.ascii, ..self.ability };
        // a theme that somebody has chosen since then stays until the file names another
        let (was, now) = (&self.config.settings.theme, &config.settings.theme);
        let name = if was == now { &self.theme.name } else { now };
        let theme = Theme::named(name, config.themes.as_deref(), ability)?;
        self.ability = ability;
        // what somebody has switched by hand since then stays
        let known = |name: &str| TOGGLES.iter().find(|toggle| toggle.name == name).map(|toggle| toggle.name);
        let (old, new) = (&self.config.settings.toggles, &config.settings.toggles);
        for gone in old.iter().filter(|name| !new.contains(name)) {
            self.toggles.remove(gone.as_str());
        }
        self.toggles.extend(new.iter().filter(|name| !old.contains(name)).filter_map(|name| known(name)));
        (self.keymap, self.theme, self.config) = (keymap, theme, config);
        self.cache.forget();
        self.say("the configuration was read again", Level::Ok);
        Ok(())
    }

    pub(super) fn say(&mut self, text: impl Into<String>, level: Level) {
        self.message = Some((crate::model::Text::from(text.into()).to_string(), level));
        self.dirty = true;
    }

    /// Schema of a table.
    pub(super) fn table(&self, name: &str) -> Option<&'static Table> {
        self.host.schema().iter().copied().find(|table| table.name == name)
    }

    /// What panels look at.
    pub(super) fn cx(&self) -> panel::Cx<'_> {
        panel::Cx {
            views: &self.cache,
            snapshot: self.cache.snapshot(),
            host: self.reader(),
            levels: &self.config.levels,
            style: self.style(),
            settings: &self.config.show,
            toggles: &self.toggles,
            picked: &self.picked,
            grouped: super::group::by_host(self),
            names: super::naming::names(self),
            now: self.now(),
        }
    }

    /// Arrangement of the shown view for a size.
    pub(super) fn layout(&self, width: u16, height: u16) -> Option<Node> {
        let node = self.arranged(width, height)?;
        let below = self.below(&node).zip(self.shown_view());
        Some(below.map_or(node, |(name, view)| panel::with_below(&self.cx(), view, name, (width, height))))
    }

    /// The same without the panel that has the focus and no room.
    fn arranged(&self, width: u16, height: u16) -> Option<Node> {
        let Page::View(at) = self.page else { return None };
        let own = &self.config.settings.layout.overview;
        if at == 0 && !own.is_empty() {
            let shown = own.iter().filter(|name| !self.toggles.contains(name.as_str()));
            let found = shown.filter_map(|name| PANELS.iter().find(|panel| panel.name == *name));
            return Some(Node::Column(found.map(|p| (panel::Size::Weight(1), Node::Panel(p.name))).collect()));
        }
        Some((VIEWS.get(at)?.layout)(&self.cx(), width, height))
    }

    /// The shown view, if panels can be left out of it: an arrangement of one's own has those that it names.
    fn shown_view(&self) -> Option<&'static ViewDef> {
        let Page::View(at) = self.page else { return None };
        let own = at == 0 && !self.config.settings.layout.overview.is_empty();
        VIEWS.get(at).filter(|_| !own)
    }

    /// Panels of the shown view that found no room.
    pub(super) fn left_out(&self, node: &Node) -> Vec<&'static PanelDef> {
        self.shown_view().map_or(Vec::new(), |view| panel::left_out(&self.cx(), view, node))
    }

    /// The panel that has the focus if it found no room.
    fn below(&self, node: &Node) -> Option<&'static str> {
        let focused = self.focused.filter(|name| !node.panels().contains(name))?;
        self.left_out(node).iter().any(|panel| panel.name == focused).then_some(focused)
    }

    /// Whether the panel that has the focus was given room that there is none for in a view of this size.
    pub(super) fn is_crowded(&self, width: u16, height: u16) -> bool {
        self.arranged(width, height).is_some_and(|node| self.below(&node).is_some())
    }

    /// The table that keys go to, which may have no sample yet.
    pub(super) fn focused_table(&mut self) -> Option<(&'static Table, &mut TableView)> {
        let spot = self.spots.first()?;
        let table = self.host.schema().iter().copied().find(|table| table.name == spot.table)?;
        Some((table, self.tables.get_mut(&spot.key)?))
    }

    /// The table that keys go to, with its rows.
    pub(super) fn focus(&mut self) -> Option<(&'static str, Arc<crate::store::rate::View>, &mut TableView)> {
        let spot = self.spots.first()?;
        let view = self.cache.get(spot.table)?;
        let table = spot.table;
        Some((table, view, self.tables.get_mut(&spot.key)?))
    }

    /// The selected process, if the selection is one.
    pub(super) fn target(&mut self) -> Option<panel::Target> {
        let (_, view, state) = self.focus()?;
        let row = state.row(&view).filter(|row| !state.is_many(*row))?;
        panel::target(&view, row)
    }

    /// The table of the rows of many hosts that is shown.
    pub(super) fn merged(&self) -> Option<&'static str> {
        match self.page {
            Page::Table(name) if self.fleet.is_some_and(|fleet| fleet != name) => Some(name),
            _ => None,
        }
    }

    pub(super) fn go(&mut self, page: Page) {
        // what was opened goes back to where it was opened; a step to the side does not
        self.came = match (&page, &self.page) {
            (Page::Table(_), Page::Table(_)) => self.came.take(),
            (Page::Table(_), from) => Some(from.clone()),
            _ => None,
        };
        self.page = page;
        self.focused = None;
        self.panes.clear();
        self.walk.clear();
        self.overlay = Overlay::None;
        self.message = None;
        self.spots.clear();
        self.dirty = true;
    }
}

/// Switches by their names.
fn thrown(names: &[String]) -> Result<BTreeSet<&'static str>, Error> {
    let toggle = |name: &String| TOGGLES.iter().find(|toggle| toggle.name == name).map(|toggle| toggle.name);
    names.iter().map(|name| toggle(name).ok_or_else(|| Error::Toggle { name: name.clone() })).collect()
}

/// The page that a dashboard begins with.
fn first_page(host: &dyn Host, fleet: Option<&'static str>, view: Option<&str>) -> Result<Page, Error> {
    match (fleet, view) {
        (Some(fleet), None) => Ok(Page::Table(fleet)),
        (None, None) => Ok(Page::View(0)),
        (_, Some(name)) => {
            page_named(host, name).ok_or_else(|| Error::View { name: name.to_owned(), known: pages().join(", ") })
        }
    }
}

/// Names of all pages.
pub fn pages() -> Vec<String> {
    VIEWS.iter().map(|view| view.name.to_owned()).chain(["explore".to_owned()]).collect()
}

/// A page by the name of a view or a table.
pub(super) fn page_named(host: &dyn Host, name: &str) -> Option<Page> {
    if name == "explore" {
        return Some(Page::Explore);
    }
    let at = VIEWS.iter().position(|view| view.name == name);
    if let Some(at) = at.filter(|_| panel::fleet::table(host).is_none()) {
        return Some(Page::View(at));
    }
    let table = host.schema().iter().copied().find(|table| table.name == name)?;
    Some(Page::Table(&table.name))
}
