//! The text format 0.0.4, and the pieces that OpenMetrics shares: lines, labels, numbers.

use crate::export::families::{Exposition, Family, Series, Value};
use crate::measure::exemplar::Exemplar;
use crate::measure::histogram::Histogram;

/// Everything as text 0.0.4.
pub(super) fn write(exposition: &Exposition<'_>) -> String {
    let mut lines = Lines::new(exposition);
    for family in &exposition.families {
        let metric = family.metric;
        lines.push(&["# HELP ", metric.name, " ", metric.help, "\n# TYPE ", metric.name, " ", metric.kind.name(), "\n"]);
        lines.family(family);
    }
    lines.out
}

/// Writes samples. The labels of a series are put together once and copied for each of its lines.
pub(super) struct Lines {
    pub(super) out: String,
    /// `test="..",run_id=".."`
    constant: String,
    /// What follows the labels of a bucket, `,le="0.1"} `, for each boundary and +Inf.
    les: Vec<String>,
    /// 0.0.4 has none.
    exemplars: bool,
}

impl Lines {
    pub(super) fn new(exposition: &Exposition<'_>) -> Self {
        let mut constant = String::new();
        for (label, value) in &exposition.labels {
            push_label(&mut constant, label, value);
        }
        let bounds = exposition.boundaries.iter().copied().chain([f64::INFINITY]);
        let les = bounds.map(|bound| format!(",le=\"{}\"}} ", boundary(bound))).collect();
        // A guess that spares most of the growing: a histogram's line takes 150 to 250 bytes.
        let lines: usize = exposition.families.iter().map(|family| family.lines(exposition.boundaries.len() + 3)).sum();
        Self { out: String::with_capacity(lines * 200), constant, les, exemplars: false }
    }

    pub(super) fn with_exemplars(self) -> Self {
        Self { exemplars: true, ..self }
    }

    pub(super) fn push(&mut self, parts: &[&str]) {
        parts.iter().for_each(|part| self.out.push_str(part));
    }

    /// The samples of a family.
    pub(super) fn family(&mut self, family: &Family<'_>) {
        let name = family.metric.name;
        let mut labels = String::new();
        for series in &family.series {
            self.labels(&mut labels, family, series);
            match &series.value {
                Value::Integer(number) => {
                    self.push(&[name, "{", &labels, "} "]);
                    self.integer(u128::from(*number));
                    self.out.push('\n');
                }
                Value::Float(number) => {
                    self.push(&[name, "{", &labels, "} ", &float(*number), "\n"]);
                }
                Value::Histogram(histogram) => self.histogram(name, &labels, histogram),
            }
        }
    }

    fn labels(&self, labels: &mut String, family: &Family<'_>, series: &Series<'_>) {
        labels.clear();
        labels.push_str(&self.constant);
        for (label, value) in family.metric.labels.iter().zip(&series.values) {
            push_label(labels, label, value);
        }
    }

    fn histogram(&mut self, name: &str, labels: &str, histogram: &Histogram) {
        for (at, count) in histogram.cumulative().enumerate() {
            self.push(&[name, "_bucket{", labels]);
            if let Some(le) = self.les.get(at) {
                self.out.push_str(le);
            }
            self.integer(u128::from(count));
            if let Some(exemplar) = histogram.exemplar(at).filter(|_| self.exemplars) {
                self.exemplar(exemplar);
            }
            self.out.push('\n');
        }
        self.push(&[name, "_sum{", labels, "} "]);
        self.seconds(histogram.sum_nanos());
        self.push(&["\n", name, "_count{", labels, "} "]);
        self.integer(u128::from(histogram.count()));
        self.out.push('\n');
    }

