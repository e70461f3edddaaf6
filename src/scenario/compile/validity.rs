//! `validity`: when the generator itself was the bottleneck.

use super::Compiler;
use crate::scenario::document::model::Validity;
use crate::scenario::document::read::Field;
use crate::scenario::plan::ValidityLimits;

impl Compiler<'_> {
    pub(super) fn validity(&mut self, field: &Field<Validity>) -> ValidityLimits {
        let defaults = ValidityLimits::default();
        let Some(form) = field.value() else { return defaults };
        if let Some(busy) = form.busy.given().filter(|busy| busy.value.get() == 0.0) {
            let hint = "every worker does something; give a share such as `90%`, or `100%` for no limit";
            self.push(&busy.range, "`busy` cannot be zero", hint);
        }
        ValidityLimits {
            enabled: form.enabled.value().copied().unwrap_or(defaults.enabled),
            max_generator_share: form.max_generator_share.value().copied().unwrap_or(defaults.max_generator_share),
            max_generator_time: form.max_generator_time.value().copied().unwrap_or(defaults.max_generator_time),
            busy: form.busy.value().copied().unwrap_or(defaults.busy),
            busy_for: self.more_than_zero(&form.busy_for, "busy_for").unwrap_or(defaults.busy_for),
            dropped: form.dropped.value().copied().unwrap_or(defaults.dropped),
        }
    }
}
