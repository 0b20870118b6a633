//! Tenants whose keys are in the memory of their own agents alone: on a real cluster.

// The numbers that were seen.
#![allow(clippy::print_stderr)]

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use novaedge_e2e::{
    certificates::{Ca, Identity},
    clients::Http1,
    cluster::{
        Dump, Namespace, SYSTEM, Shown, answers, bed, hello, inspect, kubectl, rolled_out, route,
        try_kubectl, within,
    },
};
use serde_json::{Value, json};

const MINUTE: Duration = Duration::from_mins(1);

/// The control planes with other agents than usual, until this is dropped.
struct OwnAgents;

impl OwnAgents {
    /// With these agents, which may show certificates of the authorities in the ConfigMap [`AUTHORITIES`].
    fn set(agents: &str) -> Self {
        let own = Self;
        let value = |name: &str, value: &str| json!({"name": name, "value": value});
        let volume = json!({"name": "client-ca", "configMap": {"name": AUTHORITIES}});
        let mount = json!({"name": "client-ca", "mountPath": FOLDER});
        let env = [
            value("NOVAEDGE_AGENTS", agents),
            value("NOVAEDGE_CLIENT_CA", &format!("{FOLDER}/ca.crt")),
        ];
        patch(&volume, &mount, &env).expect("a Deployment");
        rolled_out("novaedge-control-plane");
        own
    }
}

impl Drop for OwnAgents {
    fn drop(&mut self) {
        let gone = |field: &str, value: &str| json!({"$patch": "delete", field: value});
        let env = ["NOVAEDGE_AGENTS", "NOVAEDGE_CLIENT_CA"].map(|name| gone("name", name));
        let volume = gone("name", "client-ca");
        if let Err(error) = patch(&volume, &gone("mountPath", FOLDER), &env) {
            eprintln!("the control planes still have agents of their own: {error}");
        }
        // Other tests begin with control planes that stay.
        let name = "deployment/novaedge-control-plane";
        let wait = ["rollout", "status", name, "--timeout=120s"];
        let _ = try_kubectl(&[&["--namespace", SYSTEM][..], &wait].concat(), "");
        let map = ["delete", "configmap", AUTHORITIES, "--ignore-not-found"];
        let _ = try_kubectl(&[&["--namespace", SYSTEM][..], &map].concat(), "");
    }
}

const AUTHORITIES: &str = "novaedge-e2e-client-ca";
const FOLDER: &str = "/var/run/novaedge/client-ca";

/// Changes the Deployment of the control planes.
fn patch(volume: &Value, mount: &Value, env: &[Value]) -> Result<String, String> {
    let container = json!({"name": "control-plane", "env": env, "volumeMounts": [mount]});
    let pod = json!({"volumes": [volume], "containers": [container]});
    let patch = json!({"spec": {"template": {"spec": pod}}}).to_string();
    let deployment = "deployment/novaedge-control-plane";
    try_kubectl(
        &["--namespace", SYSTEM, "patch", deployment, "-p", &patch],
        "",
    )
}

/// Gives the control planes the authorities of agents' certificates.
fn trust(ca: &Ca) {
    let manifest = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": AUTHORITIES, "namespace": SYSTEM},
        "data": {"ca.crt": ca.pem},
    });
    try_kubectl(&["apply", "-f", "-"], &manifest.to_string()).expect("a ConfigMap");
}

/// A tenant, and the agents that it has for itself.
struct Tenant {
    host: String,
    namespace: Namespace,
    agents: Namespace,
    agents_name: String,
    identity: Identity,
}

impl Tenant {
    fn new(ca: &Ca, name: &str) -> Self {
        let host = format!("{name}.example.com");
        let agents = format!("{name}-edge");
        Self {
            namespace: Namespace::new(name),
            agents_name: format!("novaedge-e2e-{agents}"),
            agents: Namespace::new(&agents),
            identity: ca.issue(&[&host]),
            host,
        }
    }

    /// Applies the overlay for agents of one's own.
    fn deploy(&self) {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&self.agents_name);
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let repository = repository.canonicalize().expect("it is there");
        let up = root.components().skip(1).map(|_| "..");
        let up = up.collect::<Vec<_>>().join("/");
        let overlay = format!(
            "{up}{}/deploy/kustomize/overlays/fleet",
            repository.display()
        );
        let kustomization = format!(
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n\
             namespace: {}\nresources: [{overlay}]\n",
            self.agents_name
        );
        fs::create_dir_all(&root).expect("a folder");
        fs::write(root.join("kustomization.yaml"), kustomization).expect("a file");
        kubectl(&["apply", "-k", root.to_str().expect("a path in UTF-8")]);
    }

    fn serve(&self) {
        self.namespace.apply(&self.identity.secret("edge"));
        self.namespace.apply(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: edge}\n\
             spec:\n  gatewayClassName: novaedge\n  listeners:\n  - name: https\n    protocol: HTTPS\n    \
             port: 443\n    tls: {certificateRefs: [{name: edge}]}\n",
        );
        self.namespace.apply(&hello(1));
        self.namespace.apply(&route("hello", &self.host));
    }

    /// Waits until the Gateway answers with a certificate of `ca`.
    async fn answers(&self, ca: &Ca) {
        let address: SocketAddr = self.namespace.address("edge", 443);
        within(MINUTE, &self.host, async || {
            let client = Http1::try_connect_tls(address, &self.host, ca.client(&[])).await;
            let answer = client.ok()?.get(&self.host, "/").await.ok()?;
            (answer.status == 200).then_some(())
        })
        .await;
    }
}

