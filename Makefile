# Everything a person or a machine does with this repository. Needs Rust and a C compiler.

.DEFAULT_GOAL := help
.PHONY: help run test stress crash soak bench static front contract pages cluster check lint clean

STATIC_TARGET = $(shell rustc -vV | sed -n 's/^host: //p')
# The second: a static file finds getrandom(2) in no library, and there may be no /dev/urandom.
STATIC_FLAGS = -C target-feature=+crt-static --cfg getrandom_backend="linux_getrandom" -C strip=symbols
STATIC_FILE = $(or $(CARGO_TARGET_DIR),target)/$(STATIC_TARGET)/release/lastseat

help: ## Show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20

run: ## Build and start the server on 127.0.0.1:8080, database ./events.db (FLAGS="..." for more)
	cargo run --release --quiet -- $(FLAGS)

test: ## Run all tests
	cargo test --quiet --features relay

stress: ## 100 buyers, 5 spots, one moment (ROUNDS=n repeats it)
	cargo bench --quiet --bench stress

crash: ## Kill the server 30 times with -9 during a sale (ROUNDS=n, SEED=n repeats a plan)
	ROUNDS=$${ROUNDS:-30} cargo test --quiet -- crash:: --nocapture

soak: ## A sale under kills, hostile clients and expiries, for MINUTES=n (10), then verify (SEED=n repeats a plan)
	cargo bench --quiet --bench soak

bench: ## Measure, as ratios to bare tiny_http in the same run (QUICK=1: under a minute; PEERS=1: also Redis and PostgreSQL)
	cargo bench --quiet --bench bench

static: ## One static file for hosts with nothing else on them, tested in an empty chroot and as an image (by root)
	@command -v buildah >/dev/null || apt-get install --yes --no-install-recommends buildah || echo "no buildah: the image is not tested"
	RUSTFLAGS='$(STATIC_FLAGS)' cargo build --release --target $(STATIC_TARGET)
	@ls -l $(STATIC_FILE)
	STATIC_FILE=$(abspath $(STATIC_FILE)) cargo test --quiet -- --ignored static_file

front: static ## The files of tests/front, the image too, each with the real program it is for (by root)
	@for program in nginx:nginx-light haproxy varnishd:varnish promtool:prometheus systemd-analyze:systemd; do \
		PATH="$$PATH:/usr/sbin" command -v $${program%:*} >/dev/null || \
			apt-get install --yes --no-install-recommends $${program#*:} || exit 1; \
	done
	cargo test --quiet -- --ignored front

contract: ## Judge /openapi.json and its answers by linters, generated clients, a browser and schemathesis (needs python3 and PyPI)
	@command -v chromium >/dev/null || apt-get install --yes --no-install-recommends chromium || echo "no chromium"
	cargo build --quiet --features relay
	tests/contract/run $${CARGO_TARGET_DIR:-target}/debug/lastseat

# What the suite proves on PostgreSQL as well: all that does not look at a file.
CLUSTER_TESTS = attendees:: attendees_csv:: browsers:: caches:: changes:: check_in:: crash:: demo:: event_cancel:: event_change:: \
	event_list:: events:: expiry_race:: health:: idempotency:: key_command:: key_reach:: keys:: limiter:: line:: line_races:: \
	linearizability:: metrics:: model:: mounted:: openapi:: pages:: panics:: parties:: payments:: postgres:: postgres_commit:: \
	precedence:: problems:: processes:: public_sale:: reaper:: register:: report:: restart:: roles:: routes:: sold_out:: stampede:: \
	suite::streams:: streams_in_trouble:: ticket_cancel:: tickets:: time_to_pay:: verify::
# The first five read a file's bytes, its WAL or its name; the next drops a SQLite trigger. The others keep
# a file's lock, or an eye on it, while the server is at work.
CLUSTER_SKIP = --skip a_key_is_shown_once --skip a_stop_leaves_one_file --skip commits_and_the_jobs_in_them \
	--skip it_changes_nothing --skip only_a_page_is_replaced \
	--skip the_first_answer_comes_again_byte_for_byte \
	--skip nothing_is_told_before_it_is_committed --skip readyz_says_why_when_no_commit --skip refusals_with_503_are_counted \
	--skip the_server_keeps_all_of_its_workers --skip twenty_thousand_tickets_end_in_one_transaction

cluster: ## The suite on PostgreSQL, then machines killed during a sale on three nodes (by root; installs what it needs)
	@(pg_config --version && ls /usr/lib/postgresql/15/bin/initdb) >/dev/null 2>&1 \
		|| apt-get install --yes --no-install-recommends postgresql-15 libpq-dev
	tests/cluster/run --include-ignored $(CLUSTER_TESTS) $(CLUSTER_SKIP)

pages: ## Drive the pages in a real browser, and keep pictures of them under target/pages (needs npm)
	@command -v chromium >/dev/null || apt-get install --yes --no-install-recommends chromium || echo "no chromium"
	cargo build --quiet
	tests/pages/run $${CARGO_TARGET_DIR:-target}/debug/lastseat target/pages

check: lint ## What must pass before a commit: format, lints, all tests
	cargo test --quiet --features relay

lint: ## Format and lints only
	cargo fmt --check
	cargo clippy --quiet --all-targets -- -D warnings
	cargo clippy --quiet --all-targets --features relay -- -D warnings

clean: ## Remove everything that was built
	cargo clean
