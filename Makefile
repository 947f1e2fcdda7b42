# Everything a person or a machine does with this repository. Needs Rust and a C compiler.

.DEFAULT_GOAL := help
.PHONY: help run test stress crash bench front check lint clean

help: ## Show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20

run: ## Build and start the server on 127.0.0.1:8080, database ./events.db (FLAGS="..." for more)
	cargo run --release --quiet -- $(FLAGS)

test: ## Run all tests
	cargo test --quiet

stress: ## 100 buyers, 5 spots, one moment (ROUNDS=n repeats it)
	cargo bench --quiet --bench stress

crash: ## Kill the server 30 times with -9 during a sale (ROUNDS=n, SEED=n repeats a plan)
	ROUNDS=$${ROUNDS:-30} cargo test --quiet -- crash:: --nocapture

bench: ## Measure, as ratios to bare tiny_http in the same run (QUICK=1: under a minute)
	cargo bench --quiet --bench bench

front: ## The hostile set through a real nginx (Debian's, installed if it may be)
	@PATH="$$PATH:/usr/sbin" command -v nginx >/dev/null || apt-get install --yes --no-install-recommends nginx-light
	cargo test --quiet -- --ignored front

check: lint ## What must pass before a commit: format, lints, all tests
	cargo test --quiet

lint: ## Format and lints only
	cargo fmt --check
	cargo clippy --quiet --all-targets -- -D warnings

clean: ## Remove everything that was built
	cargo clean
