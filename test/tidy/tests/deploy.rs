//! What users apply fits together: names, labels, ports, accounts and flags, without a cluster or kubectl.

use std::collections::BTreeSet;
use std::fs;

use novaedge_tidy::repository_root;
use serde_json::Value;

use self::manifests::{Manifest, OVERLAYS, containers, images, pod, read, text};

#[path = "deploy/manifests.rs"]
mod manifests;
#[path = "deploy/rights.rs"]
mod rights;

/// The value of a label set in another: all pairs are there.
fn selects(selector: &Value, labels: &Value) -> bool {
    selector.as_object().is_some_and(|pairs| {
        pairs
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
    })
}

fn deployments(all: &[Manifest]) -> Vec<&Manifest> {
    let found: Vec<_> = all.iter().filter(|one| one.is("Deployment")).collect();
    assert_eq!(found.len(), 2, "control plane and agent");
    found
}

fn template_labels(deployment: &Manifest) -> &Value {
    &deployment.object["spec"]["template"]["metadata"]["labels"]
}

fn port_names(deployment: &Manifest) -> BTreeSet<&str> {
    containers(deployment)
        .flat_map(|container| container["ports"].as_array().into_iter().flatten())
        .map(|port| text(&port["name"]))
        .collect()
}

#[test]
fn kustomizations_list_what_is_there_once_and_patch_what_they_have() {
    for overlay in OVERLAYS {
        let set = read(overlay);
        let mut names = BTreeSet::new();
        for one in &set.resources {
            let name = (one.kind(), one.namespace(), one.name());
            assert!(names.insert(name), "{overlay}: {name:?} twice");
        }
        for patch in &set.patches {
            let target = set.resources.iter().find(|one| {
                (one.kind(), one.namespace(), one.name())
                    == (patch.kind(), patch.namespace(), patch.name())
            });
            let target = target.unwrap_or_else(|| panic!("{}: patches nothing", patch.file));
            let known: BTreeSet<_> = containers(target).map(|one| text(&one["name"])).collect();
            for container in containers(patch) {
                assert!(known.contains(text(&container["name"])), "{}", patch.file);
            }
        }
        for image in &set.renamed_images {
            let mut used = set.resources.iter().flat_map(images);
            assert!(
                used.any(|one| one.starts_with(&format!("{image}:"))),
                "{image}"
            );
        }
        for name in &set.replicas {
            assert!(
                deployments(&set.resources)
                    .iter()
                    .any(|one| one.name() == name)
            );
        }
    }
    manifests::every_file_is_listed();
}

#[test]
fn objects_are_in_our_namespace_and_carry_our_labels() {
    for one in read("ha").resources {
        let cluster_wide = [
            "Namespace",
            "ClusterRole",
            "ClusterRoleBinding",
            "GatewayClass",
            "IngressClass",
            "CustomResourceDefinition",
        ];
        if cluster_wide.contains(&one.kind()) {
            assert_eq!(one.namespace(), "", "{}", one.file);
        } else {
            assert_eq!(one.namespace(), "novaedge-system", "{}", one.file);
        }
        let part_of = &one.object["metadata"]["labels"]["app.kubernetes.io/part-of"];
        assert!(
            one.is("CustomResourceDefinition") || part_of == "novaedge",
            "{}",
            one.file
        );
    }
}

#[test]
fn pods_keep_to_the_restricted_standard() {
    for deployment in deployments(&read("ha").resources) {
        let pod = pod(deployment);
        let security = &pod["securityContext"];
        assert_eq!(security["runAsNonRoot"], true);
        assert_eq!(security["runAsUser"], 65532);
        assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault");
        for container in containers(deployment) {
            let security = &container["securityContext"];
            assert_eq!(security["allowPrivilegeEscalation"], false);
            assert_eq!(security["readOnlyRootFilesystem"], true);
            assert_eq!(security["capabilities"]["drop"][0], "ALL");
            assert!(container["resources"]["limits"]["memory"].is_string());
            let volumes = pod["volumes"].as_array();
            let volumes: BTreeSet<_> = volumes
                .into_iter()
                .flatten()
                .map(|one| &one["name"])
                .map(text)
                .collect();
            let mounts = container["volumeMounts"].as_array();
            let mounts: BTreeSet<_> = mounts
                .into_iter()
                .flatten()
                .map(|one| &one["name"])
                .map(text)
                .collect();
            assert_eq!(mounts, volumes, "each volume is mounted");
        }
    }
}

