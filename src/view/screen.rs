//! The terminal while the view has it: taken, drawn on, and given back however the run ends.
//!
//! There is one terminal, so that what is known of it is static: a panic in any thread gives it back before its message is
//! printed, and what is said meanwhile is kept and printed afterwards.

use std::io::{self, IsTerminal as _, Stdout};
use std::panic;
use std::sync::{Mutex, MutexGuard, Once, PoisonError, TryLockError};
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};

use super::{View, draw};

/// Has the terminal until it is dropped.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

/// Messages, while there is a view and after it.
struct Said {
    on: bool,
    /// What is to be printed when the view has ended.
    later: Vec<String>,
    /// Lines for the pane.
    lines: Vec<String>,
}

static SAID: Mutex<Said> = Mutex::new(Said { on: false, later: Vec::new(), lines: Vec::new() });
/// Held while a frame is written.
static DRAWING: Mutex<()> = Mutex::new(());
static HOOK: Once = Once::new();

/// A run that warns without end does not fill the memory.
const MOST_MESSAGES: usize = 1000;

/// Says something to whoever watches the run: in the pane of messages and afterwards on standard error, or there at once
/// without a view. `rendered` is `plain` as it is printed, with colours perhaps.
pub fn say(plain: &str, rendered: &str) {
    let mut said = said();
    let elsewhere = !io::stderr().is_terminal();
    if !said.on || elsewhere {
        eprint!("{rendered}");
    }
    if said.on {
        if said.lines.len() >= MOST_MESSAGES {
            said.lines.remove(0);
        }
        said.lines.extend(plain.lines().map(str::to_owned));
        if !elsewhere && said.later.len() < MOST_MESSAGES {
            said.later.push(rendered.to_owned());
        }
    }
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When it cannot be taken; then it is as it was.
    pub fn take() -> io::Result<Self> {
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                give_back();
                before(info);
            }));
        });
        said().on = true;
        let taken = enable_raw_mode().and_then(|()| execute!(io::stdout(), EnterAlternateScreen));
        match taken.and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout()))) {
            Ok(terminal) => Ok(Self { terminal }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    /// Draws, unless the terminal was given back meanwhile. Whether there is a view still.
    pub fn draw(&mut self, view: &mut View) -> bool {
        let _drawing = DRAWING.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let said = said();
            if !said.on {
                return false;
            }
            view.tell(said.lines.clone());
        }
        self.terminal.draw(|frame| draw(view, frame)).is_ok()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// How many lines were said; to see whether there are new ones.
pub fn lines() -> usize {
    said().lines.len()
}

/// Leaves the terminal as it was found, and prints what was said. Does so once.
fn give_back() {
    // Whoever panicked may be the one who draws: then it is not waited for.
    let _drawing = (0..50).find_map(|_| match DRAWING.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => {
            std::thread::sleep(Duration::from_millis(10));
            None
        }
    });
    let mut said = said();
    if !std::mem::take(&mut said.on) {
        return;
    }
    // There is nothing left to do if this fails.
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
    std::mem::take(&mut said.later).iter().for_each(|text| eprint!("{text}"));
}

fn said() -> MutexGuard<'static, Said> {
    SAID.lock().unwrap_or_else(PoisonError::into_inner)
}
