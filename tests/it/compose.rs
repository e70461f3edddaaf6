//! What compose.yaml promises: loopback only, pinned versions, limits, and the same files as `compose/native` reads.

use std::path::PathBuf;

use serde_json::Value;

use crate::kit::root;

fn compose() -> Value {
    let text = std::fs::read_to_string(root().join("compose/compose.yaml")).unwrap();
    serde_yaml::from_str(&text).unwrap()
}

fn services(compose: &Value) -> impl Iterator<Item = (&String, &Value)> {
    compose["services"].as_object().unwrap().iter()
}

fn list<'a>(service: &'a Value, key: &str) -> Vec<&'a str> {
    service[key].as_array().into_iter().flatten().map(|one| one.as_str().unwrap()).collect()
}

#[test]
fn everything_is_published_on_loopback_alone_and_no_two_on_one_port() {
    let compose = compose();
    let mut published = Vec::new();
    for (name, service) in services(&compose) {
        for port in list(service, "ports") {
            // 127.0.0.1:${NAME_PORT:-1234}:1234
            let (host, inside) = port.rsplit_once(':').unwrap();
            let outside = host.strip_prefix("127.0.0.1:${").unwrap_or_else(|| panic!("{name} publishes {port}"));
            let (variable, default) = outside.strip_suffix('}').unwrap().split_once(":-").unwrap();
            assert!(variable.ends_with("_PORT") && default == inside, "{port}");
            published.push(default.to_owned());
        }
        assert!(service["network_mode"] != "host" && service["privileged"].is_null(), "{name}");
    }
    let count = published.len();
    published.sort();
    published.dedup();
    assert_eq!((count, published.len()), (9, 9), "{published:?}");
}

#[test]
fn services_have_a_version_limits_and_a_health_check() {
    let compose = compose();
    let mut names = Vec::new();
    for (name, service) in services(&compose) {
        let image = service["image"].as_str().unwrap();
        let tag = image.rsplit_once(':').unwrap_or_else(|| panic!("{name}: {image} has no tag")).1;
        // Their own images are built from a pinned base, and checked by their own Dockerfile.
        assert!((tag == "local") == service["build"].is_object() && tag != "latest", "{name}: {image}");
        assert!(service["build"].is_object() || tag.bytes().any(|byte| byte.is_ascii_digit()), "{name}: {image}");
        assert!(service["mem_limit"].is_string(), "{name} has no limit of memory");
        assert_eq!((list(service, "cap_drop"), list(service, "security_opt")), (vec!["ALL"], vec!["no-new-privileges:true"]));
        let checked = service["healthcheck"]["test"].is_array() || service["build"].is_object();
        // Those three cannot ask themselves, or are over at once.
        assert_eq!(checked, !["init", "tempo", "collector"].contains(&name.as_str()), "{name}");
        names.push(name.as_str());
    }
    let expected = "init otload cars-api prometheus alertmanager receiver collector tempo traces-are-ready grafana";
    assert_eq!(names.join(" "), expected);
    for dockerfile in ["Dockerfile", "examples/cars-api/Dockerfile"] {
        let text = std::fs::read_to_string(root().join(dockerfile)).unwrap();
        assert!(text.contains("\nHEALTHCHECK ") && text.contains("\nUSER 65"), "{dockerfile}");
        assert!(text.lines().filter(|line| line.starts_with("FROM ")).all(|line| line.contains(':')), "{dockerfile}");
    }
}

#[test]
fn what_is_mounted_is_there_and_volumes_are_named() {
    let compose = compose();
    let named: Vec<_> = compose["volumes"].as_object().unwrap().keys().collect();
    let mut mounted = Vec::new();
    for (name, service) in services(&compose) {
        for volume in list(service, "volumes") {
            let source = volume.split(':').next().unwrap();
            if source.starts_with('.') {
                let path: PathBuf = root().join("compose").join(source);
                assert!(path.exists() && volume.ends_with(":ro"), "{name} mounts {volume}");
            } else {
                assert!(named.iter().any(|known| *known == source), "{name} mounts {volume}");
                mounted.push(source.to_owned());
            }
        }
    }
    assert!(named.iter().all(|name| mounted.contains(name)), "{named:?} {mounted:?}");
}

#[test]
fn addresses_in_shared_files_are_those_of_services() {
    let compose = compose();
    let known: Vec<_> = services(&compose).map(|(name, _)| name.as_str()).collect();
    let address = regex::Regex::new(r"(?:://|[\[\x22 ])([a-z][a-z-]+):(\d{4,5})\b").unwrap();
    let mut seen = 0;
    for file in ["prometheus.yml", "alertmanager.yml", "collector.yaml", "scenarios/cars.yaml"]
        .map(|name| root().join("compose").join(name))
        .into_iter()
        .chain([root().join("compose/grafana/provisioning/datasources/otload.yaml")])
    {
        for found in address.captures_iter(&std::fs::read_to_string(&file).unwrap()) {
            assert!(known.contains(&&found[1]), "{}: {} is no service", file.display(), &found[1]);
            seen += 1;
        }
    }
    assert!(seen >= 14, "{seen}");
    // And `compose/native` knows those that it starts.
    let native = std::fs::read_to_string(root().join("compose/native")).unwrap();
    let ports = native.lines().find_map(|line| line.strip_prefix("PORTS = ")).unwrap();
    let ports: Value = serde_json::from_str(ports).unwrap();
    for (name, port) in ports.as_object().unwrap() {
        let published = list(&compose["services"][name], "ports");
        assert!(published[0].ends_with(&format!(":{port}")), "{name}: {port} and {published:?}");
    }
}
