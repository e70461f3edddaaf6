//! OpenMetrics 1.0 text: the samples of 0.0.4, but a counter's family has no `_total`, units are told, buckets have
//! exemplars, and the end is marked.

use super::text::Lines;
use crate::export::families::Exposition;
use crate::measure::name::Unit;

/// Everything as OpenMetrics 1.0.
pub(super) fn write(exposition: &Exposition<'_>) -> String {
    let mut lines = Lines::new(exposition).with_exemplars();
    for family in &exposition.families {
        let (metric, name) = (family.metric, family.metric.family());
        lines.push(&["# HELP ", name, " ", metric.help, "\n# TYPE ", name, " ", metric.kind.name(), "\n"]);
        if metric.unit != Unit::None {
            lines.push(&["# UNIT ", name, " ", metric.unit.name(), "\n"]);
        }
        lines.family(family);
    }
    lines.push(&["# EOF\n"]);
    lines.out
}
