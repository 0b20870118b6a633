//! Runs every case below `tests/golden`: `<area>/<name>.yaml` is what a user writes, with the rule of
//! the specification in its first line, and `<name>.out.yaml` is what it comes to.
//! `UPDATE_GOLDEN=1` writes the outputs; read each one before you commit it.
//!
//! Comment lines of a case set its scene:
//! `# mode: standalone` (else a cluster), `# crds: v1.3.0` (bundle versions found),
//! `# fleet: none` (no agent has acknowledged anything), `# fleet: addresses 192.0.2.1 ...`,
//! `# fleet: generation 3` (acknowledged so far), `# fleet: rejects LISTENER ERROR`,
//! `# fleet: exhausted LISTENER ERROR` (no local port is left for it),
//! `# rejects: KIND/NAMESPACE/NAME INDEX ERROR` (a rule that agents cannot serve),
//! `# clock: 4102444800` (seconds since 1970, else no time is told),
//! `# delete: KIND/NAMESPACE/NAME` (after everything else).

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use novaedge_api::decode::decode;
use novaedge_api::gateway::{AddressType, GatewayStatusAddress};
use novaedge_api::meta::{Kind, Object, ObjectId};
use novaedge_store::Change;
use novaedge_translate::{
    DesiredStatus, GatewayFleet, Generations, RejectedRules, TranslateConfig, Translator,
};
use serde_json::{Value, json};

#[test]
fn every_case_comes_to_its_output() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut stale = Vec::new();
    let cases = cases(&root);
    assert!(!cases.is_empty(), "no cases in {}", root.display());
    for case in cases {
        let text = fs::read_to_string(&case).unwrap();
        assert!(
            text.starts_with("# "),
            "{} must begin with the rule",
            case.display()
        );
        let output = run(&text, &case);
        let path = case.with_extension("out.yaml");
        if update {
            fs::write(&path, output).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != output {
            stale.push(format!("{}\n{output}", path.display()));
        }
    }
    assert!(
        stale.is_empty(),
        "{} differ:\n{}",
        stale.len(),
        stale.join("\n")
    );
}

fn cases(root: &Path) -> Vec<PathBuf> {
    let mut found = BTreeSet::new();
    for area in fs::read_dir(root).unwrap() {
        for case in fs::read_dir(area.unwrap().path()).unwrap() {
            let path = case.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name
                .strip_suffix(".yaml")
                .is_some_and(|name| !name.contains(".out"))
            {
                found.insert(path);
            }
        }
    }
    found.into_iter().collect()
}

fn run(text: &str, case: &Path) -> String {
    let scene = Scene::read(text);
    let objects = objects(text, case);
    let forwards = translate(&scene, objects.clone());
    let mut reversed = objects;
    reversed.reverse();
    assert_eq!(
        forwards,
        translate(&scene, reversed),
        "{}: the order of events shows",
        case.display()
    );
    serde_saphyr::to_string(&forwards).unwrap()
}

fn objects(text: &str, case: &Path) -> Vec<Object> {
    let values: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    let values = values.into_iter().filter(|value| !value.is_null());
    values
        .map(|value| decode(value).unwrap_or_else(|error| panic!("{}: {error}", case.display())))
        .collect()
}

/// What the comment lines of a case say.
#[derive(Default)]
struct Scene {
    standalone: bool,
    crds: BTreeSet<String>,
    silent: bool,
    generation: Option<i64>,
    addresses: Option<Vec<String>>,
    rejects: BTreeMap<String, String>,
    exhausted: BTreeMap<String, String>,
    deletes: Vec<String>,
    clock: Option<i64>,
    rejected_rules: RejectedRules,
}

