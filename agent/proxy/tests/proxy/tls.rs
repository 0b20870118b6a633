//! TLS from clients and to backends.

use novaedge_proto::v1;
use rustls::ProtocolVersion;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::client::{Http1, get, get2, http2, send2};
use crate::support::origin::{Origin, text};
use crate::support::resources::*;
use crate::support::tls::{Authority, Identity, client, connect, origin};
use crate::support::{Bed, run};

fn https(port: u16, name: &str, hostname: &str, certificates: &[&str]) -> v1::Resource {
    https_with(port, name, hostname, certificates, |_| {})
}

pub fn https_with(
    port: u16,
    name: &str,
    hostname: &str,
    certificates: &[&str],
    change: impl FnOnce(&mut v1::Listener),
) -> v1::Resource {
    let mut listener = listener_with(port, |listener| {
        listener.port = 443;
        listener.section_name = name.into();
        listener.hostname = hostname.into();
        listener.protocol = v1::Protocol::Https.into();
        listener.tls_mode = v1::TlsMode::Terminate.into();
        listener.certificates = certificates.iter().map(|name| (*name).into()).collect();
        change(listener);
    });
    listener.name = format!("listener/d/g/{name}");
    listener
}

pub fn bound(listeners: &[&str]) -> v1::Route {
    let mut route = route();
    route.bindings = listeners
        .iter()
        .map(|name| v1::Binding {
            listener: format!("listener/d/g/{name}"),
            hostnames: vec![],
        })
        .collect();
    route
}

async fn secure(origin: u16, identity: &Identity) -> std::rc::Rc<Bed> {
    Bed::new(|port| {
        vec![
            gateway(),
            https(port, "https", "", &["certificate/d/a"]),
            identity.resource("certificate/d/a"),
            routed(bound(&["https"])),
            backend("a"),
            endpoints("a", &[origin]),
        ]
    })
    .await
}

#[test]
fn http1_and_http2_are_agreed_on_by_alpn() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let authority = Authority::new();
        let bed = secure(origin.port, &authority.issue(&["a.example"])).await;

        let stream = connect(
            &bed,
            &client(&authority, None, &["h2", "http/1.1"]),
            "a.example",
        )
        .await
        .unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let got = send2(&mut http2(stream).await, get2("https://a.example/")).await;
        assert_eq!((got.status, got.body.as_str()), (200, "ok"));
        assert_eq!(origin.last().header("x-forwarded-proto"), Some("https"));
        assert_eq!(origin.last().header("via"), Some("2 novaedge"));

        for alpn in [&["http/1.1"][..], &[]] {
            let stream = connect(&bed, &client(&authority, None, alpn), "a.example")
                .await
                .unwrap();
            let got = Http1::over(stream)
                .send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
                .await;
            assert_eq!(got.status, 200);
        }
    });
}

#[test]
fn the_certificate_is_chosen_by_name_then_wildcard_then_order() {
    run(async {
        let authority = Authority::new();
        let first = authority.issue(&["first.example"]);
        let exact = authority.issue(&["a.example", "b.example"]);
        let wildcard = authority.issue(&["*.w.example"]);
        let bed = Bed::new(|port| {
            vec![
                gateway(),
                https(
                    port,
                    "https",
                    "",
                    &[
                        "certificate/d/first",
                        "certificate/d/wild",
                        "certificate/d/exact",
                    ],
                ),
                first.resource("certificate/d/first"),
                exact.resource("certificate/d/exact"),
                wildcard.resource("certificate/d/wild"),
            ]
        })
        .await;
        let config = client(&authority, None, &[]);
        for (sni, expect) in [
            ("first.example", &first),
            ("b.example", &exact),
            ("c.w.example", &wildcard),
        ] {
            let stream = connect(&bed, &config, sni).await.unwrap();
            assert_eq!(
                stream.get_ref().1.peer_certificates().unwrap()[0],
                expect.leaf(),
                "{sni}"
            );
        }
        assert!(
            connect(&bed, &config, "x.y.w.example").await.is_err(),
            "the first certificate is for another name"
        );
    });
}

