//! `observe.soak`: what counts as getting worse in a long run.

use std::time::Duration;

use super::Compiler;
use crate::scenario::document::observe::Observe;
use crate::scenario::document::read::Field;
use crate::scenario::plan::SoakLimits;

/// A snapshot is looked at once a second.
const SHORTEST: Duration = Duration::from_secs(1);

impl Compiler<'_> {
    pub(super) fn soak_limits(&mut self, observe: &Field<Observe>) -> SoakLimits {
        let defaults = SoakLimits::default();
        let Some(form) = observe.value().and_then(|observe| observe.soak.value()) else { return defaults };
        if let Some(window) = form.window.given().filter(|window| window.value < SHORTEST) {
            let hint = "a window needs some requests to have quantiles; the default is `60s`";
            self.push(&window.range, "`window` cannot be shorter than a second", hint);
        }
        SoakLimits {
            min_change: form.min_change.value().copied().unwrap_or(defaults.min_change),
            window: form.window.value().copied().unwrap_or(defaults.window),
            fail_on_regression: form.fail_on_regression.value().copied().unwrap_or(defaults.fail_on_regression),
        }
    }
}
