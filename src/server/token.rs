//! Which tokens are good, and where are they kept?
//!
//! A token is 256 random bits, shown once. Its SHA-256 is kept with a name, a role and an end, a line each, in a file that
//! only its owner may read. The file is replaced as a whole, so that a reader never sees half of it.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::caller::Role;
use super::lock::{Lock, PATIENCE};
use crate::client::Secret;

/// Tokens at most.
const MAX_TOKENS: usize = 1024;

/// Bytes of the file at most.
pub(super) const MAX_FILE: u64 = 256 << 10;

/// Bytes of a name at most.
const MAX_NAME: usize = 64;

/// What every token begins with, so that those who search for lost secrets find it.
const PREFIX: &str = "ng_";

/// Why there are no tokens.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read or written.
    #[error("{op} {}: {cause}", path.display())]
    File {
        /// What was attempted.
        op: &'static str,
        /// The file.
        path: PathBuf,
        /// Errno.
        cause: io::Error,
    },
    /// Others could read or write the file.
    #[error("{} {why}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A line that is none.
    #[error("{} line {line}: {why}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Its number.
        line: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// A name that cannot be one, or that is taken or unknown.
    #[error("token `{name}`: {why}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
}

/// A good token, without the token.
#[derive(Clone, PartialEq)]
pub struct Token {
    /// Name.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// When it ends; never if `None`.
    pub expires: Option<Timestamp>,
    hash: [u8; 32],
}

/// All good tokens.
#[derive(Clone, Default, PartialEq)]
pub struct Tokens(Vec<Token>);

impl Token {
    /// Whether it has not ended.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|end| now < end)
    }
}

impl Tokens {
    /// The tokens, in the order of their names.
    pub fn list(&self) -> &[Token] {
        &self.0
    }

    /// The live token of a mark. It takes as long for a wrong one.
    pub(super) fn marked(&self, mark: &[u8; 32], now: Timestamp) -> Option<&Token> {
        let same = |hash: &[u8; 32]| hash.iter().zip(mark).fold(0, |all, (a, b)| all | (a ^ b)) == 0;
        let found = self.0.iter().fold(None, |found, token| if same(&token.hash) { Some(token) } else { found });
        found.filter(|token| token.is_alive(now))
    }

    /// Reads the lines of a file.
    ///
    /// # Errors
    /// A line that is none.
    pub(super) fn parse(text: &str, path: &Path) -> Result<Self, TokenError> {
        let mut tokens = Vec::new();
        for (place, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let fail = |why| TokenError::Line { path: path.to_owned(), line: place + 1, why };
            let token = parse_line(line).map_err(fail)?;
            if tokens.len() >= MAX_TOKENS {
                return Err(fail("too many tokens"));
            }
            tokens.push(token);
        }
        Ok(Self(tokens))
    }

    /// As lines of a file.
    pub(super) fn write(&self) -> String {
        let mut text = String::from("# netglance token: name, role, end, SHA-256\n");
        for token in &self.0 {
            let end = token.expires.map_or_else(|| "never".to_owned(), |end| end.to_string());
            let _ = write!(text, "{} {} {end} ", token.name, token.role.name());
            for byte in token.hash {
                let _ = write!(text, "{byte:02x}");
            }
            text.push('\n');
        }
        text
    }

    /// Reads a file; one that is not there holds none.
    ///
    /// # Errors
    /// It cannot be read, or others could have read or written it.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        match super::kept::read(path, MAX_FILE) {
            Ok(bytes) => Self::parse(&String::from_utf8_lossy(&bytes), path),
            Err(TokenError::File { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Makes a token and keeps it.
    ///
    /// # Errors
    /// The name is none or taken, or the file cannot be replaced.
    pub fn add(path: &Path, name: &str, role: Role, expires: Option<Timestamp>) -> Result<Secret, TokenError> {
        let fail = |why| TokenError::Name { name: name.to_owned(), why };
        if !is_name(name) {
            return Err(fail("a name is at most 64 letters, digits and - _ . @"));
        }
        let mut random = [0; 32];
        let mut filled = 0;
        while let Some(rest) = random.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let got = rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty());
            filled += got.map_err(|cause| file("make a token for", path, cause.into()))?;
        }
        let secret = Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random)));
        let token = Token { name: name.to_owned(), role, expires, hash: mark(secret.reveal().as_bytes()) };
        Self::change(path, |tokens| {
            if tokens.iter().any(|token| token.name == name) {
                return Err(fail("is there already"));
            }
            if tokens.len() >= MAX_TOKENS {
                return Err(fail("there are too many"));
            }
            tokens.push(token);
            tokens.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(())
        })?;
        Ok(secret)
    }

    /// Makes a token worthless.
    ///
    /// # Errors
    /// There is none of that name, or the file cannot be replaced.
    pub fn revoke(path: &Path, name: &str) -> Result<(), TokenError> {
        Self::change(path, |tokens| {
            let before = tokens.len();
            tokens.retain(|token| token.name != name);
            if tokens.len() < before {
                return Ok(());
            }
            Err(TokenError::Name { name: name.to_owned(), why: "there is none of that name" })
        })
    }

    fn change(path: &Path, change: impl FnOnce(&mut Vec<Token>) -> Result<(), TokenError>) -> Result<(), TokenError> {
        let path = &super::kept::resolved(path).map_err(|cause| file("resolve", path, cause))?;
        let dir = path.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(dir).map_err(|cause| file("create", dir, cause))?;
        let _lock = Lock::take(path, PATIENCE).map_err(|cause| file("change", path, cause))?;
        let mut tokens = Self::read(path)?;
        change(&mut tokens.0)?;
        super::kept::replace(path, tokens.write().as_bytes()).map_err(|cause| file("replace", path, cause))?;
        let written = std::fs::File::open(dir).and_then(|dir| dir.sync_all());
        written.map_err(|cause| file("write", dir, cause))
    }
}

