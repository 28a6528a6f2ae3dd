# The one door. `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
DIR ?= ../shared/conformance
ROUNDS ?= 5
SEEDS ?= 1000
# What the tests are built with, and so what is checked: crash points in the binary, the function beside its handler.
FEATURES := weir/crash-points,weir-fetch-parse/lambda

.PHONY: help demo test check bench conformance sim deploy undeploy local local-down fmt clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: ## crawl 50,000 listings of the practice site to SQLite and JSON Lines, on loopback, in a few seconds
	@cargo build --release --quiet -p weir
	@target/release/weir demo

test: check ## everything that CI runs: check, then all tests
	@FEATURES=$(FEATURES) bash .ci/test

check: ## formatting, clippy with warnings denied, docs, walls
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features $(FEATURES) --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --features $(FEATURES) --quiet
	cargo test --workspace --features $(FEATURES) --quiet --test walls

bench: ## weir against Scrapy, spider-rs and a bare loop on the same site (python3, network for the first install)
	python3 tests/bench/run.py --rounds $(ROUNDS)

conformance: ## run the conformance data: make conformance DIR=FOLDER
	cargo run --release --quiet -p weir-conformance -- $(DIR)

sim: ## play seeds of the simulation: make sim SEEDS=N
	cargo run --release --quiet -p weir-sim -- --seeds $(SEEDS)

deploy: ## deploy to AWS, or bring a deployment up to date
	@infra/deploy

undeploy: ## delete the deployment with all it holds
	@infra/undeploy

local: ## the deployment on this machine, no account needed
	@SINKS=$(SINKS) infra/local

local-down: ## take away what make local started
	@infra/local-down

fmt: ## format
	cargo fmt --all

clean: ## remove what was built
	cargo clean
