//! Examples of each command, which stand below its help. A test parses every line of them.

pub(super) const ALL: &str = "\
Examples:
  novactl status                               What needs a fix, at a glance
  novactl status -f DIR                        The same of a folder that 'novaedge run' serves
  novactl explain http://www.example.com/      What becomes of a request, and why
  novactl agents --context staging             Who holds which snapshot
  novactl gateway-api gateways -A              The Gateways and their statuses
  novactl gateway-api describe-gateway NAME
  novactl snapshot get --gateway NAME          What the agents are sent
  novactl conformance                          What the Gateway API's own tests say
  novactl bundle                               All that a bug report needs

Without flags it looks at the current folder if that is served, else at the cluster of the kubeconfig, else at
http://127.0.0.1:18000.

Exit codes: 0 done, and all is well; 1 something is wrong, differs or is not there; 2 it could not be told.";

pub(super) const STATUS: &str = "\
Examples:
  novactl status
  novactl status -n shop --context staging
  novactl status -f DIR -o json | jq .findings

Exits with 1 when something is to be fixed.";

pub(super) const CHECK: &str = "\
Examples:
  novactl check -f DIR
  novactl check -f DIR --strict                   Warnings count as well
  novactl check -f edge.yaml -o sarif > edge.sarif

Exit codes: 0 no errors; 1 something would not be served as written; 2 the manifests cannot be read.";

pub(super) const TRANSLATE: &str = "\
Examples:
  novactl translate -f DIR
  novactl translate -f edge.yaml --only diagnostics
  novactl translate -f . -o json --only snapshot | jq '.snapshot[].name'

Exits with 1 when something is not served as written: see diagnostics.";

pub(super) const AGENTS: &str = "\
Examples:
  novactl agents
  novactl agents --context staging
  novactl agents --server http://127.0.0.1:18000 -o json";

pub(super) const TOP: &str = "\
Examples:
  novactl top
  novactl top --watch --interval 5
  novactl top --context staging -o json | jq .routes

Rates are those of all agents between two looks; P50 and P99 are within how long half of the requests, and 99 of 100, ended.";

pub(super) const TRACE: &str = "\
Examples:
  novactl trace                                          The next request
  novactl trace http://www.example.com/login
  novactl trace '/api/*' --status 5xx --count 10         The next ten that fail
  novactl trace --client 10.0.0.0/8 -H 'X-Debug: 1' -o json
  novactl trace --route shop/cart --agent NODE --timeout 300

A request is shown when it is over; its secrets are replaced, as in the access log.
Exits with 1 when fewer have come in time.";

pub(super) const EXPLAIN: &str = "\
Examples:
  novactl explain http://www.example.com/login -f DIR     What a folder would do, without serving it
  novactl explain https://www.example.com/ --gateway infra/edge
  novactl explain http://127.0.0.1:8080/ --header 'Host: www.example.com' --method POST
  novactl explain http://www.example.com/ --client 192.0.2.7   The endpoint that a policy by hash chooses

Without -f it goes by the newest snapshot. Exits with 1 when the client gets an error.";

pub(super) const SNAPSHOT: &str = "\
Examples:
  novactl snapshot get
  novactl snapshot diff before.yaml
  novactl snapshot watch";

pub(super) const GET: &str = "\
Examples:
  novactl snapshot get
  novactl snapshot get route/HTTPRoute/default/
  novactl snapshot get --gateway example-gateway -o yaml > before.yaml";

pub(super) const DIFF: &str = "\
Examples:
  novactl snapshot get -o yaml > before.yaml
  novactl snapshot diff before.yaml             Against the snapshot of now
  novactl snapshot diff before.yaml after.yaml

Exits with 1 when they differ.";

pub(super) const WATCH: &str = "\
Examples:
  novactl snapshot watch
  novactl snapshot watch --interval 2000";

pub(super) const CONFORMANCE: &str = "\
Examples:
  novactl conformance
  novactl conformance -o json | jq -r '.features[].name'
  novactl conformance --run                                  The suite, with all that it needs
  DEPLOYED=1 novactl conformance --run -- -run-test HTTPRouteWeight

Exits with 1 when a test failed or was left out.";

pub(super) const BUNDLE: &str = "\
Examples:
  novactl bundle
  novactl bundle --context staging -o report.tar.gz
  novactl bundle -f DIR

It holds statuses, objects, snapshot, agents, problems and versions, and of a cluster pods, events, logs and metrics of
NovaEdge as well. Private keys, Secrets, tokens and values of headers that carry credentials are left out.
Exits with 1 when a part of it could not be had; its README.txt says which.";

pub(super) const COMPLETION: &str = "\
Examples:
  source <(novactl completion bash)
  novactl completion fish > ~/.config/fish/completions/novactl.fish";

pub(super) const MAN: &str = "\
Examples:
  novactl man /usr/local/share/man/man1
  novactl man man1                             Then: man man1/novactl-explain.1";

pub(super) const LIST: &str = "\
Examples:
  novactl gateway-api gateways
  novactl gateway-api httproutes -A -o wide
  novactl gateway-api httproutes www -n shop -o yaml -f DIR
  novactl gateway-api describe-gateway example-gateway";

pub(super) const DESCRIBE: &str = "\
Examples:
  novactl gateway-api describe-gateway example-gateway
  novactl gateway-api describe-gateway edge -n infra --context staging";

pub(super) const GATEWAYCLASSES: &str = "\
Examples:
  novactl gateway-api gatewayclasses
  novactl gateway-api gatewayclasses -o wide
  novactl gateway-api gatewayclasses novaedge -o yaml";

pub(super) const GATEWAYS: &str = "\
Examples:
  novactl gateway-api gateways
  novactl gateway-api gateways -A -o wide
  novactl gateway-api gateways example-gateway -o yaml";

pub(super) const LISTENERSETS: &str = "\
Examples:
  novactl gateway-api listenersets
  novactl gateway-api listenersets -A -o wide
  novactl gateway-api listenersets team -o yaml";

pub(super) const HTTPROUTES: &str = "\
Examples:
  novactl gateway-api httproutes
  novactl gateway-api httproutes -A -o wide
  novactl gateway-api httproutes www -o yaml";

pub(super) const GRPCROUTES: &str = "\
Examples:
  novactl gateway-api grpcroutes
  novactl gateway-api grpcroutes -A -o wide
  novactl gateway-api grpcroutes greeter -o yaml";

pub(super) const TLSROUTES: &str = "\
Examples:
  novactl gateway-api tlsroutes
  novactl gateway-api tlsroutes -A -o wide
  novactl gateway-api tlsroutes passthrough -o yaml";

pub(super) const TCPROUTES: &str = "\
Examples:
  novactl gateway-api tcproutes
  novactl gateway-api tcproutes -A -o wide
  novactl gateway-api tcproutes echo -o yaml";

pub(super) const UDPROUTES: &str = "\
Examples:
  novactl gateway-api udproutes
  novactl gateway-api udproutes -A -o wide
  novactl gateway-api udproutes dns -o yaml";

pub(super) const BACKENDTLSPOLICIES: &str = "\
Examples:
  novactl gateway-api backendtlspolicies
  novactl gateway-api backendtlspolicies -A -o wide
  novactl gateway-api backendtlspolicies api -o yaml";
