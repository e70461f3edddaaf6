//! Where a run is told something from outside: by signals, and by orders of the control API.

use std::time::Duration;

use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::ending::Ending;
use super::live::Live;
use super::stage::until;
use super::watch::{Key, Keys, show};
use crate::clock;
use crate::control::{Command, Effect, Order, Refusal};
use crate::diagnostic::Diagnostic;
use crate::engine::Mode;
use crate::measure::outcome::StopCause;

/// The end of a line that signals come in by.
pub(super) type Interrupts = mpsc::UnboundedReceiver<StopCause>;

/// What a run listens to.
pub(super) struct Desk {
    interrupts: Interrupts,
    orders: mpsc::Receiver<Order>,
    keys: Keys,
}

/// What it hears.
pub(super) enum Event {
    /// A signal: the first one stops, the second one cuts.
    Interrupt(StopCause),
    Order(Order),
    /// Of the live view; its stop is an interrupt.
    Key(Key),
}

/// Orders that may wait. Whoever gives one waits for its answer, so more than there are connections there cannot be.
pub(super) const ORDERS: usize = 64;

const NOBODY: &str = "setup or teardown is under way: there are no users yet, or no more";

/// Ctrl-C, SIGTERM and SIGHUP, each time.
///
/// # Errors
/// When the system does not allow to listen for them.
pub(super) fn signals() -> Result<Interrupts, Diagnostic> {
    // Whoever started this process may have had it ignored, as `nohup` does: then it stays so.
    let hangup = if is_ignored(SIGHUP) { None } else { Some(hangups()?) };
    listen(hangup)
}

/// Ctrl-C and SIGTERM, each time: SIGHUP has another meaning.
///
/// # Errors
/// When the system does not allow to listen for them.
pub(super) fn signals_but_hangup() -> Result<Interrupts, Diagnostic> {
    listen(None)
}

/// SIGHUP, each time.
///
/// # Errors
/// When the system does not allow to listen for it.
pub(super) fn hangups() -> Result<Signal, Diagnostic> {
    signal(SignalKind::hangup()).map_err(failed)
}

fn listen(mut hangup: Option<Signal>) -> Result<Interrupts, Diagnostic> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let (rings, interrupts) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let name = tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
                () = received(&mut hangup) => "SIGHUP",
            };
            if rings.send(StopCause::Signal(name)).is_err() {
                return;
            }
        }
    });
    Ok(interrupts)
}

/// The next such signal; never without one to listen for.
async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

fn failed(error: std::io::Error) -> Diagnostic {
    Diagnostic::error(format!("cannot listen for signals: {error}"))
}

const SIGHUP: u32 = 1;

/// Whether this process ignores a signal, as it does from its start if its parent did.
fn is_ignored(number: u32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask >> (number - 1) & 1 == 1)
}

impl Desk {
    pub(super) fn new(interrupts: Interrupts, orders: mpsc::Receiver<Order>, keys: Keys) -> Self {
        Self { interrupts, orders, keys }
    }

    pub(super) async fn next(&mut self) -> Event {
        tokio::select! {
            biased;
            Some(cause) = self.interrupts.recv() => Event::Interrupt(cause),
            Some(key) = self.keys.recv() => if key == Key::Stop { Event::Interrupt(StopCause::Key) } else { Event::Key(key) },
            Some(order) = self.orders.recv() => Event::Order(order),
            else => std::future::pending().await,
        }
    }

    /// The next signal; orders are refused meanwhile, for the run is over.
    pub(super) async fn interrupted(&mut self) {
        loop {
            match self.next().await {
                Event::Interrupt(_) => return,
                Event::Key(_) => {}
                Event::Order(order) => reply(order, |_| Err(Refusal::over())),
            }
        }
    }

    /// Does `work` to its end, also when a first signal comes, which is answered with `message` and noted in `ending`. A second
    /// one cuts it off, and so does the end of `limit` after the first: `None`. There are no users meanwhile, so that only few orders can be obeyed.
    pub(super) async fn bounded<T>(
        &mut self,
        ending: &mut Ending,
        live: &Live,
        (message, limit): (&str, Duration),
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = std::pin::pin!(work);
        let mut deadline = None;
        loop {
            // Counted from the signal, or from the beginning after one.
            deadline = deadline.or_else(|| (ending.mode() != Mode::Run).then(|| clock::now() + limit));
            let event = tokio::select! {
                done = &mut work => return Some(done),
                event = self.next() => event,
                () = until(deadline) => return None,
            };
            match event {
                Event::Interrupt(cause) => {
                    ending.interrupt(cause, live.moment().1);
                    if ending.mode() == Mode::Cut {
                        return None;
                    }
                    live.tell(message);
                }
                Event::Key(_) => show(NOBODY),
                Event::Order(order) => reply(order, |command| match command {
                    Command::Stop => {
                        let changed = ending.stop(StopCause::Api, live.moment().1);
                        if changed {
                            live.tell(message);
                        }
                        Ok(stopping(changed, Duration::ZERO))
                    }
                    Command::Annotate(text) => live.annotate(text),
                    _ => Err(Refusal::conflict(NOBODY)),
                }),
            }
        }
    }
}

/// Answers an order. Nobody may be waiting any more.
pub(super) fn reply(order: Order, obey: impl FnOnce(Command) -> Result<Effect, Refusal>) {
    let _ = order.answer.send(obey(order.command));
}

pub(super) fn stopping(changed: bool, within: Duration) -> Effect {
    Effect(json!({ "stopping": true, "changed": changed, "within_seconds": within.as_secs_f64() }))
}