    /// Names and values of the labels have 63 characters; OpenMetrics allows 128.
    fn exemplar(&mut self, exemplar: &Exemplar) {
        let (trace, span) = (exemplar.trace.hex(), exemplar.span.hex());
        let [trace, span] = [&trace[..], &span[..]].map(|digits| std::str::from_utf8(digits).unwrap_or_default());
        self.push(&[" # {trace_id=\"", trace, "\",span_id=\"", span, "\"} "]);
        self.seconds(u128::from(exemplar.nanos()));
        self.out.push(' ');
        self.seconds(u128::from(exemplar.at.unix_nanos()));
    }

    fn integer(&mut self, number: u128) {
        let mut digits = [0; 39];
        self.out.push_str(decimal(number, 1, &mut digits));
    }

    /// Nanoseconds as seconds: exact, by putting the point between digits.
    fn seconds(&mut self, nanos: u128) {
        self.integer(nanos / 1_000_000_000);
        let rest = nanos % 1_000_000_000;
        if rest > 0 {
            let mut digits = [0; 39];
            self.out.push('.');
            self.out.push_str(decimal(rest, 9, &mut digits).trim_end_matches('0'));
        }
    }
}

impl Family<'_> {
    fn lines(&self, of_a_histogram: usize) -> usize {
        self.series.iter().map(|series| if let Value::Histogram(_) = series.value { of_a_histogram } else { 1 }).sum::<usize>()
            + 2
    }
}

fn push_label(out: &mut String, label: &str, value: &str) {
    if !out.is_empty() {
        out.push(',');
    }
    out.push_str(label);
    out.push_str("=\"");
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A number in decimal, with at least `width` digits.
fn decimal(mut number: u128, width: usize, digits: &mut [u8; 39]) -> &str {
    let mut at = digits.len();
    while at > 0 && (number > 0 || digits.len() - at < width) {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        // Division of 64 bits is several times as fast, and nearly every number fits.
        number = u64::try_from(number).map_or_else(|_| number / 10, |small| u128::from(small / 10));
    }
    std::str::from_utf8(&digits[at..]).unwrap_or_default()
}

/// A sample's number.
fn float(number: f64) -> String {
    if number.is_finite() { number.to_string() } else { boundary(number) }
}

/// A number as `le` carries it: always recognisable as a float, and written as Go does (which protobuf's readers use), so that
/// it is the same series however it was scraped: `1.0`, `0.0025`, `1e-05`, `+Inf`.
pub(super) fn boundary(number: f64) -> String {
    if number == f64::INFINITY {
        "+Inf".to_owned()
    } else if number == f64::NEG_INFINITY {
        "-Inf".to_owned()
    } else if number.is_nan() {
        "NaN".to_owned()
    } else if number != 0.0 && !(1e-4..1e6).contains(&number.abs()) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
        format!("{digits}e{sign}{exponent:0>2}")
    } else {
        let text = number.to_string();
        if text.contains('.') { text } else { text + ".0" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_are_floats() {
        for (number, text) in [
            (1.0, "1.0"),
            (60.0, "60.0"),
            (0.0025, "0.0025"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (0.000_012_5, "1.25e-05"),
            (1e-123, "1e-123"),
            (999_999.0, "999999.0"),
            (2_500_000.0, "2.5e+06"),
            (0.0, "0.0"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(boundary(number), text);
        }
        assert_eq!((float(0.25), float(1_795_428_930.25), float(3.0)), ("0.25".into(), "1795428930.25".into(), "3".into()));
    }

    #[test]
    fn numbers_in_decimal() {
        let mut digits = [0; 39];
        for number in [0, 7, 10, 1234, u128::from(u64::MAX), u128::MAX] {
            assert_eq!(decimal(number, 1, &mut digits), number.to_string());
        }
        assert_eq!(decimal(42, 9, &mut digits), "000000042");
    }

    #[test]
    fn label_values_are_escaped() {
        let mut out = String::new();
        push_label(&mut out, "a", "back\\slash \"quote\"\nline, {brace} ü");
        push_label(&mut out, "b", "");
        assert_eq!(out, r#"a="back\\slash \"quote\"\nline, {brace} ü",b="""#);
    }
}
