//! BackendTLSPolicies for backends of other routes than HTTPRoutes.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use novaedge_e2e::{
    certificates::{Ca, Identity},
    clients::{WebSocket, connect_tls},
    fixture::{Values, fill},
    manifests::{gateway, http_gateway, service, service_with},
    origins::{self, Echo},
    system::System,
};
use novaedge_ports::free_port;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::ResolvesServerCertUsingSni,
    sign::CertifiedKey,
};

use crate::bed::{accepted, call, described, get, grpc_status, start};

/// What backends are called, and by which server name alone they answer.
const NAME: &str = "abc.example.com";

/// A server that closes the connection unless it is asked for [`NAME`].
fn named_server(identity: &Identity, alpn: &[&str]) -> Arc<ServerConfig> {
    let builder = ServerConfig::builder();
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("PEM");
    let key =
        CertifiedKey::from_der(vec![certificate], key, builder.crypto_provider()).expect("a pair");
    let mut names = ResolvesServerCertUsingSni::new();
    names.add(NAME, key).expect("the certificate has that name");
    let mut config = builder
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(names));
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// ConfigMaps `good` and `bad` with certificates of authorities, and a policy for the services `well`, `misnamed` and
/// `mistrusted`: the last two expect another name and trust another authority.
const POLICIES: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: good}
data:
  ca.crt: |
    ${GOOD}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: bad}
data:
  ca.crt: |
    ${BAD}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: well}