fn is_name(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@');
    !name.is_empty() && name.len() <= MAX_NAME && !name.starts_with('-') && name.bytes().all(word)
}

fn parse_line(line: &str) -> Result<Token, &'static str> {
    let mut words = line.split_ascii_whitespace();
    let (Some(name), Some(role), Some(end), Some(hash), None) =
        (words.next(), words.next(), words.next(), words.next(), words.next())
    else {
        return Err("not a name, a role, an end and a hash");
    };
    if !is_name(name) {
        return Err("a name that is none");
    }
    let role = Role::from_name(role).ok_or("an unknown role")?;
    let expires = match end {
        "never" => None,
        end => Some(end.parse().map_err(|_| "an end that is no instant")?),
    };
    if hash.len() != 64 || !hash.is_ascii() {
        return Err("a hash of a wrong length");
    }
    let mut bytes = [0; 32];
    for (place, byte) in bytes.iter_mut().enumerate() {
        let digits = hash.get(2 * place..2 * place + 2).ok_or("a hash of a wrong length")?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| "a hash that is none")?;
    }
    Ok(Token { name: name.to_owned(), role, expires, hash: bytes })
}

/// What is kept of a token.
pub(super) fn mark(presented: &[u8]) -> [u8; 32] {
    Sha256::digest(presented).into()
}

fn file(op: &'static str, path: &Path, cause: io::Error) -> TokenError {
    TokenError::File { op, path: path.to_owned(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(tokens: &'a Tokens, presented: &[u8], now: Timestamp) -> Option<&'a Token> {
        tokens.marked(&mark(presented), now)
    }

    fn place() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("made/tokens");
        (dir, path)
    }

    #[test]
    fn a_token_is_good_until_it_ends_or_is_revoked() {
        let (_dir, path) = place();
        let now = Timestamp::now();
        let end = Timestamp::from_second(now.as_second() + 60).unwrap();
        let secret = Tokens::add(&path, "grafana", Role::View, Some(end)).unwrap();
        let other = Tokens::add(&path, "admin", Role::Operate, None).unwrap();
        let tokens = Tokens::read(&path).unwrap();
        assert_eq!(find(&tokens, secret.reveal().as_bytes(), now).unwrap().name, "grafana");
        assert_eq!(find(&tokens, other.reveal().as_bytes(), now).unwrap().role, Role::Operate);
        assert!(find(&tokens, secret.reveal().as_bytes(), end).is_none());
        assert!(find(&tokens, b"", now).is_none());
        assert!(find(&tokens, &secret.reveal().as_bytes()[1..], now).is_none());
        Tokens::revoke(&path, "grafana").unwrap();
        assert!(find(&Tokens::read(&path).unwrap(), secret.reveal().as_bytes(), now).is_none());
        assert!(Tokens::revoke(&path, "grafana").is_err());
    }

    #[test]
    fn the_file_holds_no_token_and_nobody_else_reads_it() {
        use std::os::unix::fs::MetadataExt as _;
        let (_dir, path) = place();
        let secret = Tokens::add(&path, "one", Role::View, None).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(secret.reveal()) && !text.contains(&secret.reveal()[PREFIX.len()..]));
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(URL_SAFE_NO_PAD.decode(&secret.reveal()[PREFIX.len()..]).unwrap().len(), 32);
    }

    #[test]
    fn tokens_are_read_as_they_were_written() {
        let (_dir, path) = place();
        Tokens::add(&path, "b", Role::View, Some(Timestamp::from_second(2_000_000_000).unwrap())).unwrap();
        Tokens::add(&path, "a@host", Role::Operate, None).unwrap();
        let tokens = Tokens::read(&path).unwrap();
        assert!(Tokens::parse(&tokens.write(), &path).unwrap() == tokens);
        assert_eq!(tokens.list().iter().map(|token| &*token.name).collect::<Vec<_>>(), ["a@host", "b"]);
        assert!(Tokens::add(&path, "b", Role::View, None).is_err());
        for name in ["", "a b", "-x", "a\nb", &"x".repeat(65)] {
            assert!(Tokens::add(&path, name, Role::View, None).is_err(), "{name:?}");
        }
    }

    #[test]
    fn whoever_holds_the_directory_keeps_nobody_from_revoking() {
        let (_dir, path) = place();
        Tokens::add(&path, "one", Role::View, None).unwrap();
        let held = std::fs::File::open(path.parent().unwrap()).unwrap();
        rustix::fs::flock(&held, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
        Tokens::revoke(&path, "one").unwrap();
        assert!(Tokens::read(&path).unwrap().list().is_empty());
        let left: Vec<_> =
            std::fs::read_dir(path.parent().unwrap()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(left, ["tokens"]);
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        let hash = "0".repeat(64);
        for line in [
            "x",
            "\u{1b}[31mx view never 00",
            "a view never",
            "a root never 00",
            "a view soon 00",
            "a view never 00",
            "a view never zz",
        ] {
            let long = line.replace("00", &hash).replace("zz", &"zz".repeat(32));
            let text = format!("# head\n{long}\n");
            if line == "a view never 00" {
                assert!(Tokens::parse(&text, Path::new("f")).is_ok());
                continue;
            }
            let told = Tokens::parse(&text, Path::new("f")).err().unwrap().to_string();
            assert!(told.starts_with("f line 2: "), "{told}");
        }
    }
}
