//! Durations, rates, ratios and sizes, as people write them in scenarios and on the command line: parsed here, printed here.
//!
//! | unit | written | a bare number is |
//! |---|---|---|
//! | duration | `250ms` `5s` `1m30s` `12h` `2d` | seconds |
//! | [`Rate`] | `200/s` `600/m` `10/h` | per second |
//! | [`Ratio`] | `1%` `0.01` | the ratio itself |
//! | size | `64KiB` `10MiB` `1.5GB` | bytes |
//!
//! A [`Quantity`] says which of them a figure of a run is, and prints it.
//!
//! Every parser answers with a sentence that says what was wrong and what would be right.

use std::fmt;
use std::time::Duration;

/// How often something happens, in events per second; never negative, always finite.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Rate(f64);

/// A share of a whole, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Ratio(f64);

/// What a figure of a run is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    Seconds,
    /// A share, from 0 to 1.
    Ratio,
    PerSecond,
    Count,
    /// How many times as much as something else.
    Factor,
}

/// The longest duration that is accepted: ten years. Longer ones are a slip of the pen.
pub const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

// === durations ===

const DURATION_UNITS: &[(&str, f64)] = &[
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("min", 60.0),
    ("h", 3600.0),
    ("d", 86400.0),
];

/// Reads `1m30s`, `250ms` or a bare number of seconds.
///
/// # Errors
/// A sentence for the user: not a duration, an unknown unit, negative, or longer than [`LONGEST`].
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let wrong = || format!("`{text}` is not a duration; write `250ms`, `5s`, `1m30s` or `12h`");
    if text.starts_with('-') {
        return Err(format!("a duration cannot be negative, but this is `{text}`"));
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return duration_from_seconds(seconds);
    }
    let (mut rest, mut seconds) = (text, 0.0);
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| c.is_ascii_digit() || c == ' ').unwrap_or(rest.len());
        let unit = &rest[..letters];
        let Some((_, factor)) = DURATION_UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(if unit.is_empty() { wrong() } else { format!("`{unit}` is not a unit of time; use ms, s, m, h or d") });
        };
        seconds += number * factor;
        rest = rest[letters..].trim_start();
    }
    duration_from_seconds(seconds)
}

/// A number of seconds as a duration.
///
/// # Errors
/// A sentence for the user when it is negative, not finite, or longer than [`LONGEST`].
pub fn duration_from_seconds(seconds: f64) -> Result<Duration, String> {
    if seconds < 0.0 {
        return Err(format!("a duration cannot be negative, but this is `{seconds}`"));
    }
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        _ => Err(format!("`{seconds}` seconds is longer than the ten years that are allowed")),
    }
}

