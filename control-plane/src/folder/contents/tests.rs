use super::{super::file::parse, *};

const ROUTE: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: \
    {name: NAME}\nspec:\n  rules:\n  - backendRefs: [{name: a, port: 80}]\n";

fn route(name: &str) -> String {
    ROUTE.replace("NAME", name)
}

fn look(name: &str, text: &str) -> Loaded {
    Loaded {
        name: name.to_owned(),
        stamp: None,
        found: parse(name, text.as_bytes()),
    }
}

fn save(contents: &mut Contents, name: &str, text: &str) -> Batch {
    contents.apply(vec![look(name, text)])
}

#[test]
fn a_half_written_file_changes_nothing_and_is_named() {
    let mut contents = Contents::default();
    assert_eq!(save(&mut contents, "a.yaml", &route("a")).changes.len(), 1);
    let half = "apiVersion: gateway.networking.k8s.io/v1\nkind: [HTTPR";
    let batch = save(&mut contents, "a.yaml", half);
    assert!(batch.changes.is_empty());
    assert_eq!(batch.problems["a.yaml"][0].reason, "Syntax");
    let batch = save(&mut contents, "a.yaml", &route("a"));
    assert!(batch.changes.is_empty());
    assert_eq!(batch.problems["a.yaml"], []);
}

#[test]
fn a_bad_object_keeps_its_last_good_version_and_harms_no_other() {
    let mut contents = Contents::default();
    let both = format!("{}---\n{}", route("a"), route("b"));
    save(&mut contents, "a.yaml", &both);
    let bad = route("a").replace("rules:", "rulez:");
    let other = route("b").replace("port: 80", "port: 81");
    let batch = save(&mut contents, "a.yaml", &format!("{bad}---\n{other}"));
    assert_eq!(batch.changes.len(), 1, "only b changes");
    let problem = &batch.problems["a.yaml"][0];
    assert_eq!(problem.object.as_deref(), Some("HTTPRoute/default/a"));
    assert_eq!(
        (problem.field.as_str(), problem.line),
        ("spec.rulez", Some(5))
    );
    assert!(contents.has_objects("a.yaml"));
}

#[test]
fn an_object_that_nobody_can_name_lets_none_go() {
    let mut contents = Contents::default();
    let both = format!("{}---\n{}", route("a"), route("b"));
    save(&mut contents, "a.yaml", &both);
    let text = format!("{}---\napiVersion: gateway.networking.k8s.io/v", route("a"));
    let batch = save(&mut contents, "a.yaml", &text);
    assert!(batch.changes.is_empty());
    assert_eq!(batch.problems["a.yaml"][0].reason, "Invalid");
}

#[test]
fn generations_count_changes_of_content_alone() {
    let mut contents = Contents::default();
    let mut generation = |text: &str| {
        let changes = save(&mut contents, "a.yaml", text).changes;
        let Some(Change::Upsert(object)) = changes.first() else {
            panic!("{changes:?}")
        };
        object.metadata().generation
    };
    assert_eq!(generation(&route("a")), Some(1));
    assert_eq!(generation(&route("a").replace(": 80", ": 81")), Some(2));
    let labelled = route("a").replace("{name: a}", "{name: a, labels: {app: web}}");
    assert_eq!(generation(&labelled.replace(": 80", ": 81")), Some(2));
    assert_eq!(generation(&route("a").replace(": 80", ": 82")), Some(3));
}

#[test]
fn the_first_of_two_files_with_one_object_is_in_force() {
    let mut contents = Contents::default();
    let port = |batch: &Batch| match batch.changes.as_slice() {
        [Change::Upsert(object)] => {
            object.to_value().unwrap()["spec"]["rules"][0]["backendRefs"][0]["port"].as_u64()
        }
        [] => None,
        other => panic!("{other:?}"),
    };
    let other = route("x").replace(": 80", ": 81");
    assert_eq!(port(&save(&mut contents, "b.yaml", &other)), Some(81));
    let batch = save(&mut contents, "a.yaml", &route("x"));
    assert_eq!(port(&batch), Some(80));
    let problem = &batch.problems["b.yaml"][0];
    assert_eq!(problem.reason, "Duplicate");
    assert!(problem.message.starts_with("also in a.yaml"), "{problem}");
    let batch = save(&mut contents, "a.yaml", "");
    assert_eq!(port(&batch), Some(81));
    assert_eq!(batch.problems["b.yaml"], []);
}

#[test]
fn the_second_of_two_objects_in_one_file_is_named() {
    let mut contents = Contents::default();
    let text = format!("{}---\n{}", route("a"), route("a").replace(": 80", ": 81"));
    let batch = save(&mut contents, "a.yaml", &text);
    assert_eq!(batch.changes.len(), 1);
    let problem = &batch.problems["a.yaml"][0];
    assert_eq!(
        (problem.reason.as_str(), problem.line),
        ("Duplicate", Some(8))
    );
}

#[test]
fn an_object_that_moves_between_files_does_not_change() {
    let mut contents = Contents::default();
    save(&mut contents, "a.yaml", &route("a"));
    let batch = contents.apply(vec![look("a.yaml", ""), look("b.yaml", &route("a"))]);
    assert!(batch.is_empty(), "{batch:?}");
}

#[test]
fn an_edit_looks_at_no_other_file() {
    let mut contents = Contents::default();
    let many = (0..200).map(|n| look(&format!("{n}.yaml"), &route(&format!("r{n}"))));
    contents.apply(many.collect());
    let batch = save(
        &mut contents,
        "7.yaml",
        &route("r7").replace(": 80", ": 81"),
    );
    assert_eq!(batch.changes.len(), 1);
    assert!(batch.problems.is_empty());
}

#[test]
fn what_is_too_much_for_the_folder_leaves_the_file_as_it_was() {
    let mut contents = Contents::default();
    save(&mut contents, "a.yaml", &route("a"));
    contents.bytes = MAX_TOTAL_BYTES + 1;
    let batch = save(&mut contents, "b.yaml", &route("b"));
    assert!(batch.changes.is_empty());
    assert_eq!(batch.problems["b.yaml"][0].reason, "TooMany");
}

#[test]
fn problems_of_one_file_are_bounded() {
    let bad = route("a").replace("rules:", "rulez:");
    let text: Vec<String> = (0..150)
        .map(|n| bad.replace("name: a,", &format!("name: a{n},")))
        .collect();
    let mut contents = Contents::default();
    let batch = save(&mut contents, "a.yaml", &text.join("---\n"));
    let problems = &batch.problems["a.yaml"];
    assert_eq!(problems.len(), 101);
    let more = problems
        .iter()
        .find(|problem| problem.reason == "TooManyProblems");
    assert_eq!(
        more.unwrap().message,
        "50 more problems in this file: mend these first"
    );
}
