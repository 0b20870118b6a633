//! Pages of the documentation that need no cluster do what they say. Those that need one are in `cluster_pages.rs`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use novaedge_e2e::{
    pages::{Block, ON_A_CLUSTER, Shell, blocks, page, root},
    programs,
};
use novaedge_ports::free_port;

const QUICKSTART: &str = "docs/quickstart.md";
/// Pages about a folder `DIR` that is served, with a Gateway `NAME`. What they tell of a cluster is run in
/// `cluster_pages.rs`.
const OF_A_FOLDER: [&str; 6] = [
    "README.md",
    "docs/observability.md",
    "docs/security.md",
    "docs/standalone.md",
    "docs/troubleshooting.md",
    "docs/wire-protocol.md",
];
/// The command lines of this page are run by novactl's own tests.
const OF_NOVACTL: &str = "docs/novactl.md";

/// What a reader types, at ports that are free here.
struct Reader {
    /// What stands on the page, and what is meant here.
    written: Vec<(&'static str, String)>,
    shell: Shell,
}

impl Reader {
    /// Whose pages use these ports.
    fn new(ports: &[&'static str]) -> Self {
        let (grpc, admin) = (local(), local());
        // What is left at its default on the page would meet the other tests.
        let command = format!(
            "{} \"$@\" --grpc {grpc} --admin {admin} --log error",
            programs::folder().join("novaedge").display()
        );
        let server = ("NOVACTL_SERVER", format!("http://{grpc}"));
        let mut written = vec![("127.0.0.1:18000", grpc.clone()), ("127.0.0.1:9901", admin)];
        written.extend(ports.iter().map(|port| (*port, free())));
        Self {
            written,
            shell: Shell::start(("novaedge", &command), &[server]),
        }
    }

    fn follow(&mut self, path: &str, block: &Block) {
        let mut block = block.clone();
        block.commands = self.meant(&block.commands);
        if let Some(shown) = &mut block.shown {
            shown.text = self.meant(&shown.text);
        }
        self.shell.follow(path, &block);
    }

    /// A text of the page with what is meant here.
    fn meant(&self, text: &str) -> String {
        let all = self.written.iter();
        all.fold(text.to_owned(), |text, (written, meant)| {
            text.replace(written, meant)
        })
    }
}

fn free() -> String {
    free_port().to_string()
}

fn local() -> String {
    format!("127.0.0.1:{}", free_port())
}

#[test]
fn the_quickstart_without_a_cluster_does_what_it_says() {
    let page = page(QUICKSTART);
    let (folder, _) = page.split_once(ON_A_CLUSTER).expect("both chapters");
    let mut reader = Reader::new(&["8080", "9000"]);
    let mut count = 0;
    for block in blocks(folder).iter().filter(|one| one.not_run.is_none()) {
        reader.follow(QUICKSTART, block);
        count += 1;
    }
    assert!(count >= 14, "only {count} blocks");
}

#[test]
fn pages_about_a_folder_do_what_they_say() {
    let manifest = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {{name: novaedge}}\n\
         spec: {{controllerName: novaedge.io/gateway-controller}}\n---\n\
         apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: NAME}}\nspec:\n  \
         gatewayClassName: novaedge\n  listeners: [{{name: http, protocol: HTTP, port: {}}}]\n",
        8080
    )
    .replace("NAME", "edge");
    for path in OF_A_FOLDER {
        let mut reader = Reader::new(&["8080"]);
        // The page tells how a folder is served, and then how to look at it.
        reader.written.extend([
            ("novaedge run DIR --watch\n", String::new()),
            (
                "novaedge run DIR --watch --access-log access.log\n",
                String::new(),
            ),
            ("gateway NAME", "gateway edge".to_owned()),
        ]);
        let manifest = reader.meant(&manifest);
        let folder = reader.shell.home().join("DIR");
        fs::create_dir(&folder).expect("the home is writable");
        fs::write(folder.join("gateway.yaml"), &manifest).expect("the folder is writable");
        reader
            .shell
            .run("novaedge run DIR --watch --access-log access.log &");
        reader.follow(path, &served());
        let mut blocks = blocks(&page(path));
        blocks.retain(|one| !one.needs_a_cluster());
        assert!(!blocks.is_empty(), "{path} has no commands");
        for block in blocks.iter().filter(|one| one.not_run.is_none()) {
            reader.follow(path, block);
        }
    }
}

/// Waits until the folder is served.
fn served() -> Block {
    blocks("```sh\nnovactl status -f DIR\n```\n```text\n0 to fix…\n```\n").remove(0)
}

#[test]
fn no_command_of_the_pages_is_left_out_without_a_reason() {
    let run: BTreeSet<&str> = OF_A_FOLDER
        .into_iter()
        .chain([QUICKSTART, OF_NOVACTL, "docs/kubernetes.md"])
        .collect();
    let mut left = Vec::new();
    for path in all_pages() {
        let text = page(&path);
        let blocks = blocks(&text);
        if !run.contains(path.as_str()) {
            let blocks = blocks.iter().filter(|one| one.not_run.is_none());
            left.extend(blocks.map(|one| format!("{path}:{}: {}", one.line, one.commands)));
        }
    }
    assert!(
        left.is_empty(),
        "say why with <!-- not run: REASON -->: {left:#?}"
    );
}

/// Every page of the repository.
fn all_pages() -> Vec<String> {
    let root = root();
    let mut folders = vec![PathBuf::new()];
    let mut pages = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type().expect("a type");
            let path = folder.join(&name);
            if kind.is_dir() && !name.starts_with('.') && name != "target" {
                folders.push(path);
            } else if Path::new(&name).extension().is_some_and(|end| end == "md") {
                pages.push(path.to_string_lossy().into_owned());
            }
        }
    }
    assert!(pages.len() >= 20, "only {}", pages.len());
    pages
}
