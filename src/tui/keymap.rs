//! Which key does what?
//!
//! [`ACTIONS`] is the one list: dispatch, remapping, the help overlay, the hints and the palette are loops over it. Glances'
//! letters stay Glances'; the switches come from `panel::TOGGLES` and the sort letters from `panel::SORTS`.

use std::collections::{BTreeMap, HashMap};

mod press;

use crossterm::event::KeyEvent;

use crate::model::Allowed;
use crate::panel::{LATER, SORTS, TOGGLES};

pub use press::{Press, key_names};

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Quit.
    Quit,
    /// Stop netglance.
    Suspend,
    /// Go back.
    Back,
    /// This help.
    Help,
    /// Palette.
    Palette,
    /// Filter.
    Filter,
    /// Erase the filter.
    EraseFilter,
    /// Next view.
    NextView,
    /// Previous view.
    PreviousView,
    /// Focus on the next panel.
    NextPanel,
    /// Focus on the panel before.
    PreviousPanel,
    /// Up one row.
    Up,
    /// Down one row.
    Down,
    /// Up one page.
    PageUp,
    /// Down one page.
    PageDown,
    /// First row.
    Home,
    /// Last row.
    End,
    /// Scroll to the left.
    Left,
    /// Scroll to the right.
    Right,
    /// Details of the selected row.
    Enter,
    /// Sort by the column to the left.
    SortLeft,
    /// Sort by the column to the right.
    SortRight,
    /// Sort by the next column.
    SortNext,
    /// Reverse the order.
    Reverse,
    /// Freeze the screen, and go on.
    Freeze,
    /// Step back in time.
    Earlier,
    /// Later.
    Later,
    /// Say that an alert is known.
    Acknowledge,
    /// Say that all of them are.
    AcknowledgeAll,
    /// Make an alert silent for a time.
    Silence,
    /// Choose columns.
    Columns,
    /// Graph of the sorted column of the selected row.
    Graph,
    /// A shorter time in a graph.
    ZoomIn,
    /// A longer time in a graph.
    ZoomOut,
    /// Rows as a tree.
    Tree,
    /// Processes of one name as one line.
    Programs,
    /// Everything about the selected process.
    Extended,
    /// Short or long text in the last column.
    LongCommand,
    /// Free the mouse for selecting text, and take it.
    Mouse,
    /// Draw everything again.
    Redraw,
    /// Copy the selected row to the clipboard.
    Copy,
    /// Send a signal to the selected process.
    Signal,
    /// Be nicer.
    NiceUp,
    /// Be less nice.
    NiceDown,
    /// Let the kernel forget the selected connection.
    Forget,
    /// Let it forget those that the filter keeps.
    ForgetAll,
    /// A switch, by position in `panel::TOGGLES`.
    Toggle(usize),
    /// A sort letter, by position in `panel::SORTS`.
    Sort(usize),
    /// Something that no table tells yet, by position in `panel::LATER`.
    NotYet(usize),
}

/// Where keys work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// On every page.
    Page,
    /// In a graph.
    Graph,
}

impl Act {
    /// Where its keys work.
    pub fn scope(self) -> Scope {
        if matches!(self, Self::ZoomIn | Self::ZoomOut) { Scope::Graph } else { Scope::Page }
    }
}

/// One action of the list.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// What it does.
    pub act: Act,
    /// Name in `[keys]` and in the palette.
    pub name: &'static str,
    /// Keys unless the configuration says otherwise.
    pub keys: &'static [&'static str],
    /// For the help.
    pub help: &'static str,
    /// What has to be allowed for it.
    pub needs: Needs,
}

/// What has to be allowed for an action to be offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// It changes processes, which `--read-only` does not let it.
    Change,
    /// It changes something else, which takes `--allow-actions`.
    Allowance,
}

impl Needs {
    fn has(self, allowed: Allowed) -> bool {
        match self {
            Self::Nothing => true,
            Self::Change => allowed != Allowed::Nothing,
            Self::Allowance => allowed == Allowed::Everything,
        }
    }
}

