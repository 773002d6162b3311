//! How does a user of SNMP version 3 prove who asks, and hide what is said?
//!
//! The user-based security model (RFC 3414) with HMAC-SHA-2 (RFC 7860), or SHA-1 where a router knows nothing better, and AES
//! in cipher feedback mode (RFC 3826). The router's engine is asked for its name and clock first; keys are made of the
//! passwords and that name. Of the key for AES with 256 bits no more is taken than the digest has, so that there is but one
//! way to make it.

use std::time::Instant;

use aws_lc_rs::cipher::{self, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::{constant_time, digest, hmac};

use super::ber::{self, Binding, OCTETS, Oid, Parsed, Reader, SEQUENCE};
use super::message::{Kind, Pdu};
use super::settings::{Auth, Privacy};

/// Number of the version.
const VERSION: i64 = 3;

/// Number of the security model.
const MODEL: i64 = 3;

/// Largest answer that is taken: a datagram.
const LARGEST: i64 = 65_507;

/// How far apart clocks may be, in seconds.
const WINDOW: u64 = 150;

/// Bytes that a password is repeated to.
const STRETCHED: usize = 1 << 20;

const AUTH: u8 = 1;
const PRIV: u8 = 2;
const REPORTABLE: u8 = 4;

/// Counters of a router that say why it did not take a message; the number behind says which.
const STATISTICS: [u32; 9] = [1, 3, 6, 1, 6, 3, 15, 1, 1];

/// Who asks.
pub(super) struct User {
    name: Vec<u8>,
    auth: Option<(Auth, Vec<u8>)>,
    privacy: Option<(Privacy, Vec<u8>)>,
    engine: Option<Engine>,
    /// Never the same twice.
    salt: u64,
}

/// What is known of the other end.
struct Engine {
    id: Vec<u8>,
    boots: u32,
    time: u32,
    /// When that was its time.
    at: Instant,
    auth: Option<hmac::Key>,
    cipher: Option<Vec<u8>>,
}

impl Engine {
    fn time(&self) -> u32 {
        self.time.saturating_add(u32::try_from(self.at.elapsed().as_secs()).unwrap_or(u32::MAX))
    }
}

/// What a message means.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    /// An answer.
    Answer(Pdu),
    /// The other end has told what was not known of it: the question can be put again.
    Learned,
    /// It does not take the question.
    Refused(&'static str),
}

/// The parts of a message around what it says.
struct Envelope<'a> {
    id: i64,
    flags: u8,
    engine: &'a [u8],
    boots: u32,
    time: u32,
    user: &'a [u8],
    /// Where the proof stands.
    proof: std::ops::Range<usize>,
    salt: &'a [u8],
    data: Reader<'a>,
}

impl User {
    /// One who has said nothing yet; passwords are those of the configured kinds.
    pub(super) fn new(
        name: &str,
        auth: Option<(Auth, Vec<u8>)>,
        privacy: Option<(Privacy, Vec<u8>)>,
        salt: u64,
    ) -> Self {
        Self { name: name.as_bytes().to_vec(), auth, privacy, engine: None, salt }
    }

    /// A message with a question. Before the other end is known it asks for no more than who that is.
    pub(super) fn write(&mut self, id: i32, pdu: &Pdu) -> Option<Vec<u8>> {
        let Some(engine) = &self.engine else {
            let nothing = Pdu::get(pdu.request, &[]);
            let data = scoped(&[], &nothing);
            let (whole, _) = assembled(id, REPORTABLE, (&[], 0, 0), &[], (&[], &[]), &data);
            return Some(whole);
        };
        let (boots, time) = (engine.boots, engine.time());
        let mut data = scoped(&engine.id, pdu);
        let mut flags = REPORTABLE;
        let mut salt = [0; 8];
        if let Some(key) = &engine.cipher {
            self.salt = self.salt.wrapping_add(1);
            salt = self.salt.to_be_bytes();
            data = ber::tagged(OCTETS, &encrypt(key, data, vector(boots, time, salt))?);
            flags |= PRIV;
        }
        let salt: &[u8] = if engine.cipher.is_some() { &salt } else { &[] };
        let proof = vec![0; self.auth.as_ref().map_or(0, |(auth, _)| auth.proof())];
        flags |= if self.auth.is_some() { AUTH } else { 0 };
        let (mut whole, at) = assembled(id, flags, (&engine.id, boots, time), &self.name, (&proof, salt), &data);
        if let Some(key) = &engine.auth {
            let tag = hmac::sign(key, &whole);
            let place = whole.get_mut(at..at + proof.len())?;
            place.copy_from_slice(tag.as_ref().get(..proof.len())?);
        }
        Some(whole)
    }

