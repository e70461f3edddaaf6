//! What the conductor does with an order, and how it is told.

use std::time::Duration;

use serde_json::json;

use super::ending::Ending;
use super::watch::{Key, show};
use super::{Conductor, desk, steer};
use crate::clock;
use crate::control::{Command, Effect, Refusal, Scale};
use crate::engine::{Engine, Mode};
use crate::load::{Profile, Steering};
use crate::measure::outcome::StopCause;
use crate::report::remarks::Kind;
use crate::units::{Rate, format_duration};
use crate::view::screen;

/// A hundred changes a second are not a hundred lines.
const TELL_EACH: Duration = Duration::from_secs(1);

impl Conductor<'_> {
    pub(super) fn obey(&mut self, engine: &Engine, ending: &mut Ending, command: Command) -> Result<Effect, Refusal> {
        match command {
            Command::Annotate(text) => self.live.annotate(text),
            Command::Stop => {
                let changed = ending.mode() == Mode::Run;
                if changed {
                    self.interrupted(engine, ending, StopCause::Api);
                }
                Ok(desk::stopping(changed, self.job.plan.graceful_stop))
            }
            _ if ending.mode() != Mode::Run => Err(Refusal::conflict("the run is ending")),
            Command::Pause => {
                let changed = engine.pause();
                if changed {
                    self.changed(Kind::Paused, String::new());
                }
                Ok(Effect(json!({ "paused": true, "changed": changed })))
            }
            Command::Resume => {
                let changed = engine.resume();
                if changed {
                    self.changed(Kind::Resumed, String::new());
                }
                Ok(Effect(json!({ "paused": false, "changed": changed })))
            }
            Command::Scale(scale) => self.scale(engine, &scale),
        }
    }

    /// What a key asks for is ordered as the control API orders it; a refusal is told.
    pub(super) fn pressed(&mut self, engine: &Engine, ending: &mut Ending, key: Key) {
        let command = match key {
            Key::Stop => Command::Stop,
            Key::Pause if engine.orders().borrow().pauses.are_on() => Command::Resume,
            Key::Pause => Command::Pause,
            Key::Users(by) => Command::Scale(self.scaled_by(engine, by)),
        };
        if let Err(refusal) = self.obey(engine, ending, command) {
            let hint = refusal.hint.map_or_else(String::new, |hint| format!("; {hint}"));
            self.live.tell(&format!("{}{hint}", refusal.error));
        }
    }

    /// So many users more than are wanted now; of an open load, arrivals a second.
    fn scaled_by(&self, engine: &Engine, by: i32) -> Scale {
        let plan = &self.job.plan;
        let nobody = Scale { users: Some(0), ..Scale::default() };
        let arrivals = Scale { arrival_rate: Rate::try_new(0.0), ..Scale::default() };
        if let Ok((crew, _)) = steer::meant(plan, &arrivals) {
            let rate = (engine.arrival_rate(crew) + f64::from(by)).max(0.0);
            return Scale { arrival_rate: Rate::try_new(rate), ..arrivals };
        }
        // One that cannot be scaled is refused with the reason, whatever is asked for.
        let Ok((crew, _)) = steer::meant(plan, &nobody) else { return nobody };
        let courses = engine.orders().borrow().courses.clone();
        let wanted = match courses[crew].steering {
            Some(Steering::Users { to, .. }) => to,
            _ => plan.crews[crew].users_at(self.live.moment().1, &courses[crew]),
        };
        Scale { users: Some(wanted.saturating_add_signed(by)), ..nobody }
    }

    fn scale(&mut self, engine: &Engine, scale: &Scale) -> Result<Effect, Refusal> {
        let plan = &self.job.plan;
        let (crew, wish) = steer::meant(plan, scale)?;
        if let Some(problem) = self.room.refuses(steer::most_users(plan, crew, wish)).filter(|_| plan.validity.enabled) {
            let refusal = Refusal::conflict(problem.message);
            return Err(match problem.hint {
                Some(hint) => refusal.hint(hint),
                None => refusal,
            });
        }
        let rate = match &plan.crews[crew].profile {
            Profile::Open(_) => engine.arrival_rate(crew),
            _ => 0.0,
        };
        let steering = engine.steer(crew, wish).ok_or_else(|| Refusal::conflict("this load cannot be scaled"))?;
        self.stresses.leave(crew);
        let (effect, words) = steer::effect(plan, scale, crew, steering, rate);
        self.changed(Kind::Scaled, words);
        Ok(effect)
    }

    /// Somebody ends the run, or cuts it off who has ended it before.
    pub(super) fn interrupted(&mut self, engine: &Engine, ending: &mut Ending, cause: StopCause) {
        let first = ending.mode() == Mode::Run;
        ending.interrupt(cause, self.live.moment().1);
        engine.tell(ending.mode());
        if first {
            self.live.remark(Kind::Stopped, format!("by {}", cause.words()));
            let grace = format_duration(self.job.plan.graceful_stop);
            self.live.tell(&format!("stopping: users end their tasks, at most {grace}; Ctrl-C again ends at once"));
        }
    }

    /// The run itself asks for its end.
    pub(super) fn stop(&mut self, engine: &Engine, ending: &mut Ending, cause: StopCause) {
        if ending.stop(cause, self.live.moment().1) {
            engine.tell(ending.mode());
            self.live.remark(Kind::Stopped, format!("by {}", cause.words()));
        }
    }

    /// Something was changed by hand: it is noted, and told unless the last time was a moment ago.
    fn changed(&mut self, kind: Kind, words: String) {
        let now = clock::now();
        if !self.job.quiet && (screen::is_on() || self.said.is_none_or(|said| now - said >= TELL_EACH)) {
            self.said = Some(now);
            let colon = if words.is_empty() { "" } else { ": " };
            show(&format!("{}{colon}{words}", kind.name()));
        }
        self.live.remark(kind, words);
    }
}
