# One command for each act, the same here and in CI.

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help run test bench lint check fmt build plugins ebpf

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
	plugins/build --check
	cargo test --manifest-path plugins/Cargo.toml

bench: ## Compare with other proxies on this machine (bench/README.md)
	bench/run

lint: ## Formatting and clippy, warnings are errors
	@deploy/sample/install-tools
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	cargo fmt --manifest-path plugins/Cargo.toml --all --check
	cargo fmt --manifest-path ebpf/Cargo.toml --package tollgate-ebpf --package tollgate-ebpf-common --check
	cargo clippy --manifest-path plugins/Cargo.toml --workspace --all-targets -- --deny warnings

check: lint test ## What CI runs

plugins: ## Build the example plugins again (plugins/dist)
	plugins/build

ebpf: ## Build the XDP program again (proxy/xdp/dist)
	ebpf/build

fmt: ## Format the sources
	cargo fmt --all

build: ## Build the release binary
	@deploy/sample/install-tools
	cargo build --release --package tollgate
	@echo "$(TARGET_DIR)/release/tollgate"
