//! Certificates that are made anew on every machine, so that no key is in the repository.

use std::{fs, path::Path};

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// Hosts of the quickstart.
const HOSTS: [&str; 2] = ["*.example.com", "example.com"];

/// Writes `ca.crt`, `server.crt`, `server.key` into `out` and a Secret into `secret`.
pub fn write(out: &Path, secret: &Path) -> anyhow::Result<()> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::new(Vec::<String>::new())?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca.distinguished_name
        .push(DnType::CommonName, "NovaEdge quickstart CA");
    let ca_certificate = ca.self_signed(&ca_key)?;
    let issuer = Issuer::new(ca, ca_key);

    let key = KeyPair::generate()?;
    let mut server = CertificateParams::new(HOSTS.map(str::to_owned).to_vec())?;
    server
        .distinguished_name
        .push(DnType::CommonName, "NovaEdge quickstart");
    let certificate = server.signed_by(&key, &issuer)?;

    fs::create_dir_all(out).with_context(|| format!("creating {}", out.display()))?;
    put(&out.join("ca.crt"), &ca_certificate.pem())?;
    put(&out.join("server.crt"), &certificate.pem())?;
    put(&out.join("server.key"), &key.serialize_pem())?;
    if let Some(folder) = secret.parent() {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    put(
        secret,
        &secret_yaml(&certificate.pem(), &key.serialize_pem()),
    )
}

fn put(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

fn secret_yaml(certificate: &str, key: &str) -> String {
    format!(
        "# Made by `make run`; not in version control.\n\
         apiVersion: v1\nkind: Secret\nmetadata:\n  name: example-com-tls\n\
         type: kubernetes.io/tls\nstringData:\n  tls.crt: |\n{}  tls.key: |\n{}",
        indented(certificate),
        indented(key)
    )
}

fn indented(text: &str) -> String {
    text.lines()
        .fold(String::new(), |yaml, line| yaml + "    " + line + "\n")
}