/// A line of a private key, which comes by wherever the key does.
fn line_of(identity: &Identity) -> String {
    let lines = identity.key.lines();
    let mut lines = lines.filter(|line| !line.starts_with("--"));
    // The first line of every key of this kind is much alike.
    lines.nth(1).expect("a key").to_owned()
}

/// Namespaces of the pods that the Gateway `edge` of a namespace leads to.
fn listed(namespace: &Namespace) -> Vec<String> {
    let text = namespace.kubectl(&[
        "get",
        "endpointslices",
        "-l",
        "gateway.networking.k8s.io/gateway-name=edge",
        "-o",
        "jsonpath={.items[*].endpoints[*].targetRef.namespace}",
    ]);
    let mut namespaces: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
    namespaces.dedup();
    namespaces
}

/// A pod that holds a ServiceAccount's tokens and never runs; gone when it is dropped.
struct Holder {
    namespace: String,
}

impl Holder {
    const NAME: &str = "novaedge-e2e-holder";

    fn new(namespace: &str) -> Self {
        let manifest = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {}, namespace: {namespace}}}\nspec:\n  \
             serviceAccountName: novaedge-agent\n  nodeSelector: {{no-such: node}}\n  \
             securityContext: {{runAsNonRoot: true, runAsUser: 65532, seccompProfile: {{type: RuntimeDefault}}}}\n  \
             containers:\n  - name: holder\n    image: novaedge/box:dev\n    \
             securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}\n",
            Self::NAME
        );
        let holder = Self {
            namespace: namespace.to_owned(),
        };
        try_kubectl(&["apply", "-f", "-"], &manifest).expect("a pod");
        holder
    }

    /// A token as agents have it, or for another audience.
    fn token(&self, audience: &str) -> String {
        kubectl(&[
            "--namespace",
            &self.namespace,
            "create",
            "token",
            "novaedge-agent",
            "--audience",
            audience,
            "--bound-object-kind=Pod",
            "--bound-object-name",
            Self::NAME,
        ])
    }

    async fn dump(&self) -> Dump {
        let opened = Dump::open(Self::NAME, Shown::Token(&self.token("novaedge"))).await;
        opened.unwrap_or_else(|(code, _)| panic!("{}: refused, {code}", self.namespace))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let pod = ["delete", "pod", Self::NAME, "--wait=false"];
        let namespace = ["--namespace", self.namespace.as_str()];
        let _ = try_kubectl(&[&namespace[..], &pod].concat(), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn no_agent_has_the_key_of_another_tenant() {
    let ca = Ca::new();
    let tenants = [Tenant::new(&ca, "red"), Tenant::new(&ca, "blue")];
    let owns = tenants.iter().map(|tenant| {
        let owned = tenant.agents_name.trim_end_matches("-edge");
        format!("{}/novaedge-agent={owned}", tenant.agents_name)
    });
    let clients = Ca::new();
    trust(&clients);
    let _own = OwnAgents::set(&owns.collect::<Vec<_>>().join(";"));
    for tenant in &tenants {
        tenant.deploy();
        tenant.serve();
    }
    for tenant in &tenants {
        tenant.agents.kubectl(&[
            "rollout",
            "status",
            "deployment/novaedge-agent",
            "--timeout=120s",
        ]);
        tenant.answers(&ca).await;
        assert_eq!(listed(&tenant.namespace), [tenant.agents_name.as_str()]);
    }
    // Everybody else is served by the agents of the system, as always.
    let (shared, address) = bed("shared", "shared.example.com", 1).await;
    assert_eq!(listed(&shared), [SYSTEM]);

    // What agents of each are sent, byte by byte.
    let [red, blue] = &tenants;
    let holders = [&red.agents_name, &blue.agents_name, SYSTEM].map(Holder::new);
    let [mut of_red, mut of_blue, mut of_system] = [
        holders[0].dump().await,
        holders[1].dump().await,
        holders[2].dump().await,
    ];
    for dump in [&of_red, &of_blue, &of_system] {
        eprintln!("{} resources, {} bytes", dump.held.len(), dump.bytes.len());
    }
    let keys = |dump: &Dump| {
        tenants
            .each_ref()
            .map(|tenant| dump.heard(&line_of(&tenant.identity)))
    };
    assert_eq!(keys(&of_red), [true, false]);
    assert_eq!(keys(&of_blue), [false, true]);
    assert_eq!(keys(&of_system), [false, false]);
    assert!(
        of_system
            .held
            .iter()
            .any(|name| name.contains("/novaedge-e2e-shared/"))
    );

    // A renewed key comes to its owner alone.
    let renewed = ca.issue(&[&blue.host]);
    blue.namespace.apply(&renewed.secret("edge"));
    let key = line_of(&renewed);
    of_blue
        .until("the renewed key", |dump| dump.heard(&key))
        .await;
    for dump in [&mut of_red, &mut of_system] {
        dump.drain(Duration::from_secs(2)).await;
        assert!(!dump.heard(&key));
    }

    who_shows_nothing_good_gets_nothing(&holders[0], &red.agents).await;
    who_inspects_sees_all_but_keys(&holders[0], &tenants).await;
    certificates_are_as_good_as_tokens(&clients, red, &line_of(&blue.identity)).await;
    for tenant in &tenants {
        tenant.answers(&ca).await;
    }
    answers(address, "shared.example.com", 200).await;
}

async fn who_shows_nothing_good_gets_nothing(holder: &Holder, agents: &Namespace) {
    let [good, other] = ["novaedge", "other"].map(|audience| holder.token(audience));
    let stranger = stranger(agents);
    for (what, node, shown, code) in [
        ("no token", Holder::NAME, Shown::Nothing, "16"),
        ("nonsense", Holder::NAME, Shown::Token("nonsense"), "16"),
        ("another audience", Holder::NAME, Shown::Token(&other), "16"),
        ("no agent", Holder::NAME, Shown::Token(&stranger), "7"),
        ("another pod", "novaedge-agent-0", Shown::Token(&good), "7"),
    ] {
        refused(what, node, shown, code).await;
    }
}

async fn who_inspects_sees_all_but_keys(agent: &Holder, tenants: &[Tenant]) {
    let account = ["create", "token", "novaedge-inspector"];
    let account = [&["--namespace", SYSTEM], &account[..]].concat();
    let inspector = kubectl(&[&account, &["--audience", "novaedge"][..]].concat());
    let seen = inspect(Shown::Token(&inspector)).await.expect("a snapshot");
    let text = format!("{:?}", seen.resources);
    let bytes = prost::Message::encode_to_vec(&seen);
    for tenant in tenants {
        assert!(text.contains(&tenant.host), "{}", tenant.host);
        let key = line_of(&tenant.identity);
        let holds_key = bytes.windows(key.len()).any(|part| part == key.as_bytes());
        assert!(!holds_key, "the key of {}", tenant.host);
    }
    let stream = Shown::Token(&inspector);
    refused("an inspector", Holder::NAME, stream, "7").await;
    for (shown, code) in [
        (Shown::Token(&agent.token("novaedge")), "7"),
        (Shown::Token(&kubectl(&account)), "16"),
        (Shown::Nothing, "16"),
    ] {
        let seen = inspect(shown).await.map(drop);
        assert_eq!(seen, Err(code.to_owned()), "{shown:?}");
    }
}

async fn refused(what: &str, node: &str, shown: Shown<'_>, code: &str) {
    let refused = Dump::open(node, shown).await;
    let refused = refused.err().unwrap_or_else(|| panic!("{what} is let in"));
    assert_eq!((refused.0.as_str(), refused.1.len()), (code, 0), "{what}");
}

async fn certificates_are_as_good_as_tokens(clients: &Ca, tenant: &Tenant, others_key: &str) {
    let id = |name: &str| {
        let namespace = &tenant.agents_name;
        format!("spiffe://example.org/ns/{namespace}/sa/{name}")
    };
    let agent = clients.issue_for(&id("novaedge-agent"));
    let dump = Dump::open("holder", Shown::Certificate(&agent)).await;
    let dump = dump.unwrap_or_else(|(code, _)| panic!("its certificate is refused, {code}"));
    assert!(dump.heard(&line_of(&tenant.identity)));
    assert!(!dump.heard(others_key));
    let stranger = clients.issue_for(&id("default"));
    refused("no agent", "holder", Shown::Certificate(&stranger), "7").await;
    // These authorities make no control planes, and nobody else makes agents.
    let peer = clients.issue(&["novaedge-control-plane.novaedge-system.svc"]);
    refused("a control plane", "holder", Shown::Certificate(&peer), "7").await;
    let own = Ca::new().issue_for(&id("novaedge-agent"));
    refused("anybody", "holder", Shown::Certificate(&own), "").await;
}

/// A token of an account in the tenant's namespace that is no agent's.
fn stranger(namespace: &Namespace) -> String {
    namespace.kubectl(&["create", "token", "default", "--audience", "novaedge"])
}
