//! In which order do things happen, and when is a frame drawn?
//!
//! The loop blocks until something happens or a second is over, takes everything that has come meanwhile, and draws at most
//! one frame, if anything changed and the terminal has taken the one before. Keys are answered at once; samples and the
//! clock wait a moment for each other, because all collectors keep to one grid and one frame can show what they all have.

use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::app::{App, Config};
use super::event::{Event, Events, listen};
use super::terminal::{Terminal, is_terminal, size, stop};
use super::theme::Ability;
use super::{Error, frame, input, screen};
use crate::model::Host;

/// Largest side of the screen that is drawn, in cells.
const LARGEST: u16 = 1000;

/// Shortest time between two rings of the bell.
const PEACE: Duration = Duration::from_secs(3);

/// New samples and a new second are drawn so long after the first of them came.
const GATHER: Duration = Duration::from_millis(40);

/// Shows a host until the user has enough, or a signal says so, which is returned.
///
/// # Errors
/// [`Error`] when there is no terminal, it is gone, or the settings are wrong.
#[expect(clippy::needless_pass_by_value, reason = "the receiving end must end with the dashboard")]
pub fn run(host: Arc<dyn Host>, events: Events, config: Config) -> Result<Option<i32>, Error> {
    if !is_terminal() {
        return Err(Error::NoTerminal);
    }
    let mut app = App::new(host, config, Ability::of_environment())?;
    app.wake = Some(super::event::Wake::new(&events));
    let sender = events.sender.clone();
    let written = Box::new(move |result| {
        let _ = sender.send(Event::Written(result));
    });
    listen(&events.sender)?;
    let terminal = Terminal::take(app.config.settings.mouse, written)?;
    let front = Buffer::empty(Rect::ZERO);
    let mut session = Session { terminal, front, clear: true, news: None, rung: None, ended_by: None };
    resize(&mut app);
    // the table of hosts below one that was opened
    let mut below: Option<App> = None;
    while !app.quit {
        super::hosts::turn(&mut app, &mut below)?;
        session.take_news(&mut app);
        app.ask();
        session.draw(&mut app);
        match events.receiver.recv_timeout(session.wait()) {
            Ok(Event::Config(config)) if below.is_some() => {
                if let Some(below) = &mut below {
                    // what is wrong with it the other one says
                    let _ = below.configure((*config).clone());
                }
                session.handle(&mut app, Event::Config(config))?;
            }
            Ok(event) => session.handle(&mut app, event)?,
            Err(RecvTimeoutError::Timeout) => session.expect_news(),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
        }
        // a burst of resizes or keys is one frame; samples must not keep the loop from drawing
        let until = Instant::now() + Duration::from_millis(20);
        while !app.quit
            && app.open.is_none()
            && !app.left
            && Instant::now() < until
            && let Ok(event) = events.receiver.try_recv()
        {
            session.handle(&mut app, event)?;
        }
    }
    Ok(session.ended_by)
}

struct Session {
    terminal: Terminal,
    /// What the terminal shows once it has taken all bytes.
    front: Buffer,
    clear: bool,
    /// When samples and the clock that have moved on are to be drawn.
    news: Option<Instant>,
    /// When the bell was rung last.
    rung: Option<Instant>,
    /// The signal that ends the dashboard.
    ended_by: Option<i32>,
}

impl Session {
    /// Until there is something to do: news are due, or a second is over.
    fn wait(&self) -> Duration {
        let second = 1_000_000_000 - jiff::Timestamp::now().subsec_nanosecond().unsigned_abs();
        let second = Duration::from_nanos(u64::from(second));
        self.news.map_or(second, |due| due.saturating_duration_since(Instant::now()))
    }

    /// Takes the news when they are due.
    fn take_news(&mut self, app: &mut App) {
        if self.news.is_some_and(|due| due <= Instant::now()) {
            self.news = None;
            app.samples();
            app.dirty = true;
        }
    }

    fn expect_news(&mut self) {
        self.news.get_or_insert_with(|| Instant::now() + GATHER);
    }

