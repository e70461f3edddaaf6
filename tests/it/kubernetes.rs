//! What of `kubernetes/` is made of other files, and what has to fit them. Its form is checked by `tests/deploy.sh`.

use std::path::PathBuf;

use serde_json::Value;

use crate::kit::root;

const HEAD: &str = "\
# Made of dashboards/rules/: UPDATE_GOLDEN=1 cargo test --test it kubernetes
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: otload
  labels: {app.kubernetes.io/name: otload}
spec:
  groups:
";

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn documents(path: &str) -> Value {
    serde_yaml::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|known| known == ending)).collect();
    files.sort();
    files
}

/// The groups of all rule files, with their comments, in one resource.
fn prometheus_rule() -> String {
    let mut text = HEAD.to_owned();
    for file in files("dashboards/rules", "yaml") {
        let whole = std::fs::read_to_string(&file).unwrap();
        let (_, groups) = whole.split_once("\ngroups:\n").unwrap_or_else(|| panic!("{} has no groups", file.display()));
        for line in groups.lines() {
            text.push_str(if line.is_empty() { "" } else { "  " });
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[test]
fn the_prometheus_rule_is_made_of_the_rules() {
    let (path, fresh) = ("kubernetes/prometheusrule.yaml", prometheus_rule());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(root().join(path), &fresh).unwrap();
    }
    assert!(read(path) == fresh, "{path} is not what dashboards/rules/ makes; UPDATE_GOLDEN=1 writes it anew");
    // What was indented as text is the same as data.
    let made: Value = serde_yaml::from_str(&fresh).unwrap();
    let groups: Vec<Value> = files("dashboards/rules", "yaml")
        .iter()
        .flat_map(|file| {
            let rules: Value = serde_yaml::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
            rules["groups"].as_array().unwrap().clone()
        })
        .collect();
    assert!(groups.len() >= 2 && made["spec"]["groups"] == Value::from(groups));
}

#[test]
fn every_dashboard_is_in_a_config_map() {
    let listed = documents("dashboards/kustomization.yaml");
    let mut named: Vec<_> = listed["configMapGenerator"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let file = one["files"][0].as_str().unwrap();
            assert_eq!(one["name"], format!("otload-dashboard-{}", file.trim_end_matches(".json")));
            file.to_owned()
        })
        .collect();
    named.sort();
    let there: Vec<_> =
        files("dashboards", "json").iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(named, there);
    assert_eq!(listed["generatorOptions"]["labels"]["grafana_dashboard"], "1");
    // The API server takes a megabyte.
    for path in files("dashboards", "json") {
        assert!(std::fs::metadata(&path).unwrap().len() < 1_000_000, "{}", path.display());
    }
}

#[test]
fn pods_are_restricted_found_by_the_monitor_and_run_what_otload_takes() {
    let monitor = documents("kubernetes/podmonitor.yaml");
    for path in ["kubernetes/deployment.yaml", "kubernetes/run-job.yaml"] {
        let template = &documents(path)["spec"]["template"];
        let (pod, container) = (&template["spec"], &template["spec"]["containers"][0]);
        for (key, value) in monitor["spec"]["selector"]["matchLabels"].as_object().unwrap() {
            assert_eq!(template["metadata"]["labels"][key], *value, "{path}");
        }
        assert_eq!(container["ports"][0]["name"], monitor["spec"]["podMetricsEndpoints"][0]["port"], "{path}");
        // What the Pod Security Standard `restricted` asks for, and more.
        assert_eq!(
            (&pod["securityContext"]["runAsNonRoot"], &pod["automountServiceAccountToken"]),
            (&true.into(), &false.into())
        );
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{path}");
        let context = &container["securityContext"];
        assert_eq!((&context["allowPrivilegeEscalation"], &context["readOnlyRootFilesystem"]), (&false.into(), &true.into()));
        assert_eq!(context["capabilities"]["drop"][0], "ALL", "{path}");
        assert!(container["resources"]["limits"]["memory"].is_string(), "{path}");
        // `--help` reads the arguments before it, and refuses those that there are not.
        let args = container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap());
        let args: Vec<_> = args.filter(|arg| !arg.contains("$(")).chain(["--help"]).collect();
        let help = crate::kit::Otload::command(&args).expect_code(0);
        assert!(help.stdout.contains("Usage: otload "), "{}", help.stdout);
        let arguments = container["args"].to_string();
        for name in ["--run-id=", "--out=/results/", "--linger=", "--users=", "--spawn-rate=", "--run-time="] {
            assert_eq!(arguments.contains(name), path.ends_with("job.yaml"), "{path}: {name}");
        }
    }
    // Whoever made the schemas of Kubernetes left out which words there are.
    let job = documents("kubernetes/run-job.yaml");
    assert_eq!((&job["spec"]["completionMode"], &job["spec"]["backoffLimitPerIndex"]), (&"Indexed".into(), &0.into()));
    assert_eq!(job["spec"]["template"]["spec"]["restartPolicy"], "Never");
    for path in ["kubernetes/scenarios/cars.yaml", "compose/scenarios/cars.yaml"] {
        let path = root().join(path).display().to_string();
        crate::kit::Otload::command(&["check", &path]).expect_code(0);
    }
}
