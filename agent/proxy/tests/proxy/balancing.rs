//! Which endpoint a request goes to, and which is left out.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use novaedge_balance::Site;
use novaedge_proto::v1;
use novaedge_proxy::Config;
use tokio::time::sleep;
use v1::hash_key::Kind;

use crate::support::client::{Http1, get};
use crate::support::origin::{Origin, slow, status, text};
use crate::support::resources::*;
use crate::support::{Bed, run};

/// Origins that say their number.
async fn origins(count: usize) -> Vec<Rc<Origin>> {
    let mut all = Vec::new();
    for number in 0..count {
        all.push(Origin::http1(move |_| text(number.to_string())).await);
    }
    all
}

fn ports(origins: &[Rc<Origin>]) -> Vec<u16> {
    origins.iter().map(|origin| origin.port).collect()
}

fn seen(origins: &[Rc<Origin>]) -> Vec<usize> {
    origins
        .iter()
        .map(|origin| origin.seen.borrow().len())
        .collect()
}

/// One route to the backend `a`, which is changed.
async fn bed(ports: &[u16], change: impl FnOnce(&mut v1::Backend)) -> Rc<Bed> {
    with(Config::default(), endpoints("a", ports), change).await
}

async fn with(
    config: Config,
    endpoints: v1::Resource,
    change: impl FnOnce(&mut v1::Backend),
) -> Rc<Bed> {
    Bed::with(config, |port| {
        let backend = backend_with("a", change);
        vec![
            gateway(),
            listener(port),
            routed(route()),
            backend,
            endpoints,
        ]
    })
    .await
}

async fn ask(bed: &Bed, times: usize) {
    for _ in 0..times {
        get(bed, "/", "").await;
    }
}

fn outlier() -> v1::OutlierDetection {
    v1::OutlierDetection {
        consecutive_failures: 3,
        base_ejection_ms: 400,
        max_ejection_ms: 400,
        max_ejected_percent: 50,
        success_rate: None,
    }
}

#[test]
fn a_key_decides_by_header_cookie_or_parameter() {
    run(async {
        use v1::LoadBalancing::{Maglev, RingHash, SourceHash};
        let header: fn(&str) -> (String, String) =
            |user| ("/".into(), format!("X-User: {user}\r\n"));
        let cookie: fn(&str) -> (String, String) =
            |user| ("/".into(), format!("Cookie: a=b; sid={user}\r\n"));
        let query: fn(&str) -> (String, String) = |user| (format!("/?x=1&u={user}"), String::new());
        for (policy, key, request) in [
            (Maglev, Kind::Header("x-user".into()), header),
            (RingHash, Kind::Cookie("sid".into()), cookie),
            (SourceHash, Kind::QueryParameter("u".into()), query),
        ] {
            let origins = origins(4).await;
            let bed = bed(&ports(&origins), |backend| {
                backend.load_balancing = policy.into();
                backend.hash_key = Some(v1::HashKey { kind: Some(key) });
            })
            .await;
            let mut all = BTreeSet::new();
            for user in 0..30 {
                let (target, fields) = request(&user.to_string());
                let first = get(&bed, &target, &fields).await.body;
                for _ in 0..3 {
                    assert_eq!(get(&bed, &target, &fields).await.body, first, "{policy:?}");
                }
                all.insert(first);
            }
            assert_eq!(all.len(), 4, "{policy:?}");
            // Without a key the client's address decides, and there is one client.
            let own: BTreeSet<_> =
                [get(&bed, "/", "").await.body, get(&bed, "/", "").await.body].into();
            assert_eq!(own.len(), 1);
        }
    });
}

#[test]
fn a_key_may_be_the_host() {
    run(async {
        let origins = origins(4).await;
        let bed = bed(&ports(&origins), |backend| {
            backend.load_balancing = v1::LoadBalancing::Maglev.into();
            let kind = Some(Kind::Header("host".into()));
            backend.hash_key = Some(v1::HashKey { kind });
        })
        .await;
        let mut client = Http1::connect(&bed).await;
        let mut all = BTreeSet::new();
        for host in 0..30 {
            let request = format!("GET / HTTP/1.1\r\nHost: h{host}.example\r\n\r\n");
            all.insert(client.send(&request).await.body);
        }
        assert_eq!(all.len(), 4);
    });
}

#[test]
fn round_robin_goes_by_weight() {
    run(async {
        let origins = origins(2).await;
        let mut list = endpoints("a", &ports(&origins));
        if let Some(v1::resource::Body::Endpoints(list)) = &mut list.body {
            list.endpoints[0].weight = 3;
        }
        let bed = with(Config::default(), list, |_| {}).await;
        ask(&bed, 40).await;
        assert_eq!(seen(&origins), [30, 10]);
    });
}

#[test]
fn ewma_prefers_the_faster_endpoint() {
    run(async {
        let fast = Origin::http1(|_| text("fast")).await;
        let tardy = slow(Duration::from_millis(60)).await;
        let bed = bed(&[fast.port, tardy.port], |backend| {
            backend.load_balancing = v1::LoadBalancing::Ewma.into();
        })
        .await;
        ask(&bed, 60).await;
        assert!(
            seen(&[fast, Rc::clone(&tardy)])[1] <= 3,
            "{}",
            tardy.seen.borrow().len()
        );
    });
}

#[test]
fn an_endpoint_that_fails_is_left_out_for_a_while() {
    run(async {
        let good = Origin::http1(|_| text("ok")).await;
        let bad = Origin::http1(|_| status(503)).await;
        let origins = [good, bad];
        let bed = bed(&ports(&origins), |backend| {
            backend.outlier_detection = Some(outlier());
        })
        .await;
        ask(&bed, 40).await;
        assert_eq!(seen(&origins), [37, 3]);
        assert_eq!(bed.metrics.upstream_ejections.get(), 1);
        sleep(Duration::from_millis(450)).await;
        ask(&bed, 10).await;
        assert_eq!(seen(&origins)[1], 6, "it had its chance, and is out again");
    });
}

