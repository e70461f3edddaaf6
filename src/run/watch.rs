//! The live view beside a run: a thread of its own looks, draws and reads keys, so that a slow terminal holds nothing up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use tokio::sync::mpsc;

use super::live::Live;
use crate::clock;
use crate::fault;
use crate::journal::Topic;
use crate::printable;
use crate::threads;
use crate::view::keys::{self, Input, Keyboard};
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
    /// Closes when the thread has ended.
    ended: Receiver<()>,
}

const LOOK_EACH: Duration = Duration::from_secs(1);
const DRAW_EACH: Duration = Duration::from_millis(250);
/// How soon a key is heard, and the end.
const WAIT: Duration = Duration::from_millis(50);
/// A terminal that takes nothing does not hold up the end of the run; a frame gives it five seconds.
const END_WITHIN: Duration = Duration::from_secs(7);

impl Watch {
    /// `None` when the terminal cannot be taken; then there are plain lines, as without one.
    pub(super) fn start(live: &Arc<Live>, colour: bool, keys: mpsc::UnboundedSender<Key>) -> Option<Self> {
        let screen = Screen::take().ok()?;
        let over = Arc::new(AtomicBool::new(false));
        let (live, ends) = (live.clone(), over.clone());
        let (ending, ended) = sync_channel::<()>(0);
        let work = move || {
            let _ending = ending;
            serve(screen, &live, colour, &keys, &ends);
        };
        // Without a thread the screen is dropped with the work, and the terminal given back.
        threads::start("view", work).ok()?;
        Some(Self { over, ended })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // If it panicked, that has been told, and it has ended.
        let _ = self.ended.recv_timeout(END_WITHIN);
    }
}

fn serve(mut screen: Screen, live: &Live, colour: bool, keys: &mpsc::UnboundedSender<Key>, over: &AtomicBool) {
    let mut view = View::new(live.snapshot(), colour);
    let mut looked = clock::now();
    let mut drawn: Option<clock::Instant> = None;
    let (mut stale, mut lines, mut keyboard) = (true, 0, Keyboard::default());
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
        stale |= screen.is_resized();
        match keyboard.read(WAIT) {
            Input::Keys(pressed) => {
                stale |= !pressed.is_empty();
                pressed.into_iter().for_each(|key| press(key, &mut view, keys));
            }
            Input::Gone => {
                live.note(Topic::Event, "the terminal is gone: the live view ends, and the run goes on");
                return;
            }
        }
    }
}

fn press(key: keys::Key, view: &mut View, keys: &mpsc::UnboundedSender<Key>) {
    if view.helps() && key != keys::Key::CtrlC {
        return view.turn(Turn::Help);
    }
    let asked = match key {
        keys::Key::CtrlC | keys::Key::Char('q') => Key::Stop,
        keys::Key::Char('p') => Key::Pause,
        keys::Key::Char('w') => Key::Users(1),
        keys::Key::Char('s') => Key::Users(-1),
        keys::Key::Char('W') => Key::Users(10),
        keys::Key::Char('S') => Key::Users(-10),
        keys::Key::Char('?') => return view.turn(Turn::Help),
        keys::Key::Up => return view.turn(Turn::Rows(-1)),
        keys::Key::Down => return view.turn(Turn::Rows(1)),
        keys::Key::PageUp => return view.turn(Turn::Rows(-5)),
        keys::Key::PageDown => return view.turn(Turn::Rows(5)),
        keys::Key::Home => return view.turn(Turn::Top),
        keys::Key::End => return view.turn(Turn::Bottom),
        keys::Key::Char(_) | keys::Key::Other => return,
    };
    // The run may be over.
    let _ = keys.send(asked);
}

/// A line on standard error, or in the live view.
pub(super) fn show(line: &str) {
    let line = format!("{}\n", printable::one_line(line));
    screen::say(&line, &line);
}
