# Every task is one word; each prints the command it runs.
.PHONY: help tools build run test lint fmt golden

help: ## Shows this list.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-10s %s\n", $$1, $$2}'

tools: ## Installs or names the tools that are missing.
	./test/install-tools.sh

build: tools ## Builds every program (debug).
	cargo build --workspace --bins --locked

run: build ## Runs the quickstart: demo backends, a Gateway with every kind of route, real traffic.
	./examples/quickstart/run.sh

test: tools ## Runs all tests.
	./test/upstream/fetch.sh
	cargo test --workspace --locked

lint: tools ## Checks formatting and lints.
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

fmt: ## Formats the code.
	cargo fmt --all

golden: ## Rewrites golden files from what the code says now; read the difference before you commit it.
	UPDATE_GOLDEN=1 cargo test --workspace --locked