#[test]
fn an_ejection_survives_swaps_and_new_endpoints() {
    run(async {
        let good = Origin::http1(|_| text("ok")).await;
        let bad = Origin::http1(|_| status(500)).await;
        let origins = [good, bad];
        let lasting = v1::OutlierDetection {
            base_ejection_ms: 60_000,
            max_ejection_ms: 60_000,
            ..outlier()
        };
        let change = |backend: &mut v1::Backend| backend.outlier_detection = Some(lasting);
        let bed = bed(&ports(&origins), change).await;
        ask(&bed, 20).await;
        assert_eq!(seen(&origins)[1], 3);
        let third = Origin::http1(|_| text("ok")).await;
        let more = endpoints("a", &[origins[1].port, origins[0].port, third.port]);
        bed.apply(vec![more], &[]);
        let change = |backend: &mut v1::Backend| {
            backend.outlier_detection = Some(v1::OutlierDetection {
                consecutive_failures: 2,
                ..lasting
            });
        };
        bed.apply(vec![backend_with("a", change)], &[]);
        ask(&bed, 20).await;
        assert_eq!(seen(&origins)[1], 3);
        assert!(third.seen.borrow().len() >= 9);
    });
}

#[test]
fn one_of_two_may_be_left_out_and_never_both() {
    run(async {
        let origins = [
            Origin::http1(|_| status(500)).await,
            Origin::http1(|_| status(500)).await,
        ];
        let bed = bed(&ports(&origins), |backend| {
            backend.outlier_detection = Some(v1::OutlierDetection {
                max_ejected_percent: 100,
                base_ejection_ms: 60_000,
                max_ejection_ms: 60_000,
                ..outlier()
            });
            backend.panic_percent = Some(0);
        })
        .await;
        ask(&bed, 30).await;
        assert_eq!(bed.metrics.upstream_ejections.get(), 1);
        assert_eq!(
            seen(&origins).iter().sum::<usize>(),
            30,
            "somebody is always asked"
        );
    });
}

#[test]
fn one_that_fails_far_more_often_than_the_others_is_left_out_and_counted() {
    run(async {
        let turns = Cell::new(0);
        let bad = Origin::http1(move |_| {
            turns.set(turns.get() + 1);
            if turns.get() % 2 == 0 {
                text("ok")
            } else {
                status(500)
            }
        });
        let origins = [
            bad.await,
            Origin::http1(|_| text("ok")).await,
            Origin::http1(|_| text("ok")).await,
        ];
        let mut config = Config::default();
        config.downstream.tick = Duration::from_millis(10);
        let bed = with(config, endpoints("a", &ports(&origins)), |backend| {
            backend.outlier_detection = Some(v1::OutlierDetection {
                consecutive_failures: 100,
                base_ejection_ms: 60_000,
                max_ejection_ms: 60_000,
                success_rate: Some(v1::SuccessRate {
                    interval_ms: 200,
                    min_requests: 5,
                    min_endpoints: 3,
                    deviations_thousandths: 1_000,
                }),
                ..outlier()
            });
        })
        .await;
        while bed.metrics.upstream_ejections.get() == 0 {
            ask(&bed, 3).await;
        }
        let before = seen(&origins)[0];
        ask(&bed, 20).await;
        assert_eq!(seen(&origins)[0], before);
        assert_eq!(bed.metrics.upstream_ejections.get(), 1);
    });
}

#[test]
fn when_too_few_are_left_all_are_asked() {
    run(async {
        let good = Origin::http1(|_| text("ok")).await;
        let bad = Origin::http1(|_| status(500)).await;
        let origins = [good, bad];
        let bed = bed(&ports(&origins), |backend| {
            backend.outlier_detection = Some(v1::OutlierDetection {
                base_ejection_ms: 60_000,
                max_ejection_ms: 60_000,
                ..outlier()
            });
            backend.panic_percent = Some(60);
        })
        .await;
        ask(&bed, 40).await;
        assert_eq!(bed.metrics.upstream_ejections.get(), 1);
        assert_eq!(seen(&origins), [20, 20], "half of them is less than 60 %");
    });
}

#[test]
fn a_new_endpoint_starts_slowly() {
    run(async {
        let origins = origins(2).await;
        let slowly = |backend: &mut v1::Backend| backend.slow_start_ms = 3_600_000;
        let bed = bed(&[origins[0].port], slowly).await;
        ask(&bed, 1).await;
        bed.apply(vec![endpoints("a", &ports(&origins))], &[]);
        ask(&bed, 110).await;
        let count = seen(&origins)[1];
        assert!(
            (8..=12).contains(&count),
            "{count} of 110, a tenth of the weight"
        );
    });
}

#[test]
fn the_own_zone_comes_first() {
    run(async {
        let origins = origins(4).await;
        let mut list = endpoints("a", &ports(&origins));
        if let Some(v1::resource::Body::Endpoints(list)) = &mut list.body {
            for (endpoint, zone) in list.endpoints.iter_mut().zip(["a", "b", "a", "b"]) {
                endpoint.zone = zone.into();
            }
        }
        let config = Config {
            site: Site {
                zone: Some("b".into()),
                ..Site::default()
            },
            ..Config::default()
        };
        let bed = with(config, list, |backend| {
            backend.zone_preference = v1::ZonePreference::Own.into();
        })
        .await;
        ask(&bed, 20).await;
        assert_eq!(seen(&origins), [0, 10, 0, 10]);
    });
}