#[test]
fn a_certificate_is_rotated_under_open_connections_and_sessions_are_resumed() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let authority = Authority::new();
        let bed = secure(origin.port, &authority.issue(&["a.example"])).await;
        let config = client(&authority, None, &[]);
        let request = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
        let mut old = Http1::over(connect(&bed, &config, "a.example").await.unwrap());
        assert_eq!(old.send(request).await.status, 200);

        let stream = connect(&bed, &config, "a.example").await.unwrap();
        assert_eq!(
            stream.get_ref().1.handshake_kind(),
            Some(rustls::HandshakeKind::Resumed)
        );

        let new = authority.issue(&["a.example"]);
        assert!(
            bed.apply(vec![new.resource("certificate/d/a")], &[])
                .is_empty()
        );
        let fresh = client(&authority, None, &[]);
        let stream = connect(&bed, &fresh, "a.example").await.unwrap();
        assert_eq!(
            stream.get_ref().1.peer_certificates().unwrap()[0],
            new.leaf()
        );
        assert_eq!(old.send(request).await.status, 200);
        assert_eq!(
            stream.get_ref().1.protocol_version(),
            Some(ProtocolVersion::TLSv1_3)
        );
    });
}

#[test]
fn clients_must_show_a_valid_certificate_where_the_listener_says_so() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let (authority, clients, strangers) =
            (Authority::new(), Authority::new(), Authority::new());
        let (good, bad) = (clients.issue(&["client"]), strangers.issue(&["client"]));
        let bed = secure(origin.port, &authority.issue(&["a.example"])).await;
        let validated = |mode: v1::client_validation::Mode| {
            https_with(
                bed.address.port(),
                "https",
                "",
                &["certificate/d/a"],
                |listener| {
                    listener.client_validation = Some(v1::ClientValidation {
                        mode: mode.into(),
                        trust_bundles: vec!["trust/ConfigMap/d/clients".into()],
                    });
                },
            )
        };
        let attempt = async |identity: Option<&Identity>| {
            let Ok(stream) = connect(&bed, &client(&authority, identity, &[]), "a.example").await
            else {
                return false;
            };
            let mut stream = Http1::over(stream);
            // TLS 1.3 clients learn of a refusal only when they read.
            if stream
                .stream
                .write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
                .await
                .is_err()
            {
                return false;
            }
            matches!(stream.stream.read_u8().await, Ok(b'H'))
        };
        let require = validated(v1::client_validation::Mode::RequireValid);
        assert!(
            bed.apply(
                vec![require, clients.bundle("trust/ConfigMap/d/clients")],
                &[]
            )
            .is_empty()
        );
        assert!(attempt(Some(&good)).await);
        assert!(!attempt(Some(&bad)).await);
        assert!(!attempt(None).await);
        bed.apply(
            vec![validated(v1::client_validation::Mode::InsecureFallback)],
            &[],
        );
        assert!(attempt(Some(&good)).await && attempt(Some(&bad)).await && attempt(None).await);
    });
}

#[test]
fn a_host_of_another_listener_is_misdirected_and_one_of_none_is_not_found() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let authority = Authority::new();
        let identity = authority.issue(&["a.example", "b.example", "*.wild.example"]);
        let bed = Bed::new(|port| {
            vec![
                gateway(),
                https(port, "a", "a.example", &["certificate/d/a"]),
                https(port, "b", "b.example", &["certificate/d/a"]),
                https(port, "wild", "*.wild.example", &["certificate/d/a"]),
                identity.resource("certificate/d/a"),
                routed(bound(&["a", "b", "wild"])),
                backend("a"),
                endpoints("a", &[origin.port]),
            ]
        })
        .await;
        for (sni, host, expect) in [
            ("a.example", "a.example", 200),
            ("a.example", "b.example", 421),
            ("a.example", "x.wild.example", 421),
            ("a.example", "none.example", 404),
            ("x.wild.example", "y.wild.example", 200),
        ] {
            let stream = connect(&bed, &client(&authority, None, &["h2"]), sni)
                .await
                .unwrap();
            let got = send2(&mut http2(stream).await, get2(&format!("https://{host}/"))).await;
            assert_eq!(got.status, expect, "h2 {sni} {host}");
            let stream = connect(&bed, &client(&authority, None, &[]), sni)
                .await
                .unwrap();
            let got = Http1::over(stream)
                .send(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"))
                .await;
            assert_eq!(got.status, expect, "http/1.1 {sni} {host}");
        }
    });
}

struct Wanted<'a> {
    server_name: &'a str,
    sans: &'a [v1::subject_alt_name::Kind],
    certificate: &'a str,
}

