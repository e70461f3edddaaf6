//! Who sends: the resource and the scope of every message.

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::attribute::{pairs, text};
use crate::export::otlp::settings::Identity;
use crate::measure::snapshot::RunInfo;

/// The semantic conventions that names of attributes follow.
pub(super) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.37.0";

/// What the resource says of the run itself, and no setting may change.
const OWN: [&str; 3] = ["service.name", "service.version", "service.instance.id"];

/// The run as a service. There is no `telemetry.sdk.*`: the messages are our own, not those of an SDK.
pub(super) fn resource(run: &RunInfo, identity: &Identity) -> Resource {
    let own = [&identity.service_name, &run.version, &run.run_id];
    let mut attributes: Vec<_> = OWN.iter().zip(own).map(|(key, value)| text(key, value.as_str())).collect();
    for (at, (key, value)) in identity.attributes.iter().enumerate() {
        // Keys have to be unique; of two with the same key the later one counts.
        let again = identity.attributes[at + 1..].iter().any(|(later, _)| later == key);
        if !again && !OWN.contains(&key.as_str()) {
            attributes.push(text(key, value.as_str()));
        }
    }
    Resource { attributes: pairs(attributes), ..Resource::default() }
}

pub(super) fn scope(run: &RunInfo) -> InstrumentationScope {
    InstrumentationScope { name: "otload".to_owned(), version: run.version.clone(), ..InstrumentationScope::default() }
}

#[cfg(test)]
mod tests {
    use super::super::attribute::shown;
    use super::*;
    use crate::measure::snapshot::tests::facts;

    #[test]
    fn the_run_is_a_service() {
        let run = facts().run;
        let wanted = |name: &str| {
            vec![
                ("service.name", format!("{name:?}")),
                ("service.version", "\"0.1.0\"".to_owned()),
                ("service.instance.id", "\"r1\"".to_owned()),
            ]
        };
        assert_eq!(shown(&resource(&run, &Identity::default()).attributes), wanted("otload"));

        let pairs = [
            ("deployment.environment.name", "dev"),
            ("service.name", "other"),
            ("service.namespace", "shop"),
            ("service.version", "9"),
            ("service.instance.id", "i"),
            ("deployment.environment.name", "staging"),
        ];
        let attributes = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        let resource = resource(&run, &Identity { service_name: "cars-load".into(), attributes });
        let mut all = wanted("cars-load");
        all.push(("service.namespace", "\"shop\"".to_owned()));
        all.push(("deployment.environment.name", "\"staging\"".to_owned()));
        assert_eq!(shown(&resource.attributes), all);
        assert_eq!(resource.dropped_attributes_count, 0);
    }

    #[test]
    fn the_scope_is_otload() {
        let scope = scope(&facts().run);
        assert_eq!((scope.name.as_str(), scope.version.as_str(), scope.attributes.len()), ("otload", "0.1.0", 0));
    }
}
