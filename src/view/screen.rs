//! The terminal while the view has it: taken, drawn on, and given back however the run ends.
//!
//! There is one terminal, so that what is known of it is static: a panic in any thread gives it back before its message is
//! printed, and what is said meanwhile is kept and printed afterwards.

use std::io::{self, BufWriter, Write};
use std::panic;
use std::sync::{Mutex, MutexGuard, Once, PoisonError, TryLockError};
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::{Backend as _, CrosstermBackend};
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::layout::Size;

use super::{View, draw};
use crate::console::{self, Frames, Stream};

/// Has the terminal until it is dropped.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Frames>>>,
    /// The size of the last frame.
    size: Option<Size>,
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
    let elsewhere = !console::is_terminal(Stream::Error);
    if !said.on || elsewhere {
        console::error(rendered);
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
        HOOK.call_once(give_back_before_a_panic_is_told);
        said().on = true;
        let taken = enable_raw_mode().and_then(|()| execute!(Frames, EnterAlternateScreen));
        // A frame is written in few pieces.
        let frames = BufWriter::with_capacity(1 << 16, Frames);
        match taken.and_then(|()| Terminal::new(CrosstermBackend::new(frames))) {
            Ok(terminal) => Ok(Self { terminal, size: None }),
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
        self.size = self.terminal.backend().size().ok();
        self.terminal.draw(|frame| draw(view, frame)).is_ok()
    }

    /// Whether the terminal has another size than the last frame.
    pub fn is_resized(&self) -> bool {
        self.terminal.backend().size().ok() != self.size
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

fn give_back_before_a_panic_is_told() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        give_back();
        before(info);
    }));
}

/// Whether there is a view.
pub fn is_on() -> bool {
    said().on
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
    said().end(&mut BufWriter::new(Frames), &mut console::error, || {
        let _ = disable_raw_mode();
    });
}

impl Said {
    /// Shows the screen that was there before, and then what was said. There is nothing left to do if this fails.
    fn end(&mut self, screen: &mut impl Write, print: &mut impl FnMut(&str), cook: impl FnOnce()) {
        if !std::mem::take(&mut self.on) {
            return;
        }
        let _ = execute!(screen, LeaveAlternateScreen, Show);
        cook();
        std::mem::take(&mut self.later).iter().for_each(|text| print(text));
    }
}

fn said() -> MutexGuard<'static, Said> {
    SAID.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::Arc;

    use super::*;

    /// Notes in which order things happen to it.
    struct Note<'a>(&'a RefCell<Vec<u8>>);

    impl Write for Note<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_screen_is_left_then_cooked_then_what_was_said_is_printed_and_all_of_it_once() {
        let seen = RefCell::new(Vec::new());
        let mut said = Said { on: true, later: vec!["warning: one\n".into(), "hint: two\n".into()], lines: Vec::new() };
        for _ in 0..2 {
            let mut print = |text: &str| seen.borrow_mut().extend(text.as_bytes());
            said.end(&mut Note(&seen), &mut print, || seen.borrow_mut().extend(b"<cooked>"));
        }
        // DEC's private modes: 1049 is the alternate screen, 25 the cursor.
        assert_eq!(String::from_utf8_lossy(&seen.borrow()), "\x1b[?1049l\x1b[?25h<cooked>warning: one\nhint: two\n");
        assert!(!said.on);
    }

    #[test]
    fn a_panic_in_any_thread_gives_the_terminal_back_before_its_message() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let ordinary = panic::take_hook();
        let noted = order.clone();
        panic::set_hook(Box::new(move |info| {
            if std::thread::current().name() == Some("breaks") {
                let text = info.payload().downcast_ref::<&str>().map_or_else(String::new, |text| (*text).to_owned());
                noted.lock().unwrap().push((text, is_on()));
            }
        }));
        give_back_before_a_panic_is_told();
        said().on = true;
        assert!(is_on());
        let broken = std::thread::Builder::new().name("breaks".into()).spawn(|| panic!("a defect")).unwrap().join();
        panic::set_hook(ordinary);
        assert!(broken.is_err());
        assert_eq!(*order.lock().unwrap(), [("a defect".to_owned(), false)], "when the message comes there is no view any more");
    }
}
