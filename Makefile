# One command for each act, the same here and in CI.

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help run test bench lint check fmt build

help: ## Say what can be made
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

run: ## Build the gateway, serve the sample API and print what to try
	@deploy/sample/install-tools curl:curl
	cargo build --release --package tollgate
	@deploy/sample/run

test: ## Install what the tests need and run all of them
	@tests/install-tools
	cargo build --package tollgate
	cargo test --workspace

bench: ## Compare with other proxies on this machine (bench/README.md)
	bench/run

lint: ## Formatting and clippy, warnings are errors
	@deploy/sample/install-tools
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings

check: lint test ## What CI runs

fmt: ## Format the sources
	cargo fmt --all

build: ## Build the release binary
	@deploy/sample/install-tools
	cargo build --release --package tollgate
	@echo "$(TARGET_DIR)/release/tollgate"
