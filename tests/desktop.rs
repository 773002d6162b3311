//! Is somebody told who sits at a desktop, by a daemon that does as it should, hangs, or is not there?
//!
//! A bus of the test's own, and a daemon on it that keeps what it is told.

#![cfg(test)]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use futures_util::StreamExt as _;
use netglance::alert::desktop::{self, Desktop};
use netglance::alert::{Change, Message, Notification};
use netglance::model::Level;
use zbus::zvariant::OwnedVariant;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(40);

/// A bus of the session.
struct Bus(Child);

impl Bus {
    /// Starts one, and makes it that of this process.
    fn start() -> Self {
        let mut child = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--print-address=1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        // SAFETY: the only test of this program, which has started no thread yet
        unsafe { std::env::set_var("DBUS_SESSION_BUS_ADDRESS", address.trim()) };
        Self(child)
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the daemon was told: the number that it is to replace, summary, body, urgency and category.
#[derive(Debug, PartialEq)]
struct Told {
    replaces: u32,
    summary: String,
    body: String,
    urgency: u8,
    category: String,
}

type Call = (String, u32, String, String, String, Vec<String>, std::collections::HashMap<String, OwnedVariant>, i32);

/// A daemon of notifications, which answers nothing while it hangs.
fn daemon(told: Sender<Told>, hangs: Arc<AtomicBool>) {
    let (ready, is_ready) = channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let connection = zbus::Connection::session().await.unwrap();
            let mut calls = zbus::MessageStream::from(&connection);
            connection.request_name("org.freedesktop.Notifications").await.unwrap();
            ready.send(()).unwrap();
            let mut last = 0;
            while let Some(Ok(call)) = calls.next().await {
                let header = call.header();
                if header.member().is_none_or(|member| member.as_str() != "Notify") {
                    continue;
                }
                let (_, replaces, _, summary, body, _, hints, _): Call = call.body().deserialize().unwrap();
                let urgency = u8::try_from(&*hints["urgency"]).unwrap();
                let category = String::try_from(&*hints["category"]).unwrap();
                // before it is known that it was told: then the test may change it
                let answers = !hangs.load(Ordering::Relaxed);
                let is_over = told.send(Told { replaces, summary, body, urgency, category }).is_err();
                if is_over {
                    return;
                }
                if answers {
                    last += 1;
                    let number: u32 = if replaces == 0 { last } else { replaces };
                    connection.reply(&header, &number).await.unwrap();
                }
            }
        });
    });
    is_ready.recv_timeout(PATIENCE).unwrap();
}

fn message(alert: &str, change: Change) -> Message {
    let one = Notification {
        id: String::new(),
        alert: alert.to_owned(),
        rule: "guest_cpu".to_owned(),
        instance: alert.to_owned(),
        table: "vm".to_owned(),
        severity: Level::Critical,
        change,
        text: format!("<b>{alert}</b> is busy"),
        value: None,
        peak: None,
        begin: 1_790_000_000.5,
        end: None,
        labels: std::collections::BTreeMap::new(),
        top: Vec::new(),
        flaps: 0,
        comment: None,
        tell: Level::Ok,
    };
    Message { host: "hv1".to_owned(), notifications: vec![one], more: 0 }
}

fn next<T>(from: &Receiver<T>) -> T {
    from.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn a_daemon_shows_what_is_new_in_place_of_what_was_and_nobody_waits_for_it() {
    let _bus = Bus::start();
    let (lost, otherwise) = channel();
    let start = |patience| {
        let lost = lost.clone();
        Desktop::start(patience, move |message| drop(lost.send(message.notifications[0].alert.clone()))).unwrap()
    };
    // the one has time on a busy machine, too
    let (desktop, hasty) = (start(PATIENCE), start(desktop::PATIENCE));
    // there is none yet
    assert_eq!(desktop.show(message("none", Change::Fired)), None);
    assert_eq!(next(&otherwise), "none");
    let (told, tells) = channel();
    let hangs = Arc::<AtomicBool>::default();
    daemon(told, Arc::clone(&hangs));
    let shown = |alert: &str, change: Change| {
        assert_eq!(desktop.show(message(alert, change)), None);
        std::iter::repeat_with(|| next(&tells)).find(|told| told.summary.contains(alert)).unwrap()
    };
    let first = shown("vm1", Change::Fired);
    let wanted = Told {
        replaces: 0,
        summary: "hv1: critical: <b>vm1</b> is busy".to_owned(),
        body: "rule guest_cpu, table vm of vm1\nsince 2026-09-21T14:13:20.500Z".to_owned(),
        urgency: 2,
        category: "device.error".to_owned(),
    };
    assert_eq!(first, wanted);
    assert_eq!(shown("vm2", Change::Fired).replaces, 0);
    let over = shown("vm1", Change::Cleared);
    assert_eq!((over.replaces, over.urgency), (1, 0), "the one that was shown first");
    // one that hangs is not waited for
    hangs.store(true, Ordering::Relaxed);
    assert_eq!(hasty.show(message("vm3", Change::Fired)), None);
    assert_eq!(next(&otherwise), "vm3");
    hangs.store(false, Ordering::Relaxed);
    assert_eq!(shown("vm2", Change::Cleared).replaces, 2);
    assert!(otherwise.try_recv().is_err());
}