    /// What a message says; it must be the answer to that with the same numbers.
    pub(super) fn read(&mut self, bytes: &[u8], id: i32) -> Parsed<Heard> {
        let mut envelope = envelope(bytes)?;
        if envelope.id != i64::from(id) {
            return Err("an answer to another question");
        }
        let is_proven = envelope.flags & AUTH != 0;
        if is_proven {
            self.prove(bytes, &envelope)?;
        }
        let opened;
        if envelope.flags & PRIV != 0 {
            if !is_proven {
                return Err("a hidden answer that nobody vouches for");
            }
            opened = self.opened(&mut envelope)?;
            envelope.data = Reader::new(&opened);
        }
        let mut inside = envelope.data.expect(SEQUENCE)?;
        let (context, _) = (inside.octets()?, inside.octets()?);
        let pdu = Pdu::read(&mut inside)?;
        if pdu.kind == Kind::Report {
            return Ok(self.reported(&envelope, is_proven, &pdu));
        }
        let Some(engine) = &mut self.engine else { return Err("an answer before it was asked for") };
        let wanted = if engine.auth.is_some() { AUTH } else { 0 } | if engine.cipher.is_some() { PRIV } else { 0 };
        if envelope.flags & (AUTH | PRIV) != wanted || envelope.user != self.name || context != engine.id {
            return Err("an answer with less security than was asked for, or to somebody else");
        }
        if is_proven {
            follow(engine, &envelope)?;
        }
        Ok(Heard::Answer(pdu))
    }

    /// Checks that who knows the key has written it.
    fn prove(&self, bytes: &[u8], envelope: &Envelope<'_>) -> Parsed<()> {
        let engine = self.engine.as_ref().filter(|engine| engine.id == envelope.engine);
        let key = engine.and_then(|engine| engine.auth.as_ref()).ok_or("an answer of another router")?;
        let length = self.auth.as_ref().map_or(0, |(auth, _)| auth.proof());
        let mut without = bytes.to_vec();
        let place = without.get_mut(envelope.proof.clone()).filter(|place| place.len() == length);
        place.ok_or("a proof of another length")?.fill(0);
        let tag = hmac::sign(key, &without);
        let is_it = bytes
            .get(envelope.proof.clone())
            .zip(tag.as_ref().get(..length))
            .is_some_and(|(given, wanted)| constant_time::verify_slices_are_equal(given, wanted).is_ok());
        if is_it { Ok(()) } else { Err("an answer that another key vouches for") }
    }

    /// What was hidden.
    fn opened(&self, envelope: &mut Envelope<'_>) -> Parsed<Vec<u8>> {
        let key = self.engine.as_ref().and_then(|engine| engine.cipher.as_ref());
        let salt: Option<[u8; 8]> = envelope.salt.try_into().ok();
        let (key, salt) = key.zip(salt).ok_or("an answer that is hidden in another way")?;
        let hidden = envelope.data.octets()?.to_vec();
        decrypt(key, hidden, vector(envelope.boots, envelope.time, salt)).ok_or("an answer that cannot be read")
    }

