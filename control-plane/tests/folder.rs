//! The folder source on real files: what each way to save them comes to.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a harness may panic

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use novaedge_api::meta::ObjectId;
use novaedge_control_plane::{
    folder::{FolderSource, Watch},
    problem::Problem,
    source::{Batch, Source as _},
};
use novaedge_store::Change;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Long enough for a change to come, and for one that must not come to show.
const LONG: Duration = Duration::from_secs(10);
const QUIET: Duration = Duration::from_millis(150);

/// A source that runs, and what it has told so far.
struct Folder {
    files: TempDir,
    batches: mpsc::Receiver<Batch>,
    /// Port of the backend of each route.
    routes: BTreeMap<String, u64>,
    problems: BTreeMap<String, Vec<Problem>>,
    _shutdown: tokio_util::sync::DropGuard,
}

impl Folder {
    async fn start(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let shutdown = CancellationToken::new();
        let (sender, batches) = mpsc::channel(16);
        let source = FolderSource::new(folder.path(), Watch::Yes);
        let source = source.without(folder.path().join("state"));
        tokio::spawn(source.run(sender, shutdown.clone()));
        let mut folder = Self {
            files: folder,
            batches,
            routes: BTreeMap::new(),
            problems: BTreeMap::new(),
            _shutdown: shutdown.drop_guard(),
        };
        folder.next().await;
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Puts two manifests into a hidden folder and leads the links there, as a ConfigMap is mounted.
    fn mount(&self, generation: &str, port: u16) {
        let data = self.path(generation);
        fs::create_dir(&data).unwrap();
        fs::write(data.join("a.yaml"), route("a", port)).unwrap();
        fs::write(data.join("b.yaml"), route("b", port)).unwrap();
        symlink(generation, self.path("..data_tmp")).unwrap();
        fs::rename(self.path("..data_tmp"), self.path("..data")).unwrap();
    }

    /// Takes in the next batch.
    async fn next(&mut self) -> Batch {
        let batch = tokio::time::timeout(LONG, self.batches.recv()).await;
        let batch = batch.expect("a batch in time").expect("a source");
        for change in &batch.changes {
            match change {
                Change::Upsert(object) => {
                    let value = object.to_value().unwrap();
                    let port = &value["spec"]["rules"][0]["backendRefs"][0]["port"];
                    self.routes
                        .insert(name(&object.id()), port.as_u64().unwrap());
                }
                Change::Delete(id) => {
                    self.routes.remove(&name(id)).expect("only what was there");
                }
            }
        }
        for (file, problems) in &batch.problems {
            self.problems.insert(file.clone(), problems.clone());
        }
        self.problems.retain(|_, problems| !problems.is_empty());
        batch
    }

    /// Waits until the routes are these.
    async fn until(&mut self, routes: &[(&str, u64)]) {
        let expect: BTreeMap<_, _> = routes.iter().map(|(n, p)| ((*n).to_owned(), *p)).collect();
        while self.routes != expect {
            self.next().await;
        }
    }

    /// Makes sure that nothing comes.
    async fn nothing(&mut self) {
        let batch = tokio::time::timeout(QUIET, self.batches.recv()).await;
        assert!(batch.is_err(), "{batch:?}");
    }

    /// Waits until the problems of `file` are for this reason; none: until there are none.
    async fn until_problem(&mut self, file: &str, reason: Option<&str>) {
        loop {
            let found = self
                .problems
                .get(file)
                .and_then(|problems| problems.first());
            if found.map(|problem| problem.reason.as_str()) == reason {
                return;
            }
            self.next().await;
        }
    }
}

fn name(id: &ObjectId) -> String {
    id.key.name.clone()
}

fn route(name: &str, port: u16) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\n\
         spec:\n  rules:\n  - backendRefs: [{{name: a, port: {port}}}]\n---\n"
    )
}

fn rename_over(path: &Path, text: &str) {
    let temporary = path.with_file_name(".new.tmp");
    fs::write(&temporary, text).unwrap();
    fs::rename(temporary, path).unwrap();
}

#[tokio::test]
async fn a_save_by_rename_is_read_at_once() {
    let mut folder = Folder::start(&[("a.yaml", &route("a", 1))]).await;
    let mut times = Vec::new();
    for port in 2..12 {
        let start = Instant::now();
        rename_over(&folder.path("a.yaml"), &route("a", port));
        folder.until(&[("a", port.into())]).await;
        times.push(start.elapsed());
    }
    // The fastest tells whether anything waits; the others tell how busy the machine is.
    let fastest = times.iter().min().unwrap();
    assert!(*fastest < Duration::from_millis(20), "{times:?}");
}

#[tokio::test]
async fn a_save_in_place_is_read_at_its_close() {
    let mut folder = Folder::start(&[("a.yaml", &route("a", 1))]).await;
    let mut times = Vec::new();
    for port in 2..12 {
        let start = Instant::now();
        folder.write("a.yaml", &route("a", port));
        folder.until(&[("a", port.into())]).await;
        times.push(start.elapsed());
    }
    // The fastest tells whether anything waits; the others tell how busy the machine is.
    let fastest = times.iter().min().unwrap();
    assert!(*fastest < Duration::from_millis(20), "{times:?}");
}

