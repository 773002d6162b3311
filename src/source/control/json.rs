//! What does a daemon say in JSON?
//!
//! [`documents`] reads one value after another, because some commands answer once for each VRF. Keys differ between versions,
//! so that a value is looked up by the names that it has had. What would take much memory is refused; of long answers only what
//! is looked up is kept ([`parts`]). A daemon hands on what people have typed, in whatever encoding: bytes that are not UTF-8 become
//! visible escapes, as in [`Text`], and nothing else is lost.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::time::Duration;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::model::Text;

/// Values of one answer that are kept at most; a neighbor has some thirty, a peer of BGP some forty of a hundred.
const MAX_VALUES: usize = 1 << 18;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// Nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A number without a fraction.
    Whole(i64),
    /// Any other number.
    Real(f64),
    /// Words.
    Text(Box<str>),
    /// One value after another.
    List(Vec<Json>),
    /// In the order of the answer; a key may come twice.
    Object(Vec<(Box<str>, Json)>),
}

impl Json {
    /// Members of an object, none of anything else.
    pub fn members(&self) -> impl Iterator<Item = (&str, &Self)> {
        let members = if let Self::Object(members) = self { members.as_slice() } else { &[] };
        members.iter().map(|(key, value)| (&**key, value))
    }

    /// Items of a list; a value that is none stands for itself.
    pub fn items(&self) -> &[Self] {
        if let Self::List(items) = self { items } else { std::slice::from_ref(self) }
    }

    /// The member by the first of its names that there is.
    pub fn get(&self, names: &[&str]) -> Option<&Self> {
        names.iter().find_map(|name| self.members().find(|(key, _)| key == name).map(|(_, value)| value))
    }

    /// Takes out the member of this name.
    pub fn take(&mut self, name: &str) -> Option<Self> {
        let Self::Object(members) = self else { return None };
        let (_, value) = members.iter_mut().find(|(key, _)| **key == *name)?;
        Some(std::mem::replace(value, Self::Null))
    }

    /// Words under one of these names.
    pub fn str(&self, names: &[&str]) -> Option<&str> {
        if let Self::Text(text) = self.get(names)? { Some(text) } else { None }
    }

    /// The same for the screen.
    pub fn text(&self, names: &[&str]) -> Option<Text> {
        self.str(names).map(Text::from)
    }

    /// An address; a daemon says that there is none by one of zeros.
    pub fn ip(&self, names: &[&str]) -> Option<IpAddr> {
        self.str(names)?.parse().ok().filter(|address: &IpAddr| !address.is_unspecified())
    }

    /// A count; below zero means that there is none.
    pub fn count(&self, names: &[&str]) -> Option<u64> {
        match self.get(names)? {
            Self::Whole(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// Whether something is so.
    pub fn flag(&self, names: &[&str]) -> Option<bool> {
        if let Self::Bool(flag) = self.get(names)? { Some(*flag) } else { None }
    }

    /// Memory beside its own, about.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::List(items) => items.iter().map(|item| size_of::<Self>() + item.bytes()).sum(),
            Self::Object(members) => {
                let of = |(key, value): &(Box<str>, Self)| size_of::<(Box<str>, Self)>() + key.len() + value.bytes();
                members.iter().map(of).sum()
            }
            _ => 0,
        }
    }

    /// A span in milliseconds.
    pub fn millis(&self, names: &[&str]) -> Option<Duration> {
        self.count(names).map(Duration::from_millis)
    }

    /// A span in seconds.
    pub fn seconds(&self, names: &[&str]) -> Option<Duration> {
        self.count(names).map(Duration::from_secs)
    }
}

/// What a daemon says as text: bytes that are not UTF-8 are written in hexadecimal digits after a mark.
pub fn readable<'a>(said: &'a [u8], mark: &str) -> Cow<'a, str> {
    if let Ok(text) = std::str::from_utf8(said) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(said.len() + 64);
    for chunk in said.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "{mark}{byte:02x}");
        }
    }
    Cow::Owned(text)
}

/// The mark in text.
pub const PLAIN: &str = "\\x";

/// The mark in strings of JSON, where a backslash is written as two.
const QUOTED: &str = "\\\\x";

/// Reads every value of an answer.
///
/// # Errors
/// It is no JSON, or there is too much of it.
pub fn documents(answer: &[u8]) -> Result<Vec<Json>, serde_json::Error> {
    parts(answer, |_, _| true)
}