spec:
  targetRefs: [{group: '', kind: Service, name: well, sectionName: main}]
  validation: {hostname: abc.example.com, caCertificateRefs: [{group: '', kind: ConfigMap, name: good}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: misnamed}
spec:
  targetRefs: [{group: '', kind: Service, name: misnamed, sectionName: main}]
  validation: {hostname: mismatch.example.com, caCertificateRefs: [{group: '', kind: ConfigMap, name: good}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: mistrusted}
spec:
  targetRefs: [{group: '', kind: Service, name: mistrusted, sectionName: main}]
  validation: {hostname: abc.example.com, caCertificateRefs: [{group: '', kind: ConfigMap, name: bad}]}
";

const SERVICES: [&str; 3] = ["well", "misnamed", "mistrusted"];

fn policies(good: &Ca, bad: &Ca) -> String {
    let values: Values = [("GOOD", good.pem.clone()), ("BAD", bad.pem.clone())].into();
    fill(POLICIES, &values)
}

async fn all_accepted(system: &System, kind: &str) {
    for name in SERVICES {
        let objects = ["BackendTLSPolicy", kind].map(|kind| format!("{kind}/default/{name}"));
        accepted(system, &objects.each_ref().map(String::as_str)).await;
    }
}

/// BackendTLSPolicyGRPCRoute.
#[tokio::test]
async fn grpc_backends_are_spoken_to_as_their_policies_say() {
    let (good, bad, port) = (Ca::new(), Ca::new(), free_port());
    let origin = origins::http_tls("well", named_server(&good.issue(&[NAME]), &["h2"])).await;
    let mut documents = vec![http_gateway("gw", port), policies(&good, &bad)];
    for name in SERVICES {
        documents.push(service(name, 443, "TCP", &[origin.address]));
        documents.push(format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata: {{name: {name}}}\nspec:\n  \
             parentRefs: [{{name: gw}}]\n  rules:\n  - matches: [{{method: {{service: {name}.Echo, method: Describe}}}}]\n    \
             backendRefs: [{{group: '', kind: Service, name: {name}, port: 443}}]\n"
        ));
    }
    let system = start(documents).await;
    all_accepted(&system, "GRPCRoute").await;
    let ask = async |name: &str| {
        let method = format!("/{name}.Echo/Describe");
        call(System::local(port), NAME, &method, &[]).await
    };
    let echo = described(&ask("well").await);
    assert_eq!(
        (echo.origin.as_str(), echo.version.as_str()),
        ("well", "HTTP/2.0")
    );
    for name in ["misnamed", "mistrusted"] {
        assert_eq!(grpc_status(&ask(name).await), "14", "{name}");
    }
    assert_eq!(origin.hits(), 1, "others are never asked");
    system.stop().await;
}

/// BackendTLSPolicyTLSRouteTerminate.
#[tokio::test]
async fn tls_that_ends_at_the_gateway_begins_anew_as_the_policy_says() {
    let (good, bad, port) = (Ca::new(), Ca::new(), free_port());
    let origin = origins::http_tls("well", named_server(&good.issue(&[NAME]), &[])).await;
    let front = Ca::new();
    let listener = format!(
        "  - {{name: tls, protocol: TLS, port: {port}, tls: {{mode: Terminate, certificateRefs: [{{name: pair}}]}}}}\n"
    );
    let mut documents = vec![
        gateway("gw", &listener),
        front.issue(&["*.example.com"]).secret("pair"),
        policies(&good, &bad),
    ];
    for name in SERVICES {
        documents.push(service(name, 8443, "TCP", &[origin.address]));
        documents.push(format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: TLSRoute\nmetadata: {{name: {name}}}\nspec:\n  \
             parentRefs: [{{name: gw}}]\n  hostnames: [{name}.example.com]\n  \
             rules: [{{backendRefs: [{{name: {name}, port: 8443}}]}}]\n"
        ));
    }
    let system = start(documents).await;
    all_accepted(&system, "TLSRoute").await;
    let ask = async |name: &str| {
        let host = format!("{name}.example.com");
        let stream = connect_tls(System::local(port), &host, front.client(&[])).await;
        let stream = stream.expect("the gateway's certificate");
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::get("/")
            .header("host", &host)
            .body(Full::<Bytes>::default());
        let answer = sender.send_request(request.expect("a request")).await?;
        let body = answer.into_body().collect().await?.to_bytes();
        connection.abort();
        Ok::<_, hyper::Error>(Echo::parse(&body))
    };
    let echo = ask("well").await.expect("an answer");
    // The gateway forwards bytes: the origin sees the client's request as it is.
    assert_eq!(
        (echo.origin.as_str(), echo.host.as_str()),
        ("well", "well.example.com")
    );
    for name in ["misnamed", "mistrusted"] {
        let answer = ask(name).await;
        assert!(answer.is_err(), "{name}: {answer:?}");
    }
    assert_eq!(origin.hits(), 1, "others are never asked");
    system.stop().await;
}

/// No test of the suite: the `appProtocol` for WebSockets inside TLS, which version 1.7 of the API knows.
#[tokio::test]
async fn websockets_inside_tls_need_a_policy() {
    let (good, bad, port) = (Ca::new(), Ca::new(), free_port());
    let server = named_server(&good.issue(&[NAME]), &["http/1.1"]);
    let origin = origins::http_tls("well", server).await;
    let wss = |name| service_with(name, 443, "TCP", "kubernetes.io/wss", &[origin.address]);
    let route = |name: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec:\n  \
             parentRefs: [{{name: gw}}]\n  hostnames: [{name}.example.com]\n  \
             rules: [{{backendRefs: [{{name: {name}, port: 443}}]}}]\n"
        )
    };
    let system = start([
        http_gateway("gw", port),
        policies(&good, &bad),
        wss("well"),
        route("well"),
        wss("bare"),
        route("bare"),
    ])
    .await;
    accepted(&system, &["HTTPRoute/default/well"]).await;
    let http = System::local(port);
    let mut socket = WebSocket::connect(http, "well.example.com", "/").await;
    socket.echo("hello").await.expect("a message both ways");
    let answer = get(http, "bare.example.com", "/", &[]).await;
    assert_eq!(answer.status, 500, "never in cleartext");
    assert_eq!(origin.hits(), 1);
    system.stop().await;
}
