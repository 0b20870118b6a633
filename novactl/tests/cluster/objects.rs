//! Objects of the API server.

use serde_json::{Value, json};

use super::{
    bed::{Bed, GATEWAY, list},
    process::{answer, novactl},
};

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_is_listed_with_its_age() {
    let bed = Bed::start().await;
    for (command, kind) in [
        ("gatewayclasses", "GatewayClass"),
        ("gateways", "Gateway"),
        ("httproutes", "HTTPRoute"),
        ("grpcroutes", "GRPCRoute"),
        ("tlsroutes", "TLSRoute"),
        ("tcproutes", "TCPRoute"),
        ("udproutes", "UDPRoute"),
    ] {
        let table = bed.ok(&["gateway-api", command]);
        assert!(table.starts_with("NAME "), "{command}: {table}");
        assert!(
            table.lines().skip(1).all(|row| row.ends_with("121m")),
            "{table}"
        );
        let json = bed.ok(&["gateway-api", command, "-o", "json"]);
        let list: Value = serde_json::from_str(&json).expect("JSON");
        let items = list["items"].as_array().expect("items");
        assert_eq!(items.len(), table.lines().count() - 1, "{command}");
        for item in items {
            assert_eq!(item["kind"], kind);
            assert!(item["status"].is_object(), "{item}");
            assert!(item["metadata"].get("managedFields").is_none());
        }
    }
    let empty = bed.run(&["gateway-api", "backendtlspolicies"]);
    assert_eq!((empty.code, empty.out.as_str()), (0, ""), "{empty:?}");
    // Each request shows who asks.
    let asked = bed.api.asked.lock().expect("a log").clone();
    assert!(
        asked.len() > 20
            && asked
                .iter()
                .all(|line| line.ends_with("Bearer token-of-the-user")),
        "{asked:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_are_those_of_flags_and_context() {
    let bed = Bed::start().await;
    let all = bed.ok(&["gateway-api", "gateways", "-A"]);
    assert!(all.starts_with("NAMESPACE   NAME"), "{all}");
    assert!(all.contains("\ndefault     example-gateway "), "{all}");
    let classes = bed.ok(&["gateway-api", "gatewayclasses", "-A"]);
    assert!(classes.starts_with("NAME "), "{classes}");
    let shop = bed.run(&["gateway-api", "gateways", "-n", "shop"]);
    assert!(
        shop.err.contains("No Gateway in namespace shop"),
        "{shop:?}"
    );
    let context = bed.run(&["gateway-api", "gateways", "--context", "shop"]);
    assert!(
        context.err.contains("No Gateway in namespace shop"),
        "{context:?}"
    );
    let named = bed.run(&["gateway-api", "gateways", "edge", "--context", "shop"]);
    assert_eq!(named.code, 1);
    assert!(
        named
            .err
            .contains("Gateway edge is not there in namespace shop"),
        "{named:?}"
    );
    let file = bed.file();
    let file = file.to_str().expect("a path of text");
    let line = [
        "gateway-api",
        "gateways",
        "--kubeconfig",
        file,
        "-n",
        "default",
    ];
    assert!(bed.ok(&line).contains("example-gateway"));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_kubeconfigs_are_one() {
    let bed = Bed::start().await;
    let first = "apiVersion: v1\nkind: Config\ncurrent-context: shop\n";
    let file = bed.home.path().join("first");
    std::fs::write(&file, first).expect("the folder is writable");
    let both = format!("{}:{}", file.display(), bed.file().display());
    let run = |line: &[&str]| {
        let mut command = novactl(line);
        command
            .current_dir(bed.home.path())
            .env("KUBECONFIG", &both);
        tokio::task::block_in_place(|| answer(command.output()))
    };
    let found = run(&["gateway-api", "gateways"]);
    assert!(
        found.err.contains("No Gateway in namespace shop"),
        "{found:?}"
    );
    let found = run(&["gateway-api", "gateways", "--context", "here"]);
    assert!(found.out.contains("example-gateway"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_described_with_its_certificates() {
    let bed = Bed::start().await;
    let line = ["gateway-api", "describe-gateway", "example-gateway"];
    let text = bed.ok(&line);
    for part in [
        "Age:         121m\n",
        "  Accepted",
        "  HTTPRoute   www              <all>",
        "  https      default/example-com-tls   *.example.com",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    let secret = "/api/v1/namespaces/default/secrets/example-com-tls";
    bed.api.change(|answers| {
        answers.forbidden.insert(secret.to_owned());
    });
    assert!(bed.ok(&line).contains("you may not read the Secret"));
    bed.api.change(|answers| {
        answers.forbidden.clear();
        answers.values.remove(secret);
    });
    assert!(bed.ok(&line).contains("no such Secret"));
    // Who may look into one namespace alone gets that, and is told.
    bed.api.change(|answers| {
        for plural in ["v1/gateways", "v1/httproutes", "v1/gatewayclasses"] {
            answers.forbidden.insert(format!("{GATEWAY}/{plural}"));
        }
    });
    let within = bed.run(&line);
    assert_eq!(within.code, 0, "{within:?}");
    assert!(
        within.err.contains("Only namespace default is looked into"),
        "{within:?}"
    );
    assert!(within.out.contains("  HTTPRoute   www "), "{within:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_is_of_what_novaedge_serves() {
    let bed = Bed::start().await;
    bed.replicas[0].agent("agent-0").await;
    let well = bed.run(&["status"]);
    let words = "; 1 of 1 agents at the newest snapshot, 0 refusing a part of it.";
    assert!(well.out.contains(words), "{well:?}");
    let foreign = json!([
        {"metadata": {"name": "other"}, "spec": {"controllerName": "example.com/other"}},
    ]);
    let gateway = |namespace: &str, name: &str, class: &str| {
        json!({"metadata": {"namespace": namespace, "name": name},
            "spec": {"gatewayClassName": class},
            "status": {"conditions": [{"type": "Accepted", "status": "False", "reason": "Bad",
                "message": "a reason", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}})
    };
    let gateways = vec![
        gateway("shop", "theirs", "other"),
        gateway("shop", "ours", "novaedge"),
        gateway("default", "broken", "novaedge"),
    ];
    let classes = foreign.as_array().expect("a list").clone();
    bed.api.change(|answers| {
        let all = answers
            .values
            .get_mut(&format!("{GATEWAY}/v1/gatewayclasses"));
        let all = all.expect("classes")["items"]
            .as_array_mut()
            .expect("a list");
        all.extend(classes);
        list(answers, GATEWAY, "v1", "gateways", gateways);
    });
    let bad = bed.run(&["status"]);
    assert_eq!(bad.code, 1, "{bad:?}");
    assert!(
        bad.out.contains("error Gateway/shop/ours")
            && bad.out.contains("error Gateway/default/broken"),
        "{bad:?}"
    );
    assert!(
        !bad.out.contains("theirs") && !bad.out.contains("GatewayClass/other"),
        "{bad:?}"
    );
    let one = bed.run(&["status", "-n", "shop"]);
    assert!(
        one.out.contains("Gateway/shop/ours") && !one.out.contains("default/broken"),
        "{one:?}"
    );
}