#[test]
fn selectors_and_ports_find_their_pods() {
    let set = read("ha").resources;
    let deployments = deployments(&set);
    let find = |selector: &Value, file: &str| {
        let found = deployments
            .iter()
            .find(|one| selects(selector, template_labels(one)));
        *found.unwrap_or_else(|| panic!("{file}: selects no pod: {selector}"))
    };
    for one in &deployments {
        let selector = &one.object["spec"]["selector"]["matchLabels"];
        assert_eq!(find(selector, &one.file).name(), one.name());
        for container in containers(one) {
            for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                let port = text(&container[probe]["httpGet"]["port"]);
                assert!(port_names(one).contains(port), "{}: {probe}", one.file);
            }
        }
    }
    for one in &set {
        let spec = &one.object["spec"];
        match one.kind() {
            "Service" => {
                let ports = port_names(find(&spec["selector"], &one.file));
                for port in spec["ports"].as_array().into_iter().flatten() {
                    assert!(ports.contains(text(&port["targetPort"])), "{}", one.file);
                }
            }
            "PodDisruptionBudget" => {
                let pods = find(&spec["selector"]["matchLabels"], &one.file);
                assert_eq!(pods.name(), one.name());
                assert_eq!(spec["maxUnavailable"], 1);
            }
            "HorizontalPodAutoscaler" => {
                let target = text(&spec["scaleTargetRef"]["name"]);
                let target = deployments.iter().find(|one| one.name() == target);
                let replicas = &target.expect("it is ours").object["spec"]["replicas"];
                assert!(
                    replicas.is_null(),
                    "applying again would undo the autoscaler"
                );
            }
            "NetworkPolicy" => {
                let ports = port_names(find(&spec["podSelector"]["matchLabels"], &one.file));
                for rule in spec["ingress"].as_array().into_iter().flatten() {
                    for from in rule["from"].as_array().into_iter().flatten() {
                        if let Some(labels) = from["podSelector"].get("matchLabels") {
                            find(labels, &one.file);
                        }
                    }
                    let named = rule["ports"].as_array().into_iter().flatten();
                    for port in named.filter_map(|port| port["port"].as_str()) {
                        assert!(ports.contains(port), "{}: {port}", one.file);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The flags and commands of a program stand in its `main.rs`, as fields and variants that clap reads.
fn check_words(program: &str, words: &[Value], file: &str) {
    let path = format!("{}/src/main.rs", program.trim_start_matches("/novaedge-"));
    let source = fs::read_to_string(repository_root().join(path)).expect("a program of ours");
    for word in words.iter().map(text) {
        let known = if let Some(flag) = word.strip_prefix("--") {
            let field = flag.split('=').next().unwrap_or_default().replace('-', "_");
            source.contains(&format!(" {field}: "))
        } else {
            let (first, rest) = word.split_at(1);
            source.contains(&format!(" {}{rest} {{", first.to_uppercase()))
        };
        assert!(known, "{file}: {program} knows no {word}");
    }
}

#[test]
fn flags_are_those_of_the_programs() {
    let mut seen = 0;
    for overlay in OVERLAYS {
        let set = read(overlay);
        for one in set.resources.iter().chain(&set.patches) {
            for container in containers(one) {
                let name = text(&container["name"]);
                let program = format!("/novaedge-{name}");
                if let Some(command) = container["command"].as_array() {
                    assert_eq!(command, &[Value::from(program.as_str())]);
                }
                if let Some(words) = container["args"].as_array() {
                    check_words(&program, words, &one.file);
                    seen += 1;
                }
                let hook = &container["lifecycle"]["preStop"]["exec"]["command"];
                if let Some([first, words @ ..]) = hook.as_array().map(Vec::as_slice) {
                    assert_eq!(text(first), program);
                    check_words(&program, words, &one.file);
                }
            }
        }
    }
    assert!(seen >= 4, "{seen}");
}

#[test]
fn the_container_file_makes_the_images_with_our_compiler() {
    let root = repository_root();
    let recipe = fs::read_to_string(root.join("Containerfile")).expect("it is there");
    let toolchain = fs::read_to_string(root.join("rust-toolchain.toml")).expect("it is there");
    let line = recipe
        .lines()
        .find_map(|line| line.strip_prefix("ARG RUST_VERSION="));
    let version = line.expect("a version of the compiler");
    assert!(
        toolchain.contains(&format!("channel = \"{version}\"")),
        "{version}"
    );
    for target in ["control-plane", "agent", "novactl", "standalone"] {
        assert!(
            recipe.contains(&format!("FROM scratch AS {target}\n")),
            "{target}"
        );
    }
    for deployment in deployments(&read("dev").resources) {
        for container in containers(deployment) {
            let entry = format!("ENTRYPOINT [\"{}\"]", text(&container["command"][0]));
            assert!(recipe.contains(&entry), "{entry}");
        }
    }
}
