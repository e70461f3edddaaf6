//! Which form a scraper wants, by its `Accept` header.
//!
//! Prometheus 2.42 with native histograms sends
//!
//! ```text
//! application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,
//! application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,
//! text/plain;version=0.0.4;q=0.5,*/*;q=0.1
//! ```
//!
//! and 3.x adds `escaping=...` to each, which does not concern names like ours.

/// A form of `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text 0.0.4.
    Text,
    /// OpenMetrics 1.0 text.
    OpenMetrics,
    /// Delimited protobuf messages.
    Protobuf,
}

impl Format {
    pub const ALL: [Self; 3] = [Self::Text, Self::OpenMetrics, Self::Protobuf];

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
        }
    }

    /// The form that `accept` likes best, of two equals the first; text when it is absent or asks for nothing that we have.
    pub fn negotiate(accept: Option<&str>) -> Self {
        let mut best = (Self::Text, 0.0);
        for range in accept.unwrap_or_default().split(',') {
            if let Some((format, quality)) = media_range(range)
                && quality > best.1
            {
                best = (format, quality);
            }
        }
        best.0
    }
}

/// A part of the header: the form that it names, if it is one of ours, and how much it is wanted.
fn media_range(range: &str) -> Option<(Format, f64)> {
    let mut parts = range.split(';').map(str::trim);
    let media_type = parts.next()?.to_ascii_lowercase();
    let (mut quality, mut version, mut proto, mut encoding) = (1.0, None, None, None);
    for parameter in parts {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            // A quality that is no number is not worth a refusal: it counts as the least.
            "q" => quality = value.parse().ok().filter(|q| (0.0..=1.0).contains(q)).unwrap_or(0.0),
            "version" => version = Some(value),
            "proto" => proto = Some(value),
            "encoding" => encoding = Some(value),
            _ => {}
        }
    }
    let format = match media_type.as_str() {
        "application/vnd.google.protobuf" => {
            (proto == Some("io.prometheus.client.MetricFamily") && encoding == Some("delimited")).then_some(Format::Protobuf)
        }
        "application/openmetrics-text" => matches!(version, None | Some("1.0.0")).then_some(Format::OpenMetrics),
        "text/plain" => matches!(version, None | Some("0.0.4")).then_some(Format::Text),
        "text/*" | "*/*" => Some(Format::Text),
        _ => None,
    };
    format.map(|format| (format, quality))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_scrapers_send() {
        const V3: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;escaping=allow-utf-8;q=0.7,\
            application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,\
            text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        const V3_TEXT: &str =
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        const V2: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
            application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        const V2_TEXT: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, format) in [
            (V3, Format::Protobuf),
            (V3_TEXT, Format::OpenMetrics),
            (V2, Format::Protobuf),
            (V2_TEXT, Format::OpenMetrics),
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Text),
            ("text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4", Format::Text),
            ("text/plain, application/openmetrics-text", Format::Text),
            ("application/openmetrics-text; version=\"1.0.0\" ; Q=0.9, text/plain;q=0.8", Format::OpenMetrics),
            ("application/openmetrics-text;version=0.0.1", Format::Text),
            ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text", Format::Text),
            ("application/vnd.google.protobuf", Format::Text),
            ("application/openmetrics-text;q=0, text/plain;q=0.1", Format::Text),
            ("application/openmetrics-text;q=much, */*;q=0.1", Format::Text),
            ("application/openmetrics-text;q=7, */*;q=0.1", Format::Text),
            (";;=,,q", Format::Text),
        ] {
            assert_eq!(Format::negotiate(Some(accept)), format, "{accept}");
        }
        assert_eq!(Format::negotiate(None), Format::Text);
    }
}