#[tokio::test]
async fn half_a_save_that_parses_deletes_nothing() {
    let both = route("a", 1) + &route("b", 1);
    let mut folder = Folder::start(&[("a.yaml", &both)]).await;
    let mut file = File::create(folder.path("a.yaml")).unwrap();
    folder.nothing().await;
    file.write_all(route("a", 2).as_bytes()).unwrap();
    folder.nothing().await;
    file.write_all(route("b", 2).as_bytes()).unwrap();
    drop(file);
    let batch = folder.next().await;
    assert_eq!(batch.changes.len(), 2);
    folder.until(&[("a", 2), ("b", 2)]).await;
}

#[tokio::test]
async fn half_a_file_that_does_not_parse_is_named_and_heals() {
    let mut folder = Folder::start(&[("a.yaml", &route("a", 1))]).await;
    let text = route("a", 2);
    let half = text.find("port:").unwrap();
    folder.write("a.yaml", &text[..half]);
    folder.until_problem("a.yaml", Some("Syntax")).await;
    folder.write("a.yaml", &route("a", 2));
    folder.until(&[("a", 2)]).await;
    folder.until_problem("a.yaml", None).await;
}

#[tokio::test]
async fn a_file_that_is_emptied_and_written_again_was_never_empty() {
    let mut folder = Folder::start(&[("a.yaml", &route("a", 1))]).await;
    folder.write("a.yaml", "");
    tokio::time::sleep(Duration::from_millis(5)).await;
    folder.write("a.yaml", &route("a", 2));
    assert_eq!(folder.next().await.changes.len(), 1);
    folder.until(&[("a", 2)]).await;
    folder.write("a.yaml", "");
    folder.until(&[]).await;
}

#[tokio::test]
async fn a_file_that_is_moved_away_and_written_anew_was_never_gone() {
    let mut folder = Folder::start(&[("a.yaml", &route("a", 1))]).await;
    fs::rename(folder.path("a.yaml"), folder.path("a.yaml~")).unwrap();
    let mut file = File::create(folder.path("a.yaml")).unwrap();
    folder.nothing().await;
    file.write_all(route("a", 2).as_bytes()).unwrap();
    drop(file);
    fs::remove_file(folder.path("a.yaml~")).unwrap();
    assert_eq!(folder.next().await.changes.len(), 1);
    folder.until(&[("a", 2)]).await;
    folder.nothing().await;
}

#[tokio::test]
async fn a_writer_that_never_closes_is_read_when_it_rests() {
    let mut folder = Folder::start(&[]).await;
    let mut file = File::create(folder.path("a.yaml")).unwrap();
    file.write_all(route("a", 1).as_bytes()).unwrap();
    folder.until(&[("a", 1)]).await;
    drop(file);
}

#[tokio::test]
async fn a_file_that_is_deleted_takes_its_objects_along() {
    let mut folder = Folder::start(&[("a.yaml", &route("a", 1)), ("b.json", "")]).await;
    fs::remove_file(folder.path("a.yaml")).unwrap();
    folder.until(&[]).await;
}

#[tokio::test]
async fn a_file_that_gets_another_name_changes_no_object() {
    let mut folder = Folder::start(&[("a.yaml", &route("a", 1))]).await;
    fs::rename(folder.path("a.yaml"), folder.path("b.yaml")).unwrap();
    folder.nothing().await;
    folder.write("b.yaml", &route("a", 2));
    folder.until(&[("a", 2)]).await;
}

#[tokio::test]
async fn a_swapped_config_map_is_one_change() {
    let mut folder = Folder::start(&[]).await;
    folder.mount("..2026_1", 1);
    symlink("..data/a.yaml", folder.path("a.yaml")).unwrap();
    symlink("..data/b.yaml", folder.path("b.yaml")).unwrap();
    let path = folder.path("..2026_1");
    folder.mount("..2026_2", 2);
    fs::remove_dir_all(path).unwrap();
    folder.until(&[("a", 2), ("b", 2)]).await;
    folder.mount("..2026_3", 3);
    assert_eq!(folder.next().await.changes.len(), 2);
    folder.until(&[("a", 3), ("b", 3)]).await;
}

#[tokio::test]
async fn the_target_of_a_link_is_watched_as_well() {
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("target");
    fs::write(&target, route("a", 1)).unwrap();
    let mut folder = Folder::start(&[]).await;
    symlink(&target, folder.path("a.yaml")).unwrap();
    folder.until(&[("a", 1)]).await;
    for port in 2..6 {
        rename_over(&target, &route("a", port));
        folder.until(&[("a", port.into())]).await;
    }
    fs::write(&target, route("a", 9)).unwrap();
    folder.until(&[("a", 9)]).await;
}

#[tokio::test]
async fn two_files_with_one_object_are_told_and_the_first_is_in_force() {
    let mut folder = Folder::start(&[("b.yaml", &route("x", 2))]).await;
    folder.write("a.yaml", &route("x", 1));
    folder.until(&[("x", 1)]).await;
    folder.until_problem("b.yaml", Some("Duplicate")).await;
    fs::remove_file(folder.path("a.yaml")).unwrap();
    folder.until(&[("x", 2)]).await;
    folder.until_problem("b.yaml", None).await;
}