    /// What follows from a message that says why a question was not taken.
    fn reported(&mut self, envelope: &Envelope<'_>, is_proven: bool, pdu: &Pdu) -> Heard {
        let statistics = Oid::new(&STATISTICS);
        let which = pdu.bindings.first().and_then(|Binding { oid, .. }| oid.below(&statistics)?.first().copied());
        match which {
            Some(4) if !envelope.engine.is_empty() => {
                self.meet(envelope);
                Heard::Learned
            }
            Some(2) if is_proven => {
                if let Some(engine) = &mut self.engine {
                    (engine.boots, engine.time, engine.at) = (envelope.boots, envelope.time, Instant::now());
                }
                Heard::Learned
            }
            Some(1) => Heard::Refused("its user has another level of security"),
            Some(2) => Heard::Refused("its clock is another one, and it does not prove that"),
            Some(3) => Heard::Refused("it does not know the user"),
            Some(5) => Heard::Refused("it knows the user with another key of authentication"),
            Some(6) => Heard::Refused("it knows the user with another key of privacy"),
            _ => Heard::Refused("it does not say why"),
        }
    }

    /// Takes the name of the other end, and makes the keys for it.
    fn meet(&mut self, envelope: &Envelope<'_>) {
        let local = |password: &[u8], auth: Auth| localized(auth, password, envelope.engine);
        let auth = self.auth.as_ref().map(|(auth, password)| hmac::Key::new(auth.hmac(), &local(password, *auth)));
        let cipher = self.auth.as_ref().zip(self.privacy.as_ref()).map(|((auth, _), (privacy, password))| {
            let mut key = local(password, *auth);
            key.truncate(privacy.key());
            key
        });
        let (id, boots, time) = (envelope.engine.to_vec(), envelope.boots, envelope.time);
        self.engine = Some(Engine { id, boots, time, at: Instant::now(), auth, cipher });
    }
}

/// Takes the clock of the other end from a message that it has proven.
fn follow(engine: &mut Engine, envelope: &Envelope<'_>) -> Parsed<()> {
    let (boots, time) = (envelope.boots, u64::from(envelope.time));
    if boots < engine.boots || (boots == engine.boots && time + WINDOW < u64::from(engine.time())) {
        return Err("an answer from the past");
    }
    if boots > engine.boots || envelope.time > engine.time {
        (engine.boots, engine.time, engine.at) = (boots, envelope.time, Instant::now());
    }
    Ok(())
}

impl Auth {
    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha224 => hmac::HMAC_SHA224,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn digest(self) -> &'static digest::Algorithm {
        self.hmac().digest_algorithm()
    }

    /// Bytes of a digest that prove something.
    fn proof(self) -> usize {
        match self {
            Self::Sha1 => 12,
            Self::Sha224 => 16,
            Self::Sha256 => 24,
            Self::Sha384 => 32,
            Self::Sha512 => 48,
        }
    }
}

impl Privacy {
    /// Bytes of a key.
    pub(super) fn key(self) -> usize {
        match self {
            Self::Aes128 => cipher::AES_128_KEY_LEN,
            Self::Aes256 => cipher::AES_256_KEY_LEN,
        }
    }
}