impl Scene {
    fn read(text: &str) -> Self {
        let mut scene = Self::default();
        for line in text.lines().filter_map(|line| line.strip_prefix("# ")) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let rest = |from: usize| words.get(from..).unwrap_or_default();
            let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
            match *words {
                ["mode:", "standalone"] => scene.standalone = true,
                ["crds:", ..] => scene
                    .crds
                    .extend(rest(1).iter().map(|word| (*word).to_owned())),
                ["clock:", seconds] => scene.clock = Some(seconds.parse().unwrap()),
                ["fleet:", "none"] => scene.silent = true,
                ["fleet:", "generation", number] => scene.generation = number.parse().ok(),
                ["fleet:", "addresses", ..] => scene.addresses = Some(owned(rest(2))),
                ["fleet:", "rejects", listener, ..] => {
                    scene.rejects.insert(listener.to_owned(), rest(3).join(" "));
                }
                ["fleet:", "exhausted", listener, ..] => {
                    let why = rest(3).join(" ");
                    scene.exhausted.insert(listener.to_owned(), why);
                }
                ["rejects:", id, index, ..] => {
                    let rules = scene.rejected_rules.entry(route_id(id)).or_default();
                    rules.insert(index.parse().unwrap(), rest(3).join(" "));
                }
                ["delete:", id] => scene.deletes.push(id.to_owned()),
                _ => {}
            }
        }
        scene
    }

    fn translator(&self) -> Translator {
        let config = if self.standalone {
            TranslateConfig::standalone()
        } else {
            TranslateConfig::cluster(self.crds.clone())
        };
        Translator::new(config)
    }

    fn fleet(&self, generations: Generations) -> GatewayFleet {
        let addresses = match &self.addresses {
            Some(addresses) => addresses.clone(),
            None => vec!["192.0.2.1".to_owned()],
        };
        let addresses = addresses.into_iter().map(|value| GatewayStatusAddress {
            type_: match value.parse::<std::net::IpAddr>() {
                Ok(_) => AddressType::IpAddress,
                Err(_) => AddressType::Hostname,
            },
            value,
            ..GatewayStatusAddress::default()
        });
        GatewayFleet {
            acknowledged_generation: self.generation.or(Some(generations.gateway)),
            acknowledged_listener_sets: generations.listener_sets,
            addresses: addresses.collect(),
            rejected_listeners: self.rejects.clone(),
            exhausted_listeners: self.exhausted.clone(),
        }
    }
}

fn route_id(text: &str) -> ObjectId {
    let parts: Vec<&str> = text.split('/').collect();
    let [kind, namespace, name] = *parts else {
        panic!("{text} is no KIND/NAMESPACE/NAME");
    };
    let kind = Kind::ALL.iter().find(|known| known.as_str() == kind);
    ObjectId::new(*kind.unwrap(), namespace, name)
}

/// Translates objects one by one, and lets agents acknowledge what comes of them.
fn translate(scene: &Scene, objects: Vec<Object>) -> Value {
    let mut translator = scene.translator();
    let ids: Vec<ObjectId> = objects.iter().map(Object::id).collect();
    for object in objects {
        translator.update(vec![Change::Upsert(object)]);
    }
    for id in ids
        .iter()
        .filter(|id| scene.deletes.contains(&id.to_string()))
    {
        translator.update(vec![Change::Delete(id.clone())]);
    }
    let gateways = translator.gateways();
    let fleet = gateways.filter_map(|key| {
        let fleet = scene.fleet(translator.generations(key)?);
        (!scene.silent).then_some((key.clone(), fleet))
    });
    let fleet = fleet.collect();
    translator.set_fleet(fleet);
    translator.set_rejected_rules(scene.rejected_rules.clone());
    if let Some(clock) = scene.clock {
        translator.set_clock(clock);
    }
    shown(&translator)
}

fn shown(translator: &Translator) -> Value {
    let output = translator.output();
    let natives: Vec<Value> = output
        .natives
        .values()
        .map(|native| native.to_value().unwrap())
        .collect();
    let statuses: BTreeMap<String, Value> = output
        .statuses
        .iter()
        .map(|(id, status)| (id.to_string(), untimed(status_value(status))))
        // The usual class says the same in every case.
        .filter(|(id, _)| id != "GatewayClass/novaedge")
        .collect();
    let diagnostics: Vec<String> = output
        .diagnostics
        .values()
        .flatten()
        .map(|d| {
            let severity = d.severity.as_str();
            format!(
                "{severity} {} {}: {}: {}",
                d.object, d.field, d.reason, d.message
            )
        })
        .collect();
    json!({ "natives": natives, "statuses": statuses, "diagnostics": diagnostics })
}

fn status_value(status: &DesiredStatus) -> Value {
    match status {
        DesiredStatus::GatewayClass(status) => {
            // The features are a list of their own; see config.rs.
            let features = status.supported_features.len();
            json!({ "conditions": status.conditions, "supportedFeatures": features })
        }
        DesiredStatus::Gateway(status) => json!(status),
        DesiredStatus::ListenerSet(status) => json!(status),
        DesiredStatus::Route(parents) => json!({ "parents": parents }),
        DesiredStatus::BackendTlsPolicy(ancestors) => json!({ "ancestors": ancestors }),
        DesiredStatus::Ingress(status) => json!(status),
    }
}

/// Leaves out transition times, which are the writer's.
fn untimed(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            fields.remove("lastTransitionTime");
            for field in fields.values_mut() {
                *field = untimed(field.take());
            }
        }
        Value::Array(items) => {
            for item in items {
                *item = untimed(item.take());
            }
        }
        _ => {}
    }
    value
}