/// Reads of every value of an answer the members that are wanted, by how deep they are and their key; the first are at 0.
///
/// # Errors
/// It is no JSON, or there is too much of it.
pub fn parts(answer: &[u8], wanted: fn(usize, &str) -> bool) -> Result<Vec<Json>, serde_json::Error> {
    let room = Cell::new(MAX_VALUES);
    let answer = readable(answer, QUOTED);
    let mut reader = serde_json::Deserializer::from_str(&answer);
    let mut documents = Vec::new();
    while reader.end().is_err() {
        documents.push(Value { room: &room, depth: 0, wanted }.deserialize(&mut reader)?);
    }
    Ok(documents)
}

/// A value for which there must be room.
#[derive(Clone, Copy)]
struct Value<'a> {
    room: &'a Cell<usize>,
    depth: usize,
    wanted: fn(usize, &str) -> bool,
}

impl Value<'_> {
    fn take<E: serde::de::Error>(self) -> Result<(), E> {
        let left = self.room.get().checked_sub(1).ok_or_else(|| E::custom("more values than any answer has"))?;
        self.room.set(left);
        Ok(())
    }
}

/// A key at the depth of a value, which is kept if it is wanted there.
struct Member<'a>(Value<'a>);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<Box<str>>;
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Option<Box<str>>, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Member<'_> {
    type Value = Option<Box<str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Option<Box<str>>, E> {
        Ok((self.0.wanted)(self.0.depth, key).then(|| key.into()))
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Json;
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Json, D::Error> {
        self.take()?;
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Whole(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(i64::try_from(value).map_or(Json::Real(value as f64), Json::Whole))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Real(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(key) = map.next_key_seed(Member(self))? {
            match key {
                Some(key) => members.push((key, map.next_value_seed(Self { depth: self.depth + 1, ..self })?)),
                None => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_after_another_is_read_with_its_kind() {
        let read = documents(br#"{"a":1,"b":-1,"c":"x","d":[true,null,1.5],"a":2}{"e":"0.0.0.0","f":"::1"} "#).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(
            (read[0].count(&["z", "a"]), read[0].count(&["b"]), read[0].str(&["c"])),
            (Some(1), None, Some("x"))
        );
        assert_eq!(read[0].get(&["d"]).unwrap().items(), [Json::Bool(true), Json::Null, Json::Real(1.5)]);
        assert_eq!((read[1].ip(&["e"]), read[1].ip(&["f"])), (None, "::1".parse().ok()));
        assert_eq!(documents(b" \n").unwrap(), []);
        assert!(documents(b"{\"a\":").is_err() && documents(b"% no").is_err());
    }

    #[test]
    fn of_a_long_answer_only_what_is_wanted_is_kept() {
        let answer = br#"{"a":{"b":1,"c":[{"b":2}],"d":"x"},"b":3} {"a":{"c":[{"c":4}]}}"#;
        let read = parts(answer, |depth, key| depth != 1 || key == "c").unwrap();
        let a = |at: usize| read[at].get(&["a"]).unwrap();
        assert_eq!((a(0).get(&["b"]), a(0).get(&["d"]), read[0].count(&["b"])), (None, None, Some(3)));
        assert_eq!(a(0).get(&["c"]).unwrap().items()[0].count(&["b"]), Some(2));
        assert_eq!(a(1).get(&["c"]).unwrap().items()[0].count(&["c"]), Some(4));
        // what is left out needs no room, but must be JSON
        let long = [br#"{"x":{"y":["#.as_slice(), "0,".repeat(MAX_VALUES).as_bytes(), br#"0],"c":1}}"#].concat();
        let read = parts(&long, |depth, key| depth != 1 || key == "c").unwrap();
        assert_eq!(read[0].get(&["x"]).unwrap().count(&["c"]), Some(1));
        assert!(parts(br#"{"a":{"b":[1}}"#, |_, _| false).is_err());
    }

    #[test]
    fn a_byte_that_is_no_text_costs_nothing_else() {
        let read = documents(b"{\"desc\":\"Z\xfcrich \xc3\xbc\",\"k\xff\":1,\"state\":\"Established\"}").unwrap();
        assert_eq!(read[0].text(&["desc"]).as_deref(), Some("Z\\xfcrich ü"));
        assert_eq!((read[0].str(&["state"]), read[0].count(&["k\\xff"])), (Some("Established"), Some(1)));
        assert!(documents(b"\xff{}").is_err());
        assert_eq!(readable(b"0001 Z\xfcrich\n", PLAIN), "0001 Z\\xfcrich\n");
    }

    #[test]
    fn more_values_than_any_answer_has_are_refused() {
        let many = |count: usize| [b"[".as_slice(), "0,".repeat(count).as_bytes(), b"0]"].concat();
        assert!(documents(&many(1000)).is_ok());
        let refused = documents(&many(MAX_VALUES)).unwrap_err().to_string();
        assert!(refused.contains("more values"), "{refused}");
        assert!(documents("[".repeat(100_000).as_bytes()).is_err());
    }
}
