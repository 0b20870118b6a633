//! Whom the NetworkPolicies let in where a network enforces them: on a real cluster.

use std::{net::IpAddr, time::Duration};

use novaedge_e2e::cluster::{
    Namespace, answers, bed, component, holder, is_own, kill, ready_pods, rolled_out, route,
    try_kubectl, within,
};

const HOST: &str = "hello.example.com";
const MINUTE: Duration = Duration::from_mins(1);

/// A network that enforces policies, until this is dropped.
struct Policies;

impl Policies {
    fn enforce() -> Self {
        component("policies", "start");
        Self
    }
}

impl Drop for Policies {
    fn drop(&mut self) {
        component("policies", "stop");
    }
}

/// A pod in a namespace of its own that asks others.
struct Asker(Namespace);

impl Asker {
    /// With these labels, as YAML.
    fn new(name: &str, namespace_label: &str, pod_label: &str) -> Self {
        let namespace = Namespace::new(name);
        if !namespace_label.is_empty() {
            let label = ["label", "namespace", namespace.name(), namespace_label];
            try_kubectl(&label, "").expect("a label");
        }
        namespace.apply(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: asker, labels: {{{pod_label}}}}}\n\
             spec:\n  containers: [{{name: asker, image: 'novaedge/box:dev', args: [pause]}}]\n"
        ));
        let ready = [
            "wait",
            "--for=condition=Ready",
            "--timeout=60s",
            "pod/asker",
        ];
        namespace.kubectl(&ready);
        Self(namespace)
    }

    /// Whether anything answers there: TLS answers plaintext with nonsense, which is an answer.
    fn reaches(&self, address: IpAddr, port: u16) -> bool {
        let url = format!("http://{address}:{port}/metrics");
        let get = ["exec", "asker", "--", "/box", "get", &url];
        let namespace = ["--namespace", self.0.name()];
        let answer = try_kubectl(&[&namespace[..], &get].concat(), "");
        !answer.is_err_and(|error| {
            let unreached = ["refused", "Timeout", "timeout", "prohibited", "unreachable"];
            unreached.iter().any(|word| error.contains(word))
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn policies_let_in_agents_replicas_monitoring_and_clients() {
    if !is_own() {
        return;
    }
    let (served, address) = bed("policies", HOST, 1).await;
    let first = |deployment| ready_pods(deployment).first().expect("a pod").1;
    let control_plane = first("novaedge-control-plane");
    let agent = first("novaedge-agent");
    let stranger = Asker::new("stranger", "", "");
    let monitoring = Asker::new("monitoring", "novaedge.io/monitoring=true", "");
    let label = "app.kubernetes.io/name: novaedge-agent";
    let elsewhere = Asker::new("elsewhere", "novaedge.io/agents=true", label);
    let unlabelled = Asker::new("unlabelled", "", label);
    let ports = [
        (control_plane, 18000),
        (control_plane, 18001),
        (agent, 9901),
    ];
    let seen = |asker: &Asker| ports.map(|(address, port)| asker.reaches(address, port));
    assert_eq!(seen(&stranger), [true; 3], "nothing is enforced yet");

    let policies = Policies::enforce();
    within(MINUTE, "strangers are kept out", async || {
        (seen(&stranger) == [false; 3]).then_some(())
    })
    .await;
    assert_eq!(seen(&monitoring), [false, true, true]);
    assert_eq!(seen(&elsewhere), [true, false, false]);
    assert_eq!(seen(&unlabelled), [false; 3]);

    // Clients come in, and new agents and replicas find each other.
    answers(address, HOST, 200).await;
    kill(&ready_pods("novaedge-agent").first().expect("an agent").0);
    kill(&holder());
    rolled_out("novaedge-control-plane");
    rolled_out("novaedge-agent");
    served.apply(&route("later", "later.example.com"));
    answers(address, "later.example.com", 200).await;

    drop(policies);
    within(MINUTE, "nothing is enforced any more", async || {
        (seen(&stranger) == [true; 3]).then_some(())
    })
    .await;
}
