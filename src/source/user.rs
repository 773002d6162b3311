//! Which user has this number?
//!
//! `/etc/passwd` below the host's root, read again when it changes. Directory services are not asked: a look-up there may
//! block on a network that is down. A number without a name is shown as the number.

use std::collections::HashMap;

use super::file::Root;
use super::process::parse;
use crate::model::Text;

/// Names of users by number.
#[derive(Debug, Default)]
pub struct Users {
    names: HashMap<u32, Text>,
    version: Option<(u64, i64, i64)>,
}

impl Users {
    /// Reads the file again if it is another one than last time; keeps the old names while it cannot be read.
    pub fn refresh(&mut self, root: &Root) {
        let Ok(stat) = rustix::fs::stat(root.join("etc/passwd")) else { return };
        let version = Some((stat.st_ino, stat.st_mtime, stat.st_mtime_nsec as i64));
        if version != self.version
            && let Ok(bytes) = root.read("etc/passwd")
        {
            self.names = names(&bytes);
            self.version = version;
        }
    }

    /// Name of a user, the number if there is none.
    pub fn name(&self, uid: u32) -> Text {
        self.names.get(&uid).cloned().unwrap_or_else(|| Text::from(uid.to_string()))
    }

    /// Numbers that have one of these names.
    pub fn numbers(&self, names: &[&str]) -> Vec<u32> {
        self.names.iter().filter(|(_, name)| names.contains(&name.as_str())).map(|(uid, _)| *uid).collect()
    }
}

/// The first name of each number, as `getpwuid` has it.
fn names(passwd: &[u8]) -> HashMap<u32, Text> {
    let mut names = HashMap::new();
    for line in passwd.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b':');
        let (Some(name), Some(_), Some(uid)) = (fields.next(), fields.next(), fields.next()) else { continue };
        if let Some(uid) = parse::number(uid).and_then(|uid| u32::try_from(uid).ok()) {
            names.entry(uid).or_insert_with(|| Text::new(name));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_a_number_wins_and_broken_lines_are_none() {
        let users = Users {
            names: names(b"root:x:0:0::/:\ntoor:x:0:0::/:\nbroken\n:x:-1:\nme:x:1000:1000::\n"),
            version: None,
        };
        assert_eq!(users.name(0).as_str(), "root");
        assert_eq!(users.name(1000).as_str(), "me");
        assert_eq!(users.name(4711).as_str(), "4711");
    }

    #[test]
    fn a_changed_file_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        let mut users = Users::default();
        users.refresh(&root);
        assert_eq!(users.name(7).as_str(), "7");
        std::fs::write(dir.path().join("etc/passwd"), "a:x:7:7:::\n").unwrap();
        users.refresh(&root);
        assert_eq!(users.name(7).as_str(), "a");
        std::fs::write(dir.path().join("etc/new"), "b:x:7:7:::\n").unwrap();
        std::fs::rename(dir.path().join("etc/new"), dir.path().join("etc/passwd")).unwrap();
        users.refresh(&root);
        assert_eq!(users.name(7).as_str(), "b");
    }
}
