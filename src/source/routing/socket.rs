//! Where are the control sockets of routing daemons, and what does who is behind one speak about?
//!
//! They are looked for where packages put them, and where the configuration says. Nothing is opened here.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::settings::Settings;
use crate::label;
use crate::model::Text;
use crate::source::Error;
use crate::source::file::Roots;

/// Directories of control sockets; below those of FRR there is one for each path space (`-N`).
const PLACES: [(&str, Source, bool); 4] = [
    ("run/frr", Source::Frr, true),
    ("run/quagga", Source::Quagga, false),
    ("run/bird", Source::Bird, false),
    ("run", Source::Bird, false),
];

label! {
    /// Where a neighbor is known from.
    pub enum Source { Frr = "frr", Bird = "bird", Quagga = "quagga", Snmp = "snmp" }
}

/// What a daemon speaks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Ospfd,
    Ospf6d,
    Bgpd,
    Bfdd,
    Isisd,
    Bird,
    /// A router that somebody else asks.
    Router,
}

impl Program {
    /// By the name of the socket: `ospfd.vty`, `ospfd-1.vty`, `bird.ctl`.
    pub(super) fn of(socket: &Path) -> Option<Self> {
        let stem = socket.file_stem()?.to_str()?;
        match socket.extension()?.to_str()? {
            "ctl" => Some(Self::Bird),
            "vty" => [Self::Ospfd, Self::Ospf6d, Self::Bgpd, Self::Bfdd, Self::Isisd]
                .into_iter()
                .find(|program| stem.split('-').next() == Some(program.process())),
            _ => None,
        }
    }

    /// What its process calls itself.
    pub(super) fn process(self) -> &'static str {
        match self {
            Self::Ospfd => "ospfd",
            Self::Ospf6d => "ospf6d",
            Self::Bgpd => "bgpd",
            Self::Bfdd => "bfdd",
            Self::Isisd => "isisd",
            Self::Bird => "bird",
            Self::Router => "",
        }
    }

    /// How long what it has told is good for. Peers of BGP may be very many, and have timers of minutes.
    pub(super) fn every(self) -> Duration {
        if self == Self::Bgpd { Duration::from_secs(5) } else { Duration::ZERO }
    }
}

/// Whether a path is that of a socket which can be asked.
pub fn is_known(socket: &Path) -> bool {
    Program::of(socket).is_some()
}

/// A socket, which daemons it is one of, its name, and what it speaks about.
pub(super) type Found = (PathBuf, Source, Text, Program);

/// Sockets in all places, each once, and the first directory that may not be looked into.
pub(super) fn found(roots: &Roots, settings: &Settings) -> (Vec<Found>, Option<Error>) {
    let (mut found, mut denied) = (Vec::new(), None);
    for (place, source, spaces) in PLACES {
        let names = match roots.host.list(place) {
            Ok(names) => names,
            Err(error) if error.is_absent() => continue,
            Err(error) => {
                denied.get_or_insert(error);
                continue;
            }
        };
        for name in names {
            let path = Path::new(place).join(&name);
            if is_socket(source, &path) {
                found.extend(found_at(roots.host.join(&path), source, None));
            } else if spaces && path.extension().is_none() {
                // what is no directory has no names in it
                for inside in roots.host.list(&path).unwrap_or_default() {
                    let path = path.join(inside);
                    if is_socket(source, &path) {
                        found.extend(found_at(roots.host.join(&path), source, Some(&name)));
                    }
                }
            }
        }
    }
    for path in &settings.sockets {
        let source = if Program::of(path) == Some(Program::Bird) { Source::Bird } else { Source::Frr };
        found.extend(found_at(path.clone(), source, path.parent().and_then(Path::file_name)));
    }
    let mut seen = HashSet::new();
    found.retain(|(socket, ..)| match rustix::fs::stat(socket) {
        Ok(stat) => seen.insert((stat.st_dev, stat.st_ino)),
        Err(_) => settings.sockets.contains(socket),
    });
    (found, denied)
}

fn is_socket(source: Source, path: &Path) -> bool {
    let has = |extension: &str| path.extension() == Some(OsStr::new(extension));
    // there other programs have such, as unbound does
    let is_shared = path.parent() == Some(Path::new("run"));
    let is_named = || path.file_stem().is_some_and(|stem| stem.as_encoded_bytes().starts_with(b"bird"));
    if source == Source::Bird { has("ctl") && (!is_shared || is_named()) } else { has("vty") }
}

pub(super) fn found_at(path: PathBuf, source: Source, space: Option<&OsStr>) -> Option<Found> {
    let program = Program::of(&path)?;
    let name = path.file_stem()?.to_string_lossy();
    let instance = match space {
        Some(space) => Text::from(format!("{}/{name}", space.to_string_lossy())),
        None => Text::from(&*name),
    };
    Some((path, source, instance, program))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::file::Root;

    #[test]
    fn what_another_program_has_beside_the_sockets_of_daemons_is_none() {
        let place = tempfile::tempdir().unwrap();
        let paths = [
            "run/bird.ctl",
            "run/bird6.ctl",
            "run/unbound.ctl",
            "run/bird/core.ctl",
            "run/bird/core.vty",
            "run/frr/ospfd.vty",
            "run/frr/zebra.vty",
            "run/frr/blue/ospfd.vty",
        ];
        for path in paths {
            std::fs::create_dir_all(place.path().join(path).parent().unwrap()).unwrap();
            std::fs::write(place.path().join(path), "").unwrap();
        }
        let roots = Roots { host: Root::new(place.path()), ..Roots::live() };
        let named = |settings: &Settings| {
            let (found, denied) = found(&roots, settings);
            assert!(denied.is_none());
            let mut names: Vec<String> = found.into_iter().map(|(_, _, name, _)| name.as_str().to_owned()).collect();
            names.sort();
            names
        };
        let usual = ["bird", "bird6", "blue/ospfd", "core", "ospfd"];
        assert_eq!(named(&Settings::default()), usual);
        let sockets = vec![place.path().join("run/unbound.ctl")];
        let asked = named(&Settings { sockets, ..Settings::default() });
        assert_eq!(asked.len(), usual.len() + 1, "what is configured is one whatever it is called: {asked:?}");
    }
}
