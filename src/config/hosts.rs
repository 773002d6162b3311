//! Which hosts does `browse` show?
//!
//! Those of `hosts.toml` beside the configuration, of every `*.toml` in `hosts.d` beside it, and of the `file_sd` files that
//! they name. A file that somebody else could have written is refused, as the configuration is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::problem::{Problem, Problems, place};
use super::watch::{Sought, Watch, follow};
use super::{candidates, file};
use crate::browse::Roster;
use crate::browse::file_sd::{self, Language};
use crate::browse::list::{self, Mistake};
use crate::model::Text;

/// The list beside the configuration.
const LIST: &str = "hosts.toml";

/// The directory of more lists beside it.
const MORE: &str = "hosts.d";

/// Lists that are read at most.
const MAX_LISTS: usize = 1024;

/// Bytes of a list at most: a hundred thousand hosts.
const MAX_LIST: u64 = 16 << 20;

/// Whether a file is a list of hosts by its name.
pub fn is_list(path: &Path) -> bool {
    let beside = path.parent().and_then(Path::file_name).is_some_and(|name| name == MORE);
    path.file_name().is_some_and(|name| name == LIST) || (beside && is_toml(path))
}

fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "toml")
}

/// The hosts of all lists that belong to a configuration, which may be none. Those without an interval of their own are
/// looked at as often as `interval` says, if it does.
///
/// # Errors
/// Every list that is wrong, with its place.
pub fn hosts(named: Option<&Path>, interval: Option<Duration>) -> Result<Roster, Problems> {
    let (mut roster, mut problems) = (Roster::default(), Vec::new());
    for path in lists(named)? {
        match read(&path, interval) {
            Ok(found) => {
                roster.hosts.extend(found.hosts);
                roster.sources.extend(found.sources);
            }
            Err(Problems(found)) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(roster) } else { Err(Problems(problems)) }
}

/// Calls `changed` after every change of the lists, of a file that they name, or of one of `more`.
///
/// # Errors
/// The kernel refuses the watch.
pub fn watch_hosts(
    named: Option<PathBuf>,
    more: Vec<PathBuf>,
    changed: impl Fn() + Send + 'static,
) -> Result<Watch, notify::Error> {
    follow(move || sought(named.as_deref(), more.clone()), changed)
}

/// The files that say which hosts there are and how they are spoken with.
fn sought(named: Option<&Path>, more: Vec<PathBuf>) -> Sought {
    let beside = places(named);
    let mut sought = Sought { files: more, directories: beside.iter().map(|dir| dir.join(MORE)).collect() };
    sought.files.extend(beside.iter().map(|dir| dir.join(LIST)));
    for path in lists(named).unwrap_or_default() {
        // one that is wrong is read again when it changes
        let Ok(list) = text(&path).and_then(|text| parsed(&path, &text, None)) else { continue };
        let dir = path.parent().unwrap_or(Path::new(""));
        let speaks = list.hosts.into_iter().map(|host| host.speak).chain([list.usual.speak]);
        let used = speaks.flat_map(|speak| [speak.token_file, speak.cert, speak.cert_key]).flatten();
        sought.files.extend(list.file_sd.into_iter().chain(used).map(|file| dir.join(file)));
    }
    sought.files.sort_unstable();
    sought.files.dedup();
    sought
}

/// Checks one list.
///
/// # Errors
/// The first mistake of it and of each file of hosts that it names, or every token and certificate that cannot be used.
pub fn check(path: &Path) -> Result<(), Problems> {
    // many hosts share one token
    let mut causes = BTreeMap::new();
    for entry in read(path, None)?.hosts {
        if let Err(cause) = entry.speak.check() {
            causes.entry(cause.to_string()).or_insert(entry.name);
        }
    }
    let place = Text::from(path);
    let problem = |(cause, host)| Problem::new(place.as_str(), format!("host {host}: {cause}"), "");
    let problems: Vec<Problem> = causes.into_iter().map(problem).collect();
    if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
}

/// The directories where lists may be, the best first.
fn places(named: Option<&Path>) -> Vec<PathBuf> {
    let of = named.map_or_else(candidates, |path| vec![path.to_owned()]);
    of.iter().filter_map(|path| path.parent()).map(Path::to_owned).collect()
}

/// The lists that there are.
fn lists(named: Option<&Path>) -> Result<Vec<PathBuf>, Problem> {
    let exists = |path: &Path| path.symlink_metadata().is_ok();
    let found = places(named).into_iter().map(|dir| (dir.join(LIST), dir.join(MORE)));
    let Some((list, more)) = found.into_iter().find(|(list, more)| exists(list) || exists(more)) else {
        return Ok(Vec::new());
    };
    let mut lists: Vec<PathBuf> = Some(list).filter(|list| exists(list)).into_iter().collect();
    if exists(&more) {
        let fail = |cause: std::io::Error| {
            Problem::new(Text::from(more.as_path()).as_str(), format!("cannot be read: {cause}"), "")
        };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&more).map_err(fail)? {
            found.push(entry.map_err(fail)?.path());
        }
        found.retain(|path| is_toml(path));
        found.sort_unstable();
        lists.extend(found);
    }
    if lists.len() > MAX_LISTS {
        let message = format!("has more than {MAX_LISTS} lists of hosts");
        return Err(Problem::new(Text::from(more.as_path()).as_str(), message, "join some of them"));
    }
    Ok(lists)
}

