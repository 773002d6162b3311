//! What does a template of the user's make of a message?
//!
//! Steps and length are bounded. What a file is called says how values are escaped: as JSON for `.json`, as HTML for `.html`.

use std::io;
use std::path::Path;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};

use super::{webhook, words};
use crate::alert::{Failure, Message};

/// Steps at most.
const FUEL: u64 = 1_000_000;

/// Bytes that are made at most.
const MOST: usize = 256 << 10;

/// What is made.
///
/// # Errors
/// It is no template, or makes too much.
pub(super) fn render(path: &Path, text: &str, message: &Message) -> Result<String, Failure> {
    let failed = |cause: minijinja::Error| Failure::refused(format!("fill in {}: {cause}", path.display()));
    let escape = match path.extension().and_then(|end| end.to_str()) {
        Some("json") => AutoEscape::Json,
        Some("html") => AutoEscape::Html,
        _ => AutoEscape::None,
    };
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(move |_| escape.clone());
    environment.add_template("told", text).map_err(failed)?;
    let template = environment.get_template("told").map_err(failed)?;
    let mut made = Bounded(Vec::new());
    let mut values = webhook::plain(message);
    if let Some(values) = values.as_object_mut() {
        values.insert("subject".to_owned(), words::subject(message).into());
    }
    template.render_captured_to(Serde(&values), &mut made).map_err(failed)?;
    String::from_utf8(made.0).map_err(|_| Failure::refused(format!("fill in {}: it makes no text", path.display())))
}

/// What has room.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MOST {
            return Err(io::Error::other(format!("it makes more than {MOST} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str, text: &str, word: &str) -> Result<String, String> {
        render(Path::new(name), text, &words::message(word)).map_err(|failure| failure.cause)
    }

    #[test]
    fn values_are_escaped_as_the_file_is_called() {
        let text = "{{ notifications[0].text }}";
        let word = "<b>\"\\ '&";
        let json = made("/t.json", &format!("{{\"t\": {text}}}"), word).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["t"], word);
        assert!(!made("/t.html", text, word).unwrap().contains(['<', '"']));
        assert_eq!(made("/t.txt", text, word).unwrap(), word);
        assert_eq!(made("/t", "{{ severity }} {{ subject }}", "x").unwrap(), "critical hv1: critical: x");
    }

    #[test]
    fn a_template_ends_and_says_what_is_wrong() {
        let big = "{% for a in range(100000) %}{{ text }}{% endfor %}";
        assert!(made("/t", big, &"x".repeat(4096)).is_err());
        let long = "{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}";
        assert!(made("/t", long, "x").unwrap_err().starts_with("fill in /t: "));
        assert!(made("/t", "{{ 'x' * 1000000000 }}", "x").is_err());
        for wrong in ["{{", "{% for %}", "{{ nothing.at.all }}", "{% include '/etc/passwd' %}", "{{ 1 / 0 }}"] {
            assert!(made("/t", wrong, "x").is_err(), "{wrong}");
        }
        // what a name says is no template
        assert_eq!(made("/t", "{{ notifications[0].text }}", "{{ 1 + 1 }}").unwrap(), "{{ 1 + 1 }}");
    }
}
