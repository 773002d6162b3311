//! How is a host of a list spoken with?
//!
//! A list says it for all of its hosts or for one: what the host is told, and what its key must be. What the list leaves
//! open is as for `connect`. Files are read anew for each connection, so that a new token needs no new start.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::client::{Access, Certificate, Fingerprint, Secret, Trouble, TroubleKind};
use crate::model::Text;

/// What a list says of how a host is spoken with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Speak {
    /// File with the token.
    pub token_file: Option<PathBuf>,
    /// The only key that is right; else the file of known hosts counts.
    pub key: Option<Fingerprint>,
    /// File with the certificate that the agent wants.
    pub cert: Option<PathBuf>,
    /// File with its key; its own file if there is none.
    pub cert_key: Option<PathBuf>,
    /// Whether TLS is spoken on loopback too.
    pub tls: bool,
    /// Whether plain text is spoken with another host, which is told nothing secret then.
    pub insecure: bool,
    /// Whether a neighbor has said that the host is there, and nobody has written it down: a person must have accepted its
    /// key, whatever is taken for right elsewhere.
    pub found: bool,
}

impl Speak {
    /// The same, with names of files that are beside a list.
    #[must_use]
    pub fn beside(mut self, dir: &Path) -> Self {
        for file in [&mut self.token_file, &mut self.cert, &mut self.cert_key].into_iter().flatten() {
            *file = dir.join(&*file);
        }
        self
    }

    /// Why the list contradicts itself.
    pub(super) fn contradiction(&self) -> Option<&'static str> {
        let over_tls = self.tls || self.key.is_some() || self.token_file.is_some() || self.cert.is_some();
        if self.insecure && over_tls {
            Some("plain text shows no key and carries no token and no certificate")
        } else if self.cert_key.is_some() && self.cert.is_none() {
            Some("a key without its certificate")
        } else {
            None
        }
    }

    /// Whether files are read for each connection.
    pub(super) fn has_files(&self) -> bool {
        self.token_file.is_some() || self.cert.is_some()
    }

    /// What the client knows and has for this host; `general` is what it has for any.
    ///
    /// # Errors
    /// A file cannot be used.
    pub(super) fn access(&self, general: &Access) -> Result<Access, Trouble> {
        let unusable =
            |cause: io::Error| Trouble { kind: TroubleKind::Protected, why: Text::from(cause.to_string()), key: None };
        let mut access = general.clone();
        if self.insecure {
            (access.token, access.certificate, access.plain, access.tls) = (None, None, true, false);
            return Ok(access);
        }
        if let Some(token) = self.token().map_err(unusable)? {
            access.token = Some(Arc::new(token));
        }
        if let Some(certificate) = self.certificate().map_err(unusable)? {
            access.certificate = Some(Arc::new(certificate));
        }
        access.pin = self.key;
        access.accept_new &= !self.found;
        access.tls |= self.tls;
        access.plain &=
            !(self.found || self.tls || self.key.is_some() || self.token_file.is_some() || self.cert.is_some());
        Ok(access)
    }

    /// Whether the files can be used.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> io::Result<()> {
        self.token()?;
        self.certificate().map(drop)
    }

    fn token(&self) -> io::Result<Option<Secret>> {
        let Some(file) = &self.token_file else { return Ok(None) };
        let read = Secret::read(file);
        read.map(Some).map_err(|cause| io::Error::new(cause.kind(), format!("{}: {cause}", file.display())))
    }

    fn certificate(&self) -> io::Result<Option<Certificate>> {
        let Some(file) = &self.cert else { return Ok(None) };
        Certificate::read(file, self.cert_key.as_ref().unwrap_or(file)).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_a_list_says_of_a_host_wins_and_plain_text_carries_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "ng_own\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let general =
            Access { token: Some(Arc::new(Secret::new("ng_all".to_owned()))), plain: true, ..Access::default() };
        let said = |speak: &Speak| {
            let access = speak.access(&general).ok().unwrap();
            (access.token.map(|token| token.reveal().to_owned()), access.plain, access.tls)
        };
        assert_eq!(said(&Speak::default()), (Some("ng_all".to_owned()), true, false));
        let own = Speak { token_file: Some("token".into()), ..Speak::default() }.beside(dir.path());
        assert_eq!(said(&own), (Some("ng_own".to_owned()), false, false));
        assert_eq!(said(&Speak { insecure: true, ..Speak::default() }), (None, true, false));
        assert_eq!(said(&Speak { tls: true, ..Speak::default() }), (Some("ng_all".to_owned()), false, true));
        let found = Speak { tls: true, found: true, ..Speak::default() };
        let access = found.access(&Access { accept_new: true, ..general.clone() }).ok().unwrap();
        assert!(access.tls && !access.plain && !access.accept_new);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let trouble = own.access(&general).err().unwrap();
        assert!(trouble.kind == TroubleKind::Protected && trouble.why.contains("chmod 600"), "{}", trouble.why);
        assert!(own.check().is_err());
    }
}