/// The key of a password at one engine (RFC 3414, section 2.6 and appendix A.2).
fn localized(auth: Auth, password: &[u8], engine: &[u8]) -> Vec<u8> {
    let mut context = digest::Context::new(auth.digest());
    let stretched: Vec<u8> = password.iter().copied().cycle().take(STRETCHED).collect();
    context.update(&stretched);
    let key = context.finish();
    let mut context = digest::Context::new(auth.digest());
    for part in [key.as_ref(), engine, key.as_ref()] {
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

/// What each message is hidden with beside the key (RFC 3826, section 3.1.2.1).
fn vector(boots: u32, time: u32, salt: [u8; 8]) -> [u8; 16] {
    let whole = u128::from(boots) << 96 | u128::from(time) << 64 | u128::from(u64::from_be_bytes(salt));
    whole.to_be_bytes()
}

fn unbound(key: &[u8]) -> Option<UnboundCipherKey> {
    let is_long = key.len() == cipher::AES_256_KEY_LEN;
    UnboundCipherKey::new(if is_long { &cipher::AES_256 } else { &cipher::AES_128 }, key).ok()
}

fn encrypt(key: &[u8], mut data: Vec<u8>, vector: [u8; 16]) -> Option<Vec<u8>> {
    let key = EncryptingKey::cfb128(unbound(key)?).ok()?;
    key.less_safe_encrypt(&mut data, EncryptionContext::Iv128(vector.into())).ok()?;
    Some(data)
}

fn decrypt(key: &[u8], mut data: Vec<u8>, vector: [u8; 16]) -> Option<Vec<u8>> {
    let key = DecryptingKey::cfb128(unbound(key)?).ok()?;
    key.decrypt(&mut data, DecryptionContext::Iv128(vector.into())).ok()?;
    Some(data)
}

/// A question with the name of the one who is asked.
fn scoped(engine: &[u8], pdu: &Pdu) -> Vec<u8> {
    ber::sequence(SEQUENCE, &[&ber::tagged(OCTETS, engine), &ber::tagged(OCTETS, &[]), &pdu.write()])
}

/// A whole message, and where the proof stands in it.
fn assembled(
    id: i32,
    flags: u8,
    (engine, boots, time): (&[u8], u32, u32),
    user: &[u8],
    (proof, salt): (&[u8], &[u8]),
    data: &[u8],
) -> (Vec<u8>, usize) {
    let [id, largest, model, version] = [i64::from(id), LARGEST, MODEL, VERSION].map(ber::integer);
    let head = ber::sequence(SEQUENCE, &[&id, &largest, &ber::tagged(OCTETS, &[flags]), &model]);
    let [boots, time] = [boots, time].map(|number| ber::integer(i64::from(number)));
    let [engine, user, proven, salt] = [engine, user, proof, salt].map(|bytes| ber::tagged(OCTETS, bytes));
    let security = ber::sequence(SEQUENCE, &[&engine, &boots, &time, &user, &proven, &salt]);
    let whole = ber::sequence(SEQUENCE, &[&version, &head, &ber::tagged(OCTETS, &security), data]);
    // nothing but the salt and what is said stands behind it
    let at = whole.len() - data.len() - salt.len() - proof.len();
    (whole, at)
}

fn envelope(bytes: &[u8]) -> Parsed<Envelope<'_>> {
    let mut message = Reader::new(bytes).expect(SEQUENCE)?;
    if message.integer()? != VERSION {
        return Err("a message of another version");
    }
    let mut head = message.expect(SEQUENCE)?;
    let (id, _) = (head.integer()?, head.integer()?);
    let flags = head.octets()?.first().copied().ok_or("a message without flags")?;
    if head.integer()? != MODEL {
        return Err("a message of another security model");
    }
    let mut security = message.expect(OCTETS)?.expect(SEQUENCE)?;
    let engine = security.octets()?;
    let number = |number: i64| u32::try_from(number).map_err(|_| "a clock that is none");
    let (boots, time) = (number(security.integer()?)?, number(security.integer()?)?);
    let user = security.octets()?;
    let proof = security.expect(OCTETS)?;
    let proof = proof.at()..proof.at() + proof.rest().len();
    let salt = security.octets()?;
    Ok(Envelope { id, flags, engine, boots, time, user, proof, salt, data: message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_standard() {
        let engine = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
        // RFC 3414, appendix A.3.2
        let wanted = [
            0x66, 0x95, 0xfe, 0xbc, 0x92, 0x88, 0xe3, 0x62, 0x82, 0x23, 0x5f, 0xc7, 0x15, 0x1f, 0x12, 0x84, 0x97, 0xb3,
            0x8f, 0x3f,
        ];
        assert_eq!(localized(Auth::Sha1, b"maplesyrup", &engine), wanted);
    }

    /// A router that knows the user, as far as it answers.
    struct Agent {
        user: User,
    }

    const ENGINE: &[u8] = b"\x80\0\x1f\x88engine";

    fn user(auth: &[u8], privacy: &[u8]) -> User {
        User::new("ng", Some((Auth::Sha256, auth.to_vec())), Some((Privacy::Aes128, privacy.to_vec())), 7)
    }

    fn met(mut user: User, boots: u32, time: u32) -> User {
        let report = report(5, 4, boots, time);
        let pdu = Pdu::get(1, &[]);
        assert!(user.write(5, &pdu).is_some());
        assert_eq!(user.read(&report, 5).unwrap(), Heard::Learned);
        user
    }

    fn report(id: i32, which: u32, boots: u32, time: u32) -> Vec<u8> {
        let counter = Binding { oid: Oid::new(&STATISTICS).and(&[which, 0]), value: ber::Value::Unsigned(1) };
        let pdu = Pdu { kind: Kind::Report, request: 1, status: 0, index: 0, bindings: vec![counter] };
        let data = scoped(ENGINE, &pdu);
        assembled(id, 0, (ENGINE, boots, time), b"", (&[], &[]), &data).0
    }

    impl Agent {
        fn answer(&mut self, id: i32, boots: u32, time: u32) -> Vec<u8> {
            let engine = self.user.engine.as_mut().unwrap();
            (engine.boots, engine.time, engine.at) = (boots, time, Instant::now());
            let pdu = Pdu { kind: Kind::Response, ..Pdu::get(1, &[Oid::new(&[1, 3, 6])]) };
            self.user.write(id, &pdu).unwrap()
        }
    }

    #[test]
    fn what_is_hidden_is_read_by_who_has_the_keys_only() {
        let mut agent = Agent { user: met(user(b"authpass12", b"privpass12"), 3, 1000) };
        let answer = agent.answer(9, 3, 1000);
        let mut asks = met(user(b"authpass12", b"privpass12"), 3, 1000);
        let Heard::Answer(pdu) = asks.read(&answer, 9).unwrap() else { panic!() };
        assert_eq!((pdu.kind, pdu.bindings.len()), (Kind::Response, 1));
        assert!(asks.read(&answer, 8).is_err(), "another question");
        assert!(met(user(b"authpass13", b"privpass12"), 3, 1000).read(&answer, 9).is_err());
        assert!(met(user(b"authpass12", b"privpass13"), 3, 1000).read(&answer, 9).is_err());
        for at in 0..answer.len() {
            let mut other = answer.clone();
            other[at] ^= 1;
            let heard = met(user(b"authpass12", b"privpass12"), 3, 1000).read(&other, 9);
            assert!(!matches!(heard, Ok(Heard::Answer(_))), "byte {at} is not vouched for");
            let cut = met(user(b"authpass12", b"privpass12"), 3, 1000).read(&answer[..at], 9);
            assert!(cut.is_err(), "{at}");
        }
    }

    #[test]
    fn an_answer_from_the_past_is_none() {
        let mut agent = Agent { user: met(user(b"authpass12", b"privpass12"), 3, 1000) };
        let (old, now) = (agent.answer(9, 3, 1000), agent.answer(9, 3, 2000));
        let before = agent.answer(9, 2, 9000);
        let mut asks = met(user(b"authpass12", b"privpass12"), 3, 1000);
        assert!(matches!(asks.read(&now, 9), Ok(Heard::Answer(_))));
        assert_eq!(asks.read(&old, 9), Err("an answer from the past"));
        assert_eq!(asks.read(&before, 9), Err("an answer from the past"));
    }

    #[test]
    fn an_answer_without_proof_is_none() {
        let mut asks = met(user(b"authpass12", b"privpass12"), 3, 1000);
        let pdu = Pdu { kind: Kind::Response, ..Pdu::get(1, &[]) };
        let data = scoped(ENGINE, &pdu);
        let (bare, _) = assembled(9, 0, (ENGINE, 3, 1000), b"ng", (&[], &[]), &data);
        assert!(asks.read(&bare, 9).unwrap_err().contains("less security"));
        assert!(matches!(asks.read(&report(9, 2, 9, 9), 9), Ok(Heard::Refused(_))), "nobody sets the clock unproven");
        assert!(matches!(asks.read(&report(9, 3, 9, 9), 9), Ok(Heard::Refused("it does not know the user"))));
    }
}