const fn entry(act: Act, name: &'static str, keys: &'static [&'static str], help: &'static str) -> Entry {
    Entry { act, name, keys, help, needs: Needs::Nothing }
}

const fn change(act: Act, name: &'static str, keys: &'static [&'static str], help: &'static str) -> Entry {
    Entry { act, name, keys, help, needs: Needs::Change }
}

const fn allowed(act: Act, name: &'static str, keys: &'static [&'static str], help: &'static str) -> Entry {
    Entry { act, name, keys, help, needs: Needs::Allowance }
}

/// Every action beside switches and sort letters, in the order of the help.
pub static ACTIONS: &[Entry] = &[
    entry(Act::Quit, "quit", &["q", "ctrl-c"], "quit"),
    entry(Act::Back, "back", &["esc"], "go back; never quits"),
    entry(Act::Help, "help", &["?", "h", "f1"], "this help"),
    entry(Act::Palette, "palette", &[":"], "palette: views, tables, themes, commands"),
    entry(Act::Filter, "filter", &["/"], "filter: words, or an expression such as cpu > 0.5 and user == \"root\""),
    entry(Act::EraseFilter, "erase-filter", &["E"], "erase the filter"),
    entry(Act::NextView, "next-view", &["tab"], "next view"),
    entry(Act::PreviousView, "previous-view", &["shift-tab"], "previous view"),
    entry(Act::NextPanel, "next-panel", &["."], "focus on the next panel: arrows scroll it, enter opens its table"),
    entry(Act::PreviousPanel, "previous-panel", &[","], "focus on the panel before"),
    entry(Act::Up, "up", &["up"], "up one row"),
    entry(Act::Down, "down", &["down"], "down one row; a selected row is followed wherever it goes"),
    entry(Act::PageUp, "page-up", &["pageup"], "up one page"),
    entry(Act::PageDown, "page-down", &["pagedown"], "down one page"),
    entry(Act::Home, "first", &["home"], "first row"),
    entry(Act::End, "last", &["end"], "last row"),
    entry(Act::Left, "left", &["left"], "scroll to the left"),
    entry(Act::Right, "right", &["right"], "scroll to the right"),
    entry(
        Act::Enter,
        "open",
        &["enter"],
        "details of the selected row; tab: what else there is, such as the elements of a set",
    ),
    entry(Act::SortLeft, "sort-left", &["<", "shift-left"], "sort by the column to the left"),
    entry(Act::SortRight, "sort-right", &[">", "shift-right"], "sort by the column to the right"),
    entry(Act::SortNext, "sort-next", &["f6"], "sort by the next column"),
    entry(Act::Reverse, "reverse", &["r"], "reverse the order"),
    entry(Act::Freeze, "freeze", &["space"], "freeze the screen, and go on"),
    entry(Act::Earlier, "earlier", &["["], "step back in time"),
    entry(Act::Later, "later", &["]"], "step forward in time"),
    entry(
        Act::Acknowledge,
        "acknowledge",
        &["A"],
        "acknowledge the selected alert or the one above the last row, or take that back; that the selected neighbor is gone",
    ),
    entry(Act::AcknowledgeAll, "acknowledge-all", &["w", "x"], "acknowledge all alerts"),
    change(Act::Silence, "silence", &["!"], "make the selected alert silent for a time, or take that back"),
    entry(Act::Columns, "columns", &["v", "f2"], "choose columns"),
    entry(Act::Graph, "graph", &["g"], "graph of the sorted column of the selected row"),
    entry(Act::ZoomIn, "zoom-in", &["+", "="], "in a graph: a shorter time, down to every sample"),
    entry(Act::ZoomOut, "zoom-out", &["-"], "in a graph: a longer time, up to 24 hours"),
    entry(Act::Tree, "tree", &["f5"], "rows as a tree"),
    entry(
        Act::Programs,
        "programs",
        &["j"],
        "processes of one name as one line; connections by source, port, state; hosts by group, state, version",
    ),
    entry(
        Act::Extended,
        "extended",
        &["e"],
        "everything about the selected or first process; tab: files, limits, threads",
    ),
    entry(Act::LongCommand, "long", &["\\"], "short or long text in the last column"),
    entry(Act::Mouse, "mouse", &["M"], "free the mouse for selecting text, and take it"),
    entry(Act::Redraw, "redraw", &["ctrl-l", "ctrl-r"], "draw everything again"),
    entry(Act::Copy, "copy", &["y"], "copy the selected row to the clipboard"),
    entry(Act::Suspend, "suspend", &["ctrl-z"], "stop netglance; fg brings it back"),
    change(Act::Signal, "signal", &["k"], "send a signal to the selected process"),
    change(Act::NiceUp, "nice-up", &["+"], "be nicer: raise the nice value of the selected process"),
    change(Act::NiceDown, "nice-down", &["-"], "be less nice: lower the nice value of the selected process"),
    allowed(Act::Forget, "delete", &["delete"], "delete the selected connection from the kernel's table"),
    allowed(Act::ForgetAll, "delete-all", &["Z"], "delete the connections that the filter keeps"),
];

/// Why `[keys]` was refused. The words name no file: a configuration adds the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No action has that name.
    #[error("there is no action `{0}`")]
    Action(String),
    /// The key is not understood.
    #[error("`{key}` is no key for `{action}`")]
    Key {
        /// Action as written.
        action: String,
        /// Key as written.
        key: String,
    },
    /// Two actions want the same key.
    #[error("`{key}` is wanted by `{one}` and by `{other}`")]
    Duplicate {
        /// The key.
        key: String,
        /// An action.
        one: String,
        /// Another.
        other: String,
    },
}

/// A bound action, for help and palette.
#[derive(Clone, Debug)]
pub struct Bound {
    /// What it does.
    pub act: Act,
    /// Name.
    pub name: String,
    /// Keys.
    pub keys: Vec<Press>,
    /// For the help.
    pub help: &'static str,
}

/// Every action with its default keys, and what has to be allowed for it.
fn defaults() -> Vec<(Bound, Needs)> {
    let mut bound = Vec::new();
    for entry in ACTIONS {
        let keys = entry.keys.iter().filter_map(|key| Press::parse(key)).collect();
        bound.push((Bound { act: entry.act, name: entry.name.to_owned(), keys, help: entry.help }, entry.needs));
    }
    for (i, sort) in SORTS.iter().enumerate() {
        let name = format!("sort-{}", sort.name);
        bound.push((
            Bound { act: Act::Sort(i), name, keys: vec![Press::letter(sort.key)], help: sort.help },
            Needs::Nothing,
        ));
    }
    for (i, toggle) in TOGGLES.iter().enumerate() {
        let name = format!("toggle-{}", toggle.name);
        bound.push((
            Bound { act: Act::Toggle(i), name, keys: vec![Press::letter(toggle.key)], help: toggle.help },
            Needs::Nothing,
        ));
    }
    for (i, (key, name, _)) in LATER.iter().enumerate() {
        let help = "as in Glances; there is no table of it yet";
        bound.push((
            Bound { act: Act::NotYet(i), name: (*name).to_owned(), keys: vec![Press::letter(*key)], help },
            Needs::Nothing,
        ));
    }
    bound
}

/// Names of all actions, as `[keys]` takes them.
pub fn actions() -> Vec<String> {
    defaults().into_iter().map(|(bound, _)| bound.name).collect()
}

/// Keys as they work now.
#[derive(Clone, Debug)]
pub struct Keymap {
    /// In the order of the help.
    pub bound: Vec<Bound>,
    by_key: HashMap<(Scope, Press), Act>,
    /// Keys of actions that are not offered, with why.
    refused: HashMap<Press, &'static str>,
}

impl Keymap {
    /// Default keys with those of the configuration instead; actions that change the host only as far as that is allowed.
    ///
    /// # Errors
    /// The first [`KeyError`].
    pub fn new(settings: &BTreeMap<String, Vec<String>>, allowed: Allowed) -> Result<Self, KeyError> {
        let (keymap, errors) = Self::build(settings, allowed);
        errors.into_iter().next().map_or(Ok(keymap), Err)
    }

    /// Everything that is wrong with `[keys]`, whatever flags say about actions.
    pub fn mistakes(settings: &BTreeMap<String, Vec<String>>) -> Vec<KeyError> {
        Self::build(settings, Allowed::Everything).1
    }

    fn build(settings: &BTreeMap<String, Vec<String>>, allowed: Allowed) -> (Self, Vec<KeyError>) {
        let mut errors = Vec::new();
        let mut bound = defaults();
        for (action, keys) in settings {
            let Some((found, _)) = bound.iter_mut().find(|(bound, _)| bound.name == *action) else {
                errors.push(KeyError::Action(action.clone()));
                continue;
            };
            found.keys.clear();
            for key in keys {
                match Press::parse(key) {
                    Some(press) => found.keys.push(press),
                    None => errors.push(KeyError::Key { action: action.clone(), key: key.clone() }),
                }
            }
        }
        let (bound, others): (Vec<_>, Vec<_>) = bound.into_iter().partition(|(_, needs)| needs.has(allowed));
        let read_only = allowed == Allowed::Nothing;
        let why = if read_only { "this dashboard is read-only" } else { "this takes --allow-actions" };
        let refused = others.into_iter().flat_map(|(bound, _)| bound.keys).map(|key| (key, why)).collect();
        let bound: Vec<Bound> = bound.into_iter().map(|(bound, _)| bound).collect();
        let mut by_key = HashMap::new();
        let mut names: HashMap<(Scope, Press), &str> = HashMap::new();
        for one in &bound {
            for key in &one.keys {
                let place = (one.act.scope(), *key);
                if let Some(other) = names.insert(place, &one.name) {
                    let (one, other) = (other.to_owned(), one.name.clone());
                    errors.push(KeyError::Duplicate { key: key.to_string(), one, other });
                }
                by_key.insert(place, one.act);
            }
        }
        (Self { bound, by_key, refused }, errors)
    }

    /// What a key does on a page.
    pub fn get(&self, event: &KeyEvent) -> Option<Act> {
        self.within(Scope::Page, event)
    }

    /// What a key does somewhere.
    pub fn within(&self, scope: Scope, event: &KeyEvent) -> Option<Act> {
        self.by_key.get(&(scope, Press::of(event))).copied()
    }

    /// Why a key does nothing, where that is because its action is not offered.
    pub fn refusal(&self, event: &KeyEvent) -> Option<&'static str> {
        self.refused.get(&Press::of(event)).copied()
    }

    /// First key of an action, for hints.
    pub fn key(&self, act: Act) -> Option<String> {
        self.bound.iter().find(|bound| bound.act == act)?.keys.first().map(ToString::to_string)
    }

    /// Action by name, for the palette.
    pub fn named(&self, name: &str) -> Option<Act> {
        self.bound.iter().find(|bound| bound.name == name).map(|bound| bound.act)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossterm::event::{KeyCode, KeyModifiers};

    #[test]
    fn default_keys_are_understood_and_unique() {
        let keymap = Keymap::new(&BTreeMap::new(), Allowed::Everything).unwrap();
        for entry in ACTIONS {
            for key in entry.keys {
                assert_eq!(Press::parse(key).unwrap().to_string(), *key);
            }
            assert_eq!(keymap.named(entry.name), Some(entry.act));
        }
    }

    #[test]
    fn what_is_not_allowed_is_no_action() {
        let named = |allowed: Allowed, needs: Needs| {
            let keymap = Keymap::new(&BTreeMap::new(), allowed).unwrap();
            let mut own = ACTIONS.iter().filter(|entry| entry.needs == needs).peekable();
            assert!(own.peek().is_some());
            let there: Vec<bool> = own.map(|entry| keymap.named(entry.name) == Some(entry.act)).collect();
            assert!(there.iter().all(|one| *one == there[0]));
            there[0]
        };
        for (allowed, change, allowance) in
            [(Allowed::Nothing, false, false), (Allowed::Processes, true, false), (Allowed::Everything, true, true)]
        {
            assert!(named(allowed, Needs::Nothing));
            assert_eq!((named(allowed, Needs::Change), named(allowed, Needs::Allowance)), (change, allowance));
        }
    }

    #[test]
    fn a_key_may_mean_something_else_in_a_graph() {
        let keymap = Keymap::new(&BTreeMap::new(), Allowed::Processes).unwrap();
        let plus = KeyEvent::new(KeyCode::Char('+'), KeyModifiers::NONE);
        assert_eq!(keymap.get(&plus), Some(Act::NiceUp));
        assert_eq!(keymap.within(Scope::Graph, &plus), Some(Act::ZoomIn));
        let own = BTreeMap::from([("zoom-in".to_owned(), vec!["-".to_owned()])]);
        assert!(matches!(Keymap::new(&own, Allowed::Processes), Err(KeyError::Duplicate { .. })));
    }

    #[test]
    fn wrong_keys_are_refused() {
        let map = |action: &str, key: &str| {
            Keymap::new(&BTreeMap::from([(action.to_owned(), vec![key.to_owned()])]), Allowed::Processes).unwrap_err()
        };
        assert!(matches!(map("fly", "x"), KeyError::Action(_)));
        assert!(matches!(map("quit", "ctrl-"), KeyError::Key { .. }));
        assert!(matches!(map("quit", "?"), KeyError::Duplicate { .. }));
    }

    #[test]
    fn a_key_of_the_configuration_replaces_the_default() {
        let keymap =
            Keymap::new(&BTreeMap::from([("quit".to_owned(), vec!["f10".to_owned()])]), Allowed::Processes).unwrap();
        assert_eq!(keymap.get(&KeyEvent::new(KeyCode::F(10), KeyModifiers::NONE)), Some(Act::Quit));
        assert_eq!(keymap.get(&KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE)), None);
        let back = KeyEvent::new(KeyCode::BackTab, KeyModifiers::SHIFT);
        assert_eq!(keymap.get(&back), Some(Act::PreviousView));
    }
}
