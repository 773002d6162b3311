//! How is somebody told who sits at this desktop?
//!
//! By the daemon of notifications of the session, over D-Bus. What is said of an alert takes the place of what was said of it
//! before. A daemon that is not there or does not answer within a second is not waited for: then the terminal is told, by OSC 9.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use notify_rust::{Hint, Urgency};

use super::action::words;
use super::{Message, Notification};
use crate::model::Text;

/// Longest wait for the daemon that makes sense while somebody looks.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// Messages that wait for it at most.
const MOST: usize = 16;

/// Alerts of one message that are shown one by one; more are one notification.
const SINGLE: usize = 4;

/// Alerts whose notification is remembered.
const REMEMBERED: usize = 256;

/// Bytes of a text for the terminal at most.
const MAX_TEXT: usize = 200;

/// Shows messages.
#[derive(Debug)]
pub struct Desktop(SyncSender<Message>);

impl Desktop {
    /// Starts to; what the daemon does not show in time, `otherwise` does.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn start(patience: Duration, otherwise: impl Fn(&Message) + Send + 'static) -> io::Result<Self> {
        let (sender, messages) = sync_channel(MOST);
        std::thread::Builder::new().name("desktop".to_owned()).spawn(move || show(&messages, patience, &otherwise))?;
        Ok(Self(sender))
    }

    /// Shows one, without ever waiting; one for which there is no room is given back.
    pub fn show(&self, message: Message) -> Option<Message> {
        match self.0.try_send(message) {
            Ok(()) => None,
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => Some(message),
        }
    }
}

/// What tells a terminal: OSC 9, which those that know it show as a notification.
pub fn osc(message: &Message) -> String {
    let told = Text::from(words::subject(message));
    // a number first means something else to some
    format!("\x1b]9;netglance: {}\x1b\\", words::cut(&told, MAX_TEXT))
}

/// Shows messages until there is nobody who could have another one shown.
fn show(messages: &Receiver<Message>, patience: Duration, otherwise: &dyn Fn(&Message)) {
    let mut shown = Shown::default();
    for message in messages {
        if !shown.show(&message, patience) {
            otherwise(&message);
        }
    }
}

/// What the daemon shows, by alert.
#[derive(Default)]
struct Shown {
    numbers: HashMap<String, u32>,
}

/// What many alerts are remembered as.
const MANY: &str = "";

impl Shown {
    /// Shows a message; whether all of it was.
    fn show(&mut self, message: &Message, patience: Duration) -> bool {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return false };
        let all = if message.notifications.len() > SINGLE || message.more > 0 {
            vec![(MANY, many(message))]
        } else {
            let of = |one: &'_ Notification| single(one, &message.host);
            message.notifications.iter().map(|one| (one.alert.as_str(), of(one))).collect()
        };
        let mut is_shown = true;
        for (alert, mut notification) in all {
            if let Some(number) = self.numbers.get(alert) {
                notification.id(*number);
            }
            let told = runtime.block_on(async { tokio::time::timeout(patience, notification.show_async()).await });
            let Ok(Ok(handle)) = told else {
                is_shown = false;
                break;
            };
            self.remember(alert, handle.id());
        }
        // what a daemon leaves undone is not waited for
        runtime.shutdown_timeout(Duration::ZERO);
        is_shown
    }

    fn remember(&mut self, alert: &str, number: u32) {
        if self.numbers.len() >= REMEMBERED && !self.numbers.contains_key(alert) {
            self.numbers.clear();
        }
        self.numbers.insert(alert.to_owned(), number);
    }
}

fn single(one: &Notification, host: &str) -> notify_rust::Notification {
    let message = Message { host: host.to_owned(), notifications: vec![one.clone()], more: 0 };
    notification(&message, &format!("{host}: {}", words::headline(one)), &words::details(one).join("\n"))
}

fn many(message: &Message) -> notify_rust::Notification {
    let lines: Vec<String> = message.notifications.iter().take(SINGLE).map(words::headline).collect();
    notification(message, &words::subject(message), &lines.join("\n"))
}

fn notification(message: &Message, summary: &str, body: &str) -> notify_rust::Notification {
    let urgency = match words::urgency(message) {
        words::Urgency::High => Urgency::Critical,
        words::Urgency::Normal => Urgency::Normal,
        words::Urgency::Low => Urgency::Low,
    };
    let mut notification = notify_rust::Notification::new();
    notification.appname("netglance").summary(&Text::from(summary)).body(&words::html(body));
    notification.hint(Hint::Urgency(urgency)).hint(Hint::Category("device.error".to_owned()));
    notification.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::action::words::message;

    #[test]
    fn nothing_but_what_was_meant_reaches_the_terminal() {
        let told = osc(&message("x\u{1b}]52;c;aGk=\u{7}\u{9c}\u{202e}"));
        assert_eq!(told, "\u{1b}]9;netglance: hv1: critical: x\\x1b]52;c;aGk=\\x07\\x9c\\u{202e}\u{1b}\\");
        assert!(osc(&message(&"ä".repeat(5000))).len() < 300);
    }

    #[test]
    fn a_body_is_text_and_no_markup() {
        let told = single(&message("<a href='x'>&</a>").notifications[0], "hv1");
        assert!(told.summary.ends_with("critical: <a href='x'>&</a>"), "{}", told.summary);
        assert!(
            told.body.contains("&lt;a href=&#39;x&#39;&gt;&amp;&lt;/a&gt;") && !told.body.contains('<'),
            "{}",
            told.body
        );
    }

    #[test]
    fn many_alerts_are_one_notification() {
        let mut all = message("x");
        all.notifications = vec![all.notifications[0].clone(); SINGLE + 1];
        let told = many(&all);
        assert_eq!(
            (told.summary.as_str(), told.body.lines().count()),
            ("hv1: 5 alerts, the worst critical: x", SINGLE)
        );
    }

    #[test]
    fn numbers_are_remembered_of_some_alerts() {
        let mut shown = Shown::default();
        for number in 0..3 * REMEMBERED as u32 {
            shown.remember(&number.to_string(), number);
        }
        assert!(shown.numbers.len() <= REMEMBERED && shown.numbers.contains_key("767"));
    }
}
