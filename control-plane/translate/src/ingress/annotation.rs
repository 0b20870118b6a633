//! The annotations of Ingresses, and what becomes of each.

/// What all of them begin with.
pub const PREFIX: &str = "novaedge.io/";

/// One annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Its name without [`PREFIX`].
    pub name: &'static str,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It means what the annotation of the same name means to ingress-nginx, or what its name says.
    Kept,
    /// It means something a little different, as the documentation tells.
    Changed,
    /// It has no effect, and a finding says so: what to do in its place.
    Refused(&'static str),
    /// It keeps clients away, so without it nobody is let in: the rules answer 500, and a finding says what to do.
    Closed(&'static str),
}

const fn kept(name: &'static str) -> Annotation {
    Annotation {
        name,
        fate: Fate::Kept,
    }
}

const fn changed(name: &'static str) -> Annotation {
    Annotation {
        name,
        fate: Fate::Changed,
    }
}

const fn refused(name: &'static str, fix: &'static str) -> Annotation {
    Annotation {
        name,
        fate: Fate::Refused(fix),
    }
}

const TRACING: &str = "tracing is set for the agents as a whole; remove it";
const LOGGING: &str = "access logs are set for the agents as a whole; remove it";
const RATE_LIMIT: &str =
    "requests are not limited by rate here; remove it, and limit them at the backend";

/// Every annotation that is known, by name.
pub const ANNOTATIONS: &[Annotation] = &[
    refused("access-log-enabled", LOGGING),
    refused("access-log-format", LOGGING),
    changed("backend-protocol"),
    kept("canary-header"),
    kept("canary-header-value"),
    kept("canary-weight"),
    kept("circuit-breaker-consecutive-failures"),
    kept("circuit-breaker-max-connections"),
    kept("circuit-breaker-max-pending-requests"),
    kept("circuit-breaker-max-requests"),
    kept("cors"),
    kept("cors-allow-credentials"),
    kept("cors-allow-headers"),
    kept("cors-allow-methods"),
    kept("cors-allow-origins"),
    kept("cors-expose-headers"),
    kept("cors-max-age"),
    refused(
        "custom-error-pages",
        "answers of backends go to clients as they are; remove it",
    ),
    kept("force-ssl-redirect"),
    kept("grpc-backend"),
    kept("grpc-health-check"),
    kept("health-check-interval"),
    kept("health-check-path"),
    changed("load-balancing"),
    changed("mirror-backend"),
    kept("mirror-percent"),
    kept("proxy-body-size"),
    kept("proxy-connect-timeout"),
    changed("proxy-read-timeout"),
    refused(
        "proxy-send-timeout",
        "there is no limit for sending alone; use novaedge.io/proxy-read-timeout, which limits a try as a whole",
    ),
    refused("rate-limit", RATE_LIMIT),
    refused("rate-limit-burst", RATE_LIMIT),
    refused("rate-limit-key", RATE_LIMIT),
    refused("rate-limit-rps", RATE_LIMIT),
    kept("remove-request-headers"),
    kept("remove-response-headers"),
    kept("request-headers"),
    kept("response-headers"),
    kept("retry-attempts"),
    changed("retry-on"),
    kept("retry-per-try-timeout"),
    changed("rewrite-target"),
    changed("session-affinity"),
    kept("session-affinity-cookie-name"),
    kept("session-affinity-cookie-ttl"),
    kept("ssl-redirect"),
    refused("tracing-enabled", TRACING),
    refused("tracing-sampling-rate", TRACING),
    changed("upstream-hash-by"),
    changed("use-regex"),
    Annotation {
        name: "whitelist-source-range",
        fate: Fate::Closed(
            "clients are not told apart by address here, so none is let in; remove it, and keep clients away with a \
             NetworkPolicy or at the load balancer",
        ),
    },
];

/// The annotation of a name without the prefix.
pub(super) fn find(name: &str) -> Option<&'static Annotation> {
    let place = ANNOTATIONS.binary_search_by(|known| known.name.cmp(name));
    ANNOTATIONS.get(place.ok()?)
}

#[cfg(test)]
mod tests {
    use super::{ANNOTATIONS, Fate};

    #[test]
    fn annotations_stand_once_and_in_order() {
        assert!(ANNOTATIONS.is_sorted_by(|a, b| a.name < b.name));
    }

    /// docs/ingress.md has one row for each: `| name | kept, changed or refused | what it does |`.
    #[test]
    fn the_documentation_tells_what_becomes_of_each() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ingress.md");
        let text = std::fs::read_to_string(path).expect("the page is there");
        let (_, text) = text
            .split_once("\n## Annotations\n")
            .expect("a part of its own");
        let rows = text.lines().filter_map(|line| {
            let row = line.strip_prefix("| `novaedge.io/")?;
            let mut cells = row.split('|').map(str::trim);
            let name = cells.next()?.strip_suffix('`')?;
            Some((name.to_owned(), cells.next()?.to_owned()))
        });
        let told: Vec<(String, String)> = rows.collect();
        let known = ANNOTATIONS.iter().map(|annotation| {
            let fate = match annotation.fate {
                Fate::Kept => "kept",
                Fate::Changed => "changed",
                Fate::Refused(_) | Fate::Closed(_) => "refused",
            };
            (annotation.name.to_owned(), fate.to_owned())
        });
        assert_eq!(told, known.collect::<Vec<_>>());
    }
}
