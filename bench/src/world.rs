//! A generated edge as people write it: one Gateway, and as many HTTPRoutes as asked for.

use std::fmt::Write as _;

use anyhow::Context as _;
use novaedge_api::{decode::decode, meta::Object};
use novaedge_store::Change;
use serde_json::Value;

/// Header by which [`Spread::Headers`] tells routes apart.
pub const TENANT_HEADER: &str = "x-tenant";
/// Response header with the version of the route that answered.
pub const VERSION_HEADER: &str = "x-version";

/// How the routes differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Each route has a hostname of its own.
    Hosts,
    /// All share a hostname, each has a path prefix of its own.
    Paths,
    /// All share hostname and path, each wants another value of a header.
    Headers,
}

/// Where the routes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backends {
    /// Route `i` goes to a Service `s<i>`.
    Own,
    /// All go to the Service `s0`.
    Shared,
}

/// One HTTPRoute.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Its number; its name is `r<index>`.
    pub index: usize,
    /// How it differs from the others.
    pub spread: Spread,
    /// Where it goes.
    pub backends: Backends,
    /// Value of the header that it adds to answers; 0 adds none.
    pub version: u64,
    /// Share, of 100, of a second backend reference.
    pub canary: u32,
}

impl Route {
    /// A route as it is before any edit.
    pub fn new(index: usize, spread: Spread, backends: Backends) -> Self {
        Self {
            index,
            spread,
            backends,
            version: 0,
            canary: 0,
        }
    }

    /// The host that it answers.
    pub fn host(self) -> String {
        match self.spread {
            Spread::Hosts => format!("r{}.example.com", self.index),
            Spread::Paths | Spread::Headers => "www.example.com".to_owned(),
        }
    }

    /// The path prefix that it answers.
    pub fn path(self) -> String {
        match self.spread {
            Spread::Hosts | Spread::Headers => "/".to_owned(),
            Spread::Paths => format!("/p{}", self.index),
        }
    }

    /// The header value that it answers, if it asks for one.
    pub fn tenant(self) -> Option<String> {
        (self.spread == Spread::Headers).then(|| format!("t{}", self.index))
    }

    /// Its manifest.
    pub fn yaml(self) -> String {
        let mut text = format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: \
             r{}}}\nspec:\n  parentRefs: [{{name: gw}}]\n  hostnames: [{}]\n  rules:\n  - \
             matches:\n    - path: {{type: PathPrefix, value: {}}}\n",
            self.index,
            self.host(),
            self.path()
        );
        if let Some(tenant) = self.tenant() {
            let _ = writeln!(
                text,
                "      headers: [{{name: {TENANT_HEADER}, value: {tenant}}}]"
            );
        }
        if self.version > 0 {
            let _ = writeln!(
                text,
                "    filters:\n    - type: ResponseHeaderModifier\n      responseHeaderModifier: \
                 {{set: [{{name: {VERSION_HEADER}, value: \"{}\"}}]}}",
                self.version
            );
        }
        let service = match self.backends {
            Backends::Own => self.index,
            Backends::Shared => 0,
        };
        let _ = writeln!(
            text,
            "    backendRefs:\n    - {{name: s{service}, port: 80, weight: {}}}",
            100 - self.canary
        );
        if self.canary > 0 {
            let _ = writeln!(
                text,
                "    - {{name: s0, port: 80, weight: {}}}",
                self.canary
            );
        }
        text
    }
}

/// GatewayClass and Gateway `gw`, with an HTTP listener and an HTTPS listener that uses the Secret `tls`.
pub fn gateway(http: u16, https: u16) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {{name: \
         novaedge}}\nspec: {{controllerName: novaedge.io/gateway-controller}}\n---\napiVersion: \
         gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: gw}}\nspec:\n  \
         gatewayClassName: novaedge\n  addresses: [{{type: IPAddress, value: 127.0.0.1}}]\n  \
         listeners:\n  - {{name: http, protocol: HTTP, port: {http}}}\n  - name: https\n    \
         protocol: HTTPS\n    port: {https}\n    tls: {{certificateRefs: [{{name: tls}}]}}\n"
    )
}

/// The Secret `tls`.
pub fn secret(certificate_pem: &str, key_pem: &str) -> String {
    let indented = |pem: &str| -> String {
        let lines = pem.lines().map(|line| format!("    {line}\n"));
        lines.collect()
    };
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: tls}}\ntype: \
         kubernetes.io/tls\nstringData:\n  tls.crt: |\n{}  tls.key: |\n{}",
        indented(certificate_pem),
        indented(key_pem)
    )
}

/// The Service `s<index>`.
pub fn service(index: usize) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: s{index}}}\nspec:\n  ports: [{{name: \
         http, port: 80}}]\n"
    )
}

/// The EndpointSlice of the Service `s<index>` with one endpoint.
pub fn endpoints(index: usize, address: std::net::SocketAddr) -> String {
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: s{index}\n  \
         labels: {{kubernetes.io/service-name: s{index}}}\naddressType: IPv4\nports: [{{name: \
         http, port: {}}}]\nendpoints: [{{addresses: [\"{}\"]}}]\n",
        address.port(),
        address.ip()
    )
}

/// Decodes one manifest.
pub fn object(yaml: &str) -> anyhow::Result<Object> {
    let value: Value = serde_saphyr::from_str(yaml).context("reading YAML")?;
    Ok(decode(value)?)
}

/// The changes that bring the objects of manifests separated by `---`.
pub fn changes<'a>(yaml: impl IntoIterator<Item = &'a str>) -> anyhow::Result<Vec<Change>> {
    // PEM has lines that end in dashes too, but none that begin and end so.
    let documents = yaml.into_iter().flat_map(|text| text.split("\n---\n"));
    documents
        .map(|text| Ok(Change::Upsert(object(text)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a panic is how a test fails

    use novaedge_api::validate::validate;

    use super::*;

    #[test]
    fn every_manifest_is_valid() {
        let mut texts = vec![
            service(1),
            endpoints(1, "127.0.0.1:80".parse().unwrap()),
            secret("cert\nlines\n", "key\n"),
        ];
        for spread in [Spread::Hosts, Spread::Paths, Spread::Headers] {
            let plain = Route::new(3, spread, Backends::Own);
            texts.push(plain.yaml());
            let edited = Route {
                version: 2,
                canary: 10,
                ..plain
            };
            texts.push(edited.yaml());
        }
        let all = gateway(80, 443);
        let all = changes([all.as_str()]).unwrap();
        assert_eq!(all.len(), 2);
        for text in texts {
            let object = object(&text).unwrap();
            assert!(validate(&object).is_empty(), "{text}");
        }
    }
}
