//! Where a run is told something from outside: by signals, and by orders of the control API.

use std::time::Duration;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::live::Live;
use super::stage::until;
use super::watch::{Key, Keys, show};
use crate::clock;
use crate::control::{Command, Effect, Order, Refusal};
use crate::diagnostic::Diagnostic;
use crate::engine::Mode;

/// The end of a line that signals come in by.
pub(super) type Interrupts = mpsc::UnboundedReceiver<()>;

/// What a run listens to.
pub(super) struct Desk {
    interrupts: Interrupts,
    orders: mpsc::Receiver<Order>,
    keys: Keys,
}

/// What it hears.
pub(super) enum Event {
    /// Ctrl-C or SIGTERM: the first one stops, the second one cuts.
    Interrupt,
    Order(Order),
    /// Of the live view; its stop is an interrupt.
    Key(Key),
}

/// Orders that may wait. Whoever gives one waits for its answer, so more than there are connections there cannot be.
pub(super) const ORDERS: usize = 64;

const NOBODY: &str = "setup or teardown is under way: there are no users yet, or no more";

/// Ctrl-C and SIGTERM, each time.
///
/// # Errors
/// When the system does not allow to listen for them.
pub(super) fn signals() -> Result<Interrupts, Diagnostic> {
    let failed = |error| Diagnostic::error(format!("cannot listen for signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let (rings, interrupts) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if rings.send(()).is_err() {
                return;
            }
        }
    });
    Ok(interrupts)
}

impl Desk {
    pub(super) fn new(interrupts: Interrupts, orders: mpsc::Receiver<Order>, keys: Keys) -> Self {
        Self { interrupts, orders, keys }
    }

    pub(super) async fn next(&mut self) -> Event {
        tokio::select! {
            biased;
            Some(()) = self.interrupts.recv() => Event::Interrupt,
            Some(key) = self.keys.recv() => if key == Key::Stop { Event::Interrupt } else { Event::Key(key) },
            Some(order) = self.orders.recv() => Event::Order(order),
            else => std::future::pending().await,
        }
    }

    /// The next signal; orders are refused meanwhile, for the run is over.
    pub(super) async fn interrupted(&mut self) {
        loop {
            match self.next().await {
                Event::Interrupt => return,
                Event::Key(_) => {}
                Event::Order(order) => reply(order, |_| Err(Refusal::over())),
            }
        }
    }

    /// Does `work` to its end, also when a first signal comes, which is answered with `message` and noted in `mode`. A second
    /// one cuts it off, and so does the end of `limit` after the first: `None`. There are no users meanwhile, so that only few orders can be obeyed.
    pub(super) async fn bounded<T>(
        &mut self,
        mode: &mut Mode,
        live: &Live,
        (message, limit): (&str, Duration),
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = std::pin::pin!(work);
        let mut deadline = None;
        loop {
            // Counted from the signal, or from the beginning after one.
            deadline = deadline.or_else(|| (*mode != Mode::Run).then(|| clock::now() + limit));
            let event = tokio::select! {
                done = &mut work => return Some(done),
                event = self.next() => event,
                () = until(deadline) => return None,
            };
            match event {
                Event::Interrupt => {
                    *mode = if *mode == Mode::Run { Mode::Stop } else { Mode::Cut };
                    if *mode == Mode::Cut {
                        return None;
                    }
                    live.tell(message);
                }
                Event::Key(_) => show(NOBODY),
                Event::Order(order) => reply(order, |command| match command {
                    Command::Stop => {
                        let changed = *mode == Mode::Run;
                        if changed {
                            *mode = Mode::Stop;
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