/// The text of a list.
fn text(path: &Path) -> Result<String, Problem> {
    file::trusted(path, MAX_LIST)
}

fn parsed(path: &Path, text: &str, interval: Option<Duration>) -> Result<list::List, Problem> {
    list::read_every(text, interval).map_err(|mistake| problem(path, text, mistake))
}

/// The hosts of one list.
fn read(path: &Path, interval: Option<Duration>) -> Result<Roster, Problems> {
    let mut list = parsed(path, &text(path)?, interval)?;
    // a name in a list is one beside it
    let dir = path.parent().unwrap_or(Path::new(""));
    let mut problems = Vec::new();
    for file in &list.file_sd {
        let file = dir.join(file);
        let language = Language::of(&file);
        let read = |text: String| {
            file_sd::read(&text, language, &list.usual).map_err(|mistake| problem(&file, &text, mistake))
        };
        match text(&file).and_then(read) {
            Ok(found) => list.hosts.extend(found),
            Err(problem) => problems.push(problem),
        }
    }
    let speaks = list.hosts.iter_mut().map(|host| &mut host.speak);
    for speak in speaks.chain(list.sources.iter_mut().map(|source| &mut source.usual.speak)) {
        *speak = std::mem::take(speak).beside(dir);
    }
    if problems.is_empty() { Ok(Roster { hosts: list.hosts, sources: list.sources }) } else { Err(Problems(problems)) }
}

fn problem(path: &Path, text: &str, mistake: Mistake) -> Problem {
    Problem::new(place(path, text, mistake.span), mistake.message, mistake.hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_beside_the_configuration_are_read_with_what_they_name() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        let config = dir.path().join("netglance.toml");
        assert_eq!(hosts(Some(&config), None).unwrap(), Roster::default());
        std::fs::create_dir(dir.path().join("hosts.d")).unwrap();
        write("hosts.toml", "file_sd = ['sd.json', 'sd.yml']\n[[host]]\naddress = 'one'\n");
        write("sd.json", r#"[{"targets": ["two"]}]"#);
        write("sd.yml", "- targets: [half]\n");
        write("hosts.d/b.toml", "[[host]]\naddress = 'four'\n");
        write("hosts.d/a.toml", "[[host]]\naddress = 'three'\n");
        write("hosts.d/notes.txt", "nothing\n");
        let names = |roster: Roster| roster.hosts.into_iter().map(|host| host.name.to_string()).collect::<Vec<_>>();
        assert_eq!(names(hosts(Some(&config), None).unwrap()), ["one", "two", "half", "three", "four"]);
        assert!(is_list(&dir.path().join("hosts.toml")) && is_list(&dir.path().join("hosts.d/a.toml")));
        assert!(!is_list(&config));

        write("sd.json", r#"[{"targets": ["two"]}]"#);
        write("hosts.toml", "interval = '5s'\nfile_sd = ['sd.json']\n[[host]]\naddress = 'one'\ninterval = '1s'\n");
        let spans = |given: Option<u64>| {
            let roster = hosts(Some(&config), given.map(Duration::from_secs)).unwrap();
            roster.hosts.iter().map(|host| host.interval.as_secs()).collect::<Vec<_>>()
        };
        // those of hosts.d have a list of their own, which says nothing
        assert_eq!((spans(None), spans(Some(77))), (vec![1, 5, 2, 2], vec![1, 77, 77, 77]));

        write("hosts.toml", "token_file = 'token'\n[[host]]\naddress = 'one'\n[[host]]\naddress = 'two'\n");
        let own = hosts(Some(&config), None).unwrap().hosts.swap_remove(0);
        assert_eq!(own.speak.token_file, Some(dir.path().join("token")));
        let files = sought(Some(&config), Vec::new());
        for file in ["hosts.toml", "token"] {
            assert!(files.files.contains(&dir.path().join(file)), "{files:?}");
        }
        assert_eq!(files.directories, [dir.path().join("hosts.d")]);
        let problems = check(&dir.path().join("hosts.toml")).unwrap_err();
        assert!(problems.0.len() == 1 && problems.to_string().contains("host one"), "{problems}");

        write("hosts.toml", "[[host]]\naddress = 'one'\nnam = 'x'\n");
        write("hosts.d/b.toml", "[[host]]\naddress = 'a b'\n");
        let problems = hosts(Some(&config), None).unwrap_err().to_string();
        assert!(problems.contains("hosts.toml:3:1") && problems.contains("b.toml:2:11"), "{problems}");
    }

    #[test]
    fn the_list_that_is_delivered_is_right() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/hosts.toml");
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(list::read(&text).unwrap().hosts, []);
        // every line that shows a key is right without its mark
        let shown: String =
            text.lines().filter_map(|line| line.strip_prefix("#: ")).map(|line| line.to_owned() + "\n").collect();
        assert_eq!(list::read(&shown).unwrap().hosts.len(), 2, "{shown}");
    }
}
