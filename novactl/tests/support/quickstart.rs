//! The quickstart's manifests, complete without `make run` having made their Secret.

use std::{fs, path::Path};

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

/// A folder of its own with every file in it.
pub fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in manifests() {
        fs::write(folder.path().join(name), text).expect("the folder is writable");
    }
    folder
}

/// Name and text of every file.
pub fn manifests() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/quickstart/manifests");
    let mut files = vec![("secret.yaml".to_owned(), secret())];
    for entry in fs::read_dir(folder).expect("manifests") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "yaml") {
            let name = path.file_name().expect("a file has a name");
            let text = fs::read_to_string(&path).expect("text");
            files.push((name.to_string_lossy().into_owned(), text));
        }
    }
    files
}

fn secret() -> String {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["*.example.com".to_owned()]).expect("parameters");
    let certificate = params.self_signed(&key).expect("a certificate").pem();
    let indented = |pem: &str| format!("    {}\n", pem.trim_end().replace('\n', "\n    "));
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: example-com-tls}}\ntype: kubernetes.io/tls\n\
         stringData:\n  tls.crt: |\n{}  tls.key: |\n{}",
        indented(&certificate),
        indented(&key.serialize_pem())
    )
}
