//! The live view beside a run: a thread of its own looks, draws and reads keys, so that a slow terminal holds nothing up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;

use super::live::Live;
use crate::clock;
use crate::fault;
use crate::view::screen::{self, Screen};
use crate::view::{Turn, View};

/// What a key asks of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// As by Ctrl-C where there is no view.
    Stop,
    /// Pause, or go on.
    Pause,
    /// So many users more, or fewer if negative.
    Users(i32),
}

/// The end of a line that keys come in by.
pub(super) type Keys = mpsc::UnboundedReceiver<Key>;

/// A view that is on, until it is dropped.
pub(super) struct Watch {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

const LOOK_EACH: Duration = Duration::from_secs(1);
const DRAW_EACH: Duration = Duration::from_millis(250);
/// How soon a key is heard, and the end.
const WAIT: Duration = Duration::from_millis(50);

impl Watch {
    /// `None` when the terminal cannot be taken; then there are plain lines, as without one.
    pub(super) fn start(live: &Arc<Live>, colour: bool, keys: mpsc::UnboundedSender<Key>) -> Option<Self> {
        let screen = Screen::take().ok()?;
        let over = Arc::new(AtomicBool::new(false));
        let (live, ends) = (live.clone(), over.clone());
        let work = move || serve(screen, &live, colour, &keys, &ends);
        // Without a thread the screen is dropped with the work, and the terminal given back.
        let thread = thread::Builder::new().name("view".to_owned()).spawn(work).ok()?;
        Some(Self { over, thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // If it panicked, that has been told.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(mut screen: Screen, live: &Live, colour: bool, keys: &mpsc::UnboundedSender<Key>, over: &AtomicBool) {
    let mut view = View::new(live.snapshot(), colour);
    let mut looked = clock::now();
    let mut drawn: Option<clock::Instant> = None;
    let (mut stale, mut lines) = (true, 0);
    while !over.load(Ordering::Relaxed) {
        fault::may_break("view");
        if looked.elapsed() >= LOOK_EACH {
            looked = clock::now();
            view.look(live.snapshot());
            stale = true;
        }
        stale |= std::mem::replace(&mut lines, screen::lines()) != lines;
        if stale && drawn.is_none_or(|drawn| drawn.elapsed() >= DRAW_EACH) {
            if !screen.draw(&mut view) {
                return;
            }
            (stale, drawn) = (false, Some(clock::now()));
        }
        match event::poll(WAIT) {
            Ok(false) => {}
            Ok(true) => match event::read() {
                Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                    stale = true;
                    pressed(key, &mut view, keys);
                }
                Ok(_) => stale = true,
                Err(_) => thread::sleep(WAIT),
            },
            // A terminal that is gone has no keys.
            Err(_) => thread::sleep(WAIT),
        }
    }
}

fn pressed(key: KeyEvent, view: &mut View, keys: &mpsc::UnboundedSender<Key>) {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    if view.helps() && !control {
        return view.turn(Turn::Help);
    }
    let asked = match key.code {
        KeyCode::Char('c') if control => Key::Stop,
        _ if control => return,
        KeyCode::Char('q') => Key::Stop,
        KeyCode::Char('p') => Key::Pause,
        KeyCode::Char('w') => Key::Users(1),
        KeyCode::Char('s') => Key::Users(-1),
        KeyCode::Char('W') => Key::Users(10),
        KeyCode::Char('S') => Key::Users(-10),
        KeyCode::Char('?') => return view.turn(Turn::Help),
        KeyCode::Up => return view.turn(Turn::Rows(-1)),
        KeyCode::Down => return view.turn(Turn::Rows(1)),
        KeyCode::PageUp => return view.turn(Turn::Rows(-5)),
        KeyCode::PageDown => return view.turn(Turn::Rows(5)),
        KeyCode::Home => return view.turn(Turn::Top),
        KeyCode::End => return view.turn(Turn::Bottom),
        _ => return,
    };
    // The run may be over.
    let _ = keys.send(asked);
}

/// A line on standard error, or in the live view.
pub(super) fn show(line: &str) {
    let line = format!("{line}\n");
    screen::say(&line, &line);
}
