# Every task is one word; each prints the command it runs.
.PHONY: help tools build release run test smoke lint deny fmt golden bench bench-cluster fuzz cluster-up cluster-down images conformance e2e protocols

programs := $(abspath $(or $(CARGO_TARGET_DIR),target))/debug

help: ## Shows this list.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-13s %s\n", $$1, $$2}'

tools: ## Installs or names the tools that are missing.
	./test/install-tools.sh

build: tools ## Builds every program (debug).
	cargo build --workspace --bins --locked

release: tools ## Builds the programs as they are released into target/programs: static, optimized by traffic (half an hour).
	./deploy/release.sh $(or $(CARGO_TARGET_DIR),target)/programs

run: build ## Runs the quickstart: demo backends, a Gateway with every kind of route, real traffic.
	./examples/quickstart/run.sh

# The programs are built along with the tests, by one set of features: tests start them, and building them apart would
# compile most dependencies twice.
test: tools ## Runs all tests.
	./test/upstream/fetch.sh
	./test/test-tools.sh
	cargo build --workspace --bins --tests --locked
	NOVAEDGE_BIN=$(programs) cargo test --workspace --locked

smoke: build ## Sends the quickstart's traffic once and checks the answers.
	timeout --kill-after=10 120 ./examples/quickstart/run.sh --once

lint: tools ## Checks formatting and lints.
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

deny: ## Checks licences, bans and sources of all dependencies; needs cargo-deny.
	cargo deny --workspace check licenses bans sources

fmt: ## Formats the code.
	cargo fmt --all

golden: ## Rewrites golden files from what the code says now; read the difference before you commit it.
	UPDATE_GOLDEN=1 cargo test --workspace --locked

bench: ## Measures propagation, translation, lookup and the data path beside its peers (half an hour after the build).
	./bench/run.sh

bench-cluster: ## Measures propagation, attached routes and scale on that cluster or on KUBECONFIG's (20 minutes).
	./bench/cluster/run.sh

fuzz: ## Fuzzes what reads bytes from outside, half a minute each; FUZZ_SECONDS=300 for longer.
	./fuzz/run.sh

protocols: build ## Runs h2spec, gRPC interop, WebSocket cases, TLS scans and slowhttptest through a gateway of its own (8 minutes).
	./test/protocols/run.sh

cluster-up: ## Brings up the project's own Kubernetes cluster on this machine; needs root, Debian and Go 1.26.
	./test/e2e/cluster/up

cluster-down: ## Stops that cluster and removes all it made.
	./test/e2e/cluster/down

images: ## Builds the images without Docker and gives them to that cluster; PROFILE=dev builds in less time.
	./test/e2e/cluster/novaedge-images

conformance: ## Runs the official conformance suite with every profile and feature, on that cluster or on KUBECONFIG's.
	./test/conformance/run.sh

e2e: ## Runs the tests that need a cluster, on that cluster or on KUBECONFIG's.
	./test/e2e/cluster/run-tests