async fn to_tls(
    origin: u16,
    roots: &Authority,
    wanted: Wanted<'_>,
    more: Vec<v1::Resource>,
) -> u16 {
    let bed = Bed::new(|port| {
        let mut gateway = gateway();
        if let Some(v1::resource::Body::Gateway(body)) = &mut gateway.body {
            body.backend_client_certificate = wanted.certificate.into();
        }
        let mut resources = vec![
            gateway,
            listener(port),
            routed(route()),
            roots.bundle("trust/ConfigMap/d/ca"),
            backend_with("a", |backend| {
                backend.tls = Some(v1::BackendTls {
                    server_name: wanted.server_name.into(),
                    trust_bundles: vec!["trust/ConfigMap/d/ca".into()],
                    subject_alt_names: wanted
                        .sans
                        .iter()
                        .map(|kind| v1::SubjectAltName {
                            kind: Some(kind.clone()),
                        })
                        .collect(),
                });
            }),
            endpoints("a", &[origin]),
        ];
        resources.extend(more);
        resources
    })
    .await;
    let got = get(&bed, "/", "").await;
    if got.status == 200 {
        assert!(got.body.starts_with(wanted.server_name), "{}", got.body);
        assert_eq!(
            got.body.ends_with(" certificate"),
            !wanted.certificate.is_empty()
        );
    }
    got.status
}

#[test]
fn a_backend_is_checked_by_its_name_and_roots() {
    run(async {
        let (authority, stranger) = (Authority::new(), Authority::new());
        let port = origin(&authority.issue(&["back.example"]), None).await;
        let wanted = |server_name| Wanted {
            server_name,
            sans: &[],
            certificate: "",
        };
        assert_eq!(
            to_tls(port, &authority, wanted("back.example"), vec![]).await,
            200
        );
        assert_eq!(
            to_tls(port, &authority, wanted("other.example"), vec![]).await,
            502
        );
        assert_eq!(
            to_tls(port, &stranger, wanted("back.example"), vec![]).await,
            502
        );
    });
}

#[test]
fn a_backend_is_checked_by_its_other_names_where_they_are_given() {
    use v1::subject_alt_name::Kind::{Dns, Uri};
    run(async {
        let (authority, stranger) = (Authority::new(), Authority::new());
        let port = origin(&authority.issue(&["back.example", "spiffe://d/back"]), None).await;
        let uri = [
            Uri("spiffe://d/other".into()),
            Uri("spiffe://d/back".into()),
        ];
        let wrong = [Uri("spiffe://d/other".into()), Dns("sni.example".into())];
        let dns = [Dns("back.example".into())];
        let wanted = |sans| Wanted {
            server_name: "sni.example",
            sans,
            certificate: "",
        };
        assert_eq!(to_tls(port, &authority, wanted(&uri), vec![]).await, 200);
        assert_eq!(to_tls(port, &authority, wanted(&dns), vec![]).await, 200);
        assert_eq!(to_tls(port, &authority, wanted(&wrong), vec![]).await, 502);
        assert_eq!(to_tls(port, &stranger, wanted(&uri), vec![]).await, 502);
    });
}

#[test]
fn the_gateways_certificate_is_shown_to_backends() {
    run(async {
        let (authority, clients) = (Authority::new(), Authority::new());
        let port = origin(&authority.issue(&["back.example"]), Some(&clients)).await;
        let identity = clients.issue(&["gateway"]).resource("certificate/d/own");
        let wanted = |certificate| Wanted {
            server_name: "back.example",
            sans: &[],
            certificate,
        };
        assert_eq!(
            to_tls(
                port,
                &authority,
                wanted("certificate/d/own"),
                vec![identity]
            )
            .await,
            200
        );
        assert_eq!(to_tls(port, &authority, wanted(""), vec![]).await, 502);
    });
}

#[test]
fn a_backend_whose_tls_cannot_be_used_is_never_spoken_to_in_cleartext() {
    run(async {
        let plain = Origin::http1(|_| text("cleartext")).await;
        let bed = Bed::new(|port| simple(port, &[plain.port])).await;
        let broken = backend_with("a", |backend| {
            backend.tls = Some(v1::BackendTls {
                server_name: "a.example".into(),
                trust_bundles: vec!["trust/ConfigMap/d/none".into()],
                subject_alt_names: vec![],
            });
        });
        assert_eq!(bed.apply(vec![broken], &[]).len(), 1);
        assert_eq!(get(&bed, "/", "").await.status, 500);
        assert_eq!(plain.connections.get(), 0);
    });
}