    fn draw(&mut self, app: &mut App) {
        if !app.dirty || !self.terminal.ready() {
            return;
        }
        app.dirty = false;
        let mut back = screen::draw(app);
        frame::sweep(&mut back, app.ability.ascii);
        if let Some(bytes) = frame::encode(&self.front, &back, self.clear) {
            self.terminal.send(bytes);
        }
        self.front = back;
        self.clear = false;
    }

    fn handle(&mut self, app: &mut App, event: Event) -> Result<(), Error> {
        use signal_hook::consts::{SIGCONT, SIGTSTP, SIGWINCH};
        match event {
            Event::Signal(SIGWINCH) => {
                resize(app);
                self.clear = true;
            }
            Event::Input(event) => {
                let outcome = input::handle(app, event);
                self.outcome(app, outcome)?;
            }
            Event::Samples => self.expect_news(),
            Event::Written(Ok(())) => {}
            Event::Written(Err(cause)) => return Err(Error::Terminal { op: "write to", cause }),
            Event::Signal(SIGTSTP) => self.suspend(app, false)?,
            Event::Signal(SIGCONT) => self.resume(app)?,
            Event::Config(config) => {
                let before = app.config.settings.mouse;
                match app.configure(*config) {
                    Ok(()) if app.config.settings.mouse != before => {
                        self.terminal.set_mouse(app.config.settings.mouse);
                    }
                    Ok(()) => {}
                    Err(error) => {
                        app.say(format!("old configuration kept: {error}"), crate::model::Level::Warning);
                    }
                }
            }
            Event::Message(text) => app.say(text, crate::model::Level::Warning),
            Event::Bell => self.ring(app.config.settings.bell),
            // in one piece, between two frames
            Event::Notify(told) if app.config.settings.notify => self.terminal.send(told.into_bytes()),
            Event::Notify(_) => {}
            // a terminal that was taken away says so to its reader
            Event::Deaf(cause) if cause.raw_os_error() != Some(libc::EIO) => {
                return Err(Error::Terminal { op: "read keys from", cause });
            }
            Event::Signal(number) => (app.quit, self.ended_by) = (true, Some(number)),
            Event::Gone | Event::Deaf(_) => app.quit = true,
        }
        Ok(())
    }

    /// Rings the terminal's bell, not more often than somebody can bear.
    fn ring(&mut self, is_wanted: bool) {
        if is_wanted && self.rung.is_none_or(|rung| rung.elapsed() >= PEACE) {
            self.rung = Some(Instant::now());
            self.terminal.send(b"\x07".to_vec());
        }
    }

    fn outcome(&mut self, app: &mut App, outcome: input::Outcome) -> Result<(), Error> {
        match outcome {
            input::Outcome::Done => {}
            input::Outcome::Redraw => self.clear = true,
            input::Outcome::Suspend => self.suspend(app, true)?,
            input::Outcome::Mouse => {
                let on = !self.terminal.mouse();
                self.terminal.set_mouse(on);
                app.say(if on { "the mouse is ours" } else { "the mouse is free" }, crate::model::Level::Ok);
            }
            // the clipboard sequence carries base64 only
            input::Outcome::Clipboard(text) => {
                use base64::Engine as _;
                let data = base64::engine::general_purpose::STANDARD.encode(text);
                self.terminal.send(format!("\x1b]52;c;{data}\x07").into_bytes());
            }
        }
        Ok(())
    }

    fn suspend(&mut self, app: &mut App, group: bool) -> Result<(), Error> {
        self.terminal.leave();
        stop(group);
        self.resume(app)
    }

    fn resume(&mut self, app: &mut App) -> Result<(), Error> {
        self.terminal.enter()?;
        resize(app);
        self.clear = true;
        app.samples();
        app.dirty = true;
        Ok(())
    }
}

fn resize(app: &mut App) {
    let (width, height) = size();
    app.size = (width.min(LARGEST), height.min(LARGEST));
    app.dirty = true;
}