#[tokio::test]
async fn hidden_files_and_the_state_folder_wake_nobody() {
    let mut folder = Folder::start(&[
        ("a.yaml", &route("a", 1)),
        (".hidden/b.yaml", &route("b", 1)),
        ("state/c.yaml", &route("c", 1)),
    ])
    .await;
    folder.until(&[("a", 1)]).await;
    folder.write(".hidden/b.yaml", &route("b", 2));
    folder.write("state/c.yaml", &route("c", 2));
    folder.write(".d.yaml", &route("d", 2));
    folder.write("e.txt", &route("e", 2));
    folder.nothing().await;
}

#[tokio::test]
async fn junk_and_files_too_large_are_told_and_harm_no_other() {
    let mut folder = Folder::start(&[("a.yaml", &route("a", 1))]).await;
    let junk: Vec<u8> = (0..1_u32 << 20)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    fs::write(folder.path("junk.yaml"), junk).unwrap();
    folder.until_problem("junk.yaml", Some("Unreadable")).await;
    folder.write("text.yaml", &"[{: &a *a ".repeat(100_000));
    folder.until_problem("text.yaml", Some("Syntax")).await;
    folder.write("text.yaml", &"[".repeat(1 << 20));
    let large = File::create(folder.path("large.json")).unwrap();
    large.set_len(9 << 20).unwrap();
    drop(large);
    folder.until_problem("large.json", Some("TooLarge")).await;
    folder.write("a.yaml", &route("a", 2));
    folder.until(&[("a", 2)]).await;
}

#[tokio::test]
async fn a_folder_that_moves_takes_its_files_along() {
    let text = route("a", 1);
    let mut folder = Folder::start(&[("x/y/a.yaml", &text), ("x/b.yaml", &route("b", 1))]).await;
    fs::rename(folder.path("x"), folder.path("z")).unwrap();
    folder.nothing().await;
    folder.write("z/y/a.yaml", &route("a", 2));
    folder.until(&[("a", 2), ("b", 1)]).await;
    fs::create_dir_all(folder.path("new/deep")).unwrap();
    folder.write("new/deep/c.yaml", &route("c", 1));
    folder.until(&[("a", 2), ("b", 1), ("c", 1)]).await;
    fs::remove_dir_all(folder.path("z")).unwrap();
    folder.until(&[("c", 1)]).await;
    folder.write("new/deep/c.yaml", &route("c", 2));
    folder.until(&[("c", 2)]).await;
}

#[tokio::test]
async fn a_folder_that_vanishes_as_a_whole_keeps_its_objects() {
    let outer = tempfile::tempdir().unwrap();
    let mut folder = Folder::start(&[("a.yaml", &route("a", 1)), ("b.yaml", &route("b", 1))]).await;
    let root = folder.path("");
    fs::rename(&root, outer.path().join("away")).unwrap();
    folder.until_problem(".", Some("Unreadable")).await;
    folder.nothing().await;
    fs::create_dir(&root).unwrap();
    folder.write("a.yaml", &route("a", 2));
    folder.until(&[("a", 2)]).await;
    folder.until_problem(".", None).await;
    folder.write("a.yaml", &route("a", 3));
    folder.until(&[("a", 3)]).await;
}

#[tokio::test]
async fn many_files_at_once_all_arrive() {
    let mut folder = Folder::start(&[]).await;
    let names: Vec<String> = (0..1_000).map(|n| format!("r{n}")).collect();
    for name in &names {
        folder.write(&format!("{name}.yaml"), &route(name, 1));
    }
    let expect: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
    folder.until(&expect).await;
    for name in &names {
        fs::remove_file(folder.path(&format!("{name}.yaml"))).unwrap();
    }
    folder.until(&[]).await;
}

#[tokio::test]
async fn files_whose_rights_come_later_are_read_then() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut folder = Folder::start(&[("a.yaml", &route("a", 1))]).await;
    let chmod = |name: &str, mode| {
        fs::set_permissions(folder.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    chmod("a.yaml", 0o000);
    if File::open(folder.path("a.yaml")).is_ok() {
        return; // root reads everything
    }
    chmod("a.yaml", 0o600);
    folder.write("a.yaml", &route("a", 2));
    folder.until(&[("a", 2)]).await;
}

#[tokio::test]
async fn a_pipe_that_nobody_writes_to_stops_nothing() {
    let mut folder = Folder::start(&[("a.yaml", &route("a", 1))]).await;
    let pipe = std::process::Command::new("mkfifo")
        .args([folder.path("b.yaml"), folder.path("c.yaml")])
        .status();
    assert!(pipe.expect("mkfifo of coreutils").success());
    folder.nothing().await;
    folder.write("a.yaml", &route("a", 2));
    folder.until(&[("a", 2)]).await;
    fs::remove_file(folder.path("b.yaml")).unwrap();
    folder.write("b.yaml", &route("b", 3));
    folder.until(&[("a", 2), ("b", 3)]).await;
}