/// Prints a duration the way it would be written: `1m30s`, `250ms`, `5s`; at most the two largest units.
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let fraction = |unit: u128, name: &str| {
        let text = format!("{:.3}", nanos as f64 / unit as f64);
        format!("{}{name}", text.trim_end_matches('0').trim_end_matches('.'))
    };
    match nanos {
        0 => "0s".to_owned(),
        1..1_000_000 => fraction(1_000, "µs"),
        1_000_000..1_000_000_000 => fraction(1_000_000, "ms"),
        1_000_000_000..60_000_000_000 => fraction(1_000_000_000, "s"),
        _ => {
            let seconds = (nanos + 500_000_000) / 1_000_000_000;
            let parts = [(seconds / 86400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
            let first = parts.iter().position(|(n, _)| *n > 0).unwrap_or(3);
            parts[first..].iter().take(2).filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect()
        }
    }
}

// === Rate ===

impl Rate {
    /// A rate of `per_second` events a second; `None` when negative or not finite.
    pub fn try_new(per_second: f64) -> Option<Self> {
        (per_second.is_finite() && per_second >= 0.0).then_some(Self(per_second))
    }

    /// Events per second.
    pub fn per_second(self) -> f64 {
        self.0
    }

    /// Reads `200/s`, `600/m`, `10/h` or a bare number per second.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a rate; write `200/s`, `600/m` or a number per second");
        let (number, unit) = text.split_once('/').map_or((text, "s"), |(number, unit)| (number, unit.trim()));
        let seconds = match unit {
            "s" | "sec" | "second" => 1.0,
            "m" | "min" | "minute" => 60.0,
            "h" | "hour" => 3600.0,
            _ => return Err(wrong()),
        };
        let number: f64 = number.trim().parse().map_err(|_| wrong())?;
        if number < 0.0 {
            return Err(format!("a rate cannot be negative, but this is `{text}`"));
        }
        Self::try_new(number / seconds).ok_or_else(wrong)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = match self.0 {
            r if r == 0.0 || r >= 1.0 => (r, "s"),
            r if r * 60.0 >= 1.0 => (r * 60.0, "m"),
            r => (r * 3600.0, "h"),
        };
        if number > 0.0 && number < 0.001 {
            return write!(f, "{number:e}/{unit}");
        }
        let text = format!("{number:.3}");
        write!(f, "{}/{unit}", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

// === Ratio ===

impl Ratio {
    pub const THOUSANDTH: Self = Self(0.001);
    pub const HUNDREDTH: Self = Self(0.01);
    pub const TENTH: Self = Self(0.1);
    pub const NINE_TENTHS: Self = Self(0.9);

    /// A ratio; `None` outside 0 to 1.
    pub fn try_new(ratio: f64) -> Option<Self> {
        (0.0..=1.0).contains(&ratio).then_some(Self(ratio))
    }

    /// From 0 to 1.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Reads `1%` or `0.01`.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (number, scale) = text.trim().strip_suffix('%').map_or((text.trim(), 1.0), |number| (number.trim(), 100.0));
        let number: f64 = number.parse().map_err(|_| format!("`{text}` is not a ratio; write `1%` or `0.01`"))?;
        Self::try_new(number / scale).ok_or_else(|| format!("a ratio lies between 0 and 1 (0% and 100%), but this is `{text}`"))
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.3}", self.0 * 100.0);
        write!(f, "{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

// === Quantity ===

impl Quantity {
    pub const ALL: [Self; 5] = [Self::Seconds, Self::Ratio, Self::PerSecond, Self::Count, Self::Factor];

    /// As files name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Ratio => "ratio",
            Self::PerSecond => "per_second",
            Self::Count => "count",
            Self::Factor => "factor",
        }
    }

    /// A figure as people read it: `12.5ms`, `0.14%`, `99.5/s`, `1000`, `1.07x`.
    pub fn format(self, figure: f64) -> String {
        let short = |number: f64, digits: usize| {
            let text = format!("{number:.digits$}");
            if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
        };
        match self {
            Self::Seconds => duration_from_seconds(figure).map_or_else(|_| format!("{figure}s"), format_duration),
            Self::Ratio => format!("{}%", short(figure * 100.0, 3)),
            Self::PerSecond => format!("{}/s", short(figure, 3)),
            Self::Count => short(figure, 0),
            Self::Factor => format!("{}x", short(figure, 3)),
        }
    }
}

// === sizes ===

const SIZE_UNITS: &[(&str, f64)] = &[
    ("", 1.0),
    ("B", 1.0),
    ("kB", 1e3),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("KiB", 1024.0),
    ("MiB", 1024.0 * 1024.0),
    ("GiB", 1024.0 * 1024.0 * 1024.0),
];

/// Reads `64KiB`, `10MiB`, `1.5GB` or a bare number of bytes.
///
/// # Errors
/// A sentence for the user.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let wrong = || format!("`{text}` is not a size; write `64KiB`, `10MiB` or a number of bytes");
    if text.starts_with('-') {
        return Err(format!("a size cannot be negative, but this is `{text}`"));
    }
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit = text[digits..].trim();
    let (_, factor) = SIZE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    let bytes = number * factor;
    // 2^53: beyond it a float no longer counts single bytes.
    if bytes <= 9_007_199_254_740_992.0 { Ok(bytes as u64) } else { Err(wrong()) }
}

/// Prints a size in the largest binary unit that keeps it at least 1: `64KiB`, `1.5MiB`.
pub fn format_size(bytes: u64) -> String {
    let (mut number, mut unit) = (bytes as f64, "B");
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if number < 1024.0 {
            break;
        }
        (number, unit) = (number / 1024.0, next);
    }
    let text = format!("{number:.1}");
    format!("{}{unit}", text.strip_suffix(".0").unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_written() {
        for (text, millis) in [
            ("250ms", 250.0),
            ("5s", 5000.0),
            ("1m30s", 90_000.0),
            ("12h", 43_200_000.0),
            ("1h 5m", 3_900_000.0),
            ("5", 5000.0),
            ("0.5", 500.0),
            ("1.5s", 1500.0),
            ("0", 0.0),
            ("2d", 172_800_000.0),
            ("10us", 0.01),
        ] {
            let got = parse_duration(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert!((got.as_secs_f64() * 1e3 - millis).abs() < 1e-9, "{text} gave {got:?}");
        }
    }

    #[test]
    fn durations_that_are_none_say_why() {
        for (text, part) in [
            ("", "is not a duration"),
            ("soon", "is not a duration"),
            ("5 parsecs", "`parsecs` is not a unit of time"),
            ("-1s", "cannot be negative"),
            ("-3", "cannot be negative"),
            ("1e99", "ten years"),
            ("99999d", "ten years"),
            ("5s3", "is not a duration"),
        ] {
            let error = parse_duration(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn durations_print_as_they_are_written() {
        for text in ["0s", "250ms", "1.5ms", "5s", "1.25s", "1m30s", "12h", "1h5m", "2d", "10µs"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
        assert_eq!(format_duration(Duration::from_secs(3 * 3600 + 59 * 60 + 59)), "3h59m");
    }

    #[test]
    fn rates() {
        for (text, per_second) in [("200/s", 200.0), ("600/m", 10.0), ("36/h", 0.01), ("7", 7.0), ("0.5", 0.5), ("5 / s", 5.0)] {
            assert!((Rate::parse(text).unwrap().per_second() - per_second).abs() < 1e-12, "{text}");
        }
        assert!(Rate::parse("-1/s").unwrap_err().contains("negative"));
        for text in ["", "fast", "5/parsec", "NaN", "inf"] {
            assert!(Rate::parse(text).unwrap_err().contains("is not a rate"), "{text}");
        }
        assert_eq!(Rate::parse("500/s").unwrap().to_string(), "500/s");
        assert_eq!(Rate::parse("30/m").unwrap().to_string(), "30/m");
    }

    #[test]
    fn ratios() {
        assert_eq!(Ratio::parse("1%").unwrap().get(), 0.01);
        assert_eq!(Ratio::parse("0.25").unwrap().to_string(), "25%");
        assert!(Ratio::parse("120%").unwrap_err().contains("between 0 and 1"));
        assert!(Ratio::parse("some").unwrap_err().contains("is not a ratio"));
    }

    #[test]
    fn figures_are_printed_with_their_units() {
        for (quantity, figure, text) in [
            (Quantity::Seconds, 0.012_345_6, "12.346ms"),
            (Quantity::Seconds, f64::INFINITY, "infs"),
            (Quantity::Ratio, 0.0625, "6.25%"),
            (Quantity::Ratio, 0.0, "0%"),
            (Quantity::Ratio, 1.0, "100%"),
            (Quantity::PerSecond, 99.5, "99.5/s"),
            (Quantity::Count, 1000.0, "1000"),
            (Quantity::Factor, 1.0666, "1.067x"),
        ] {
            assert_eq!(quantity.format(figure), text);
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("64KiB", 65536), ("10MiB", 10 << 20), ("1.5GB", 1_500_000_000), ("17", 17), ("0", 0), ("2 kB", 2000)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "big", "5 barrels", "1e3", "99999999999GiB"] {
            assert!(parse_size(text).unwrap_err().contains("is not a size"), "{text}");
        }
        assert_eq!(format_size(65536), "64KiB");
        assert_eq!(format_size(1536), "1.5KiB");
        assert_eq!(format_size(5), "5B");
    }
}
