# `make` is the menu. Everything here is the go command with its arguments; nothing is generated behind its back.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

FUZZTIME ?= 60s
BENCH ?= .
CASES ?=
# Where a gateway under load spends its time. With it the compiler inlines what is hot; `make profile` renews it.
PROFILE := packaging/sluice.pgo
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
CADDY := github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9

# What carries requests. `make cover` holds these to MINCOVER per cent of statements.
DATAPLANE := ./http1/... ./listen/... ./proxy/... ./route/... ./filter/... ./backend/... ./snapshot/... ./upstream/... \
             ./exchange/... ./failure/... ./store/... ./telemetry/...
MINCOVER := 85

.PHONY: help
help: ## this menu
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 18

.PHONY: build
build: ## bin/sluice, one static file
	CGO_ENABLED=0 go build -trimpath -pgo $(PROFILE) -o bin/sluice ./cmd/sluice

.PHONY: profile
profile: build benchtools ## renew the profile that build optimises by, from the loads of bench
	go build -o bin/bench ./bench
	taskset -c 1 bin/bench -sluice bin/sluice -profile $(PROFILE)

.PHONY: test
test: packages ## every test, with the race detector and without it
	go test -race -timeout 15m ./...
	go test -timeout 15m ./...

.PHONY: check
check: format vet lint test ## what a commit must pass: format, vet, lint, test

.PHONY: format
format: ## gofmt finds nothing to change
	@unformatted=$$(gofmt -l .); if [[ -n $$unformatted ]]; then echo "run gofmt -w on:"; echo "$$unformatted"; exit 1; fi

.PHONY: vet
vet: ## go vet
	go vet ./...

.PHONY: lint
lint: ## staticcheck, fetched by the go command
	go run $(STATICCHECK) ./...

.PHONY: bench
bench: build benchtools ## CPU, memory and latency beside nginx and haproxy in one run; CASES=1,5 picks some
	go build -o bin/bench ./bench
	PATH="$(CURDIR)/bin:$$PATH" taskset -c 1 bin/bench -sluice bin/sluice -cases '$(CASES)'

.PHONY: benchpeers
benchpeers: ## Caddy from the module registry into bin/, which bench then measures in case 1; takes minutes
	GOBIN="$(CURDIR)/bin" go install $(CADDY)

.PHONY: benchtools
benchtools:
	@for tool in nginx haproxy wrk h2load taskset; do \
	  command -v $$tool >/dev/null || { apt-get update -q; apt-get install -qy nginx haproxy wrk nghttp2-client util-linux; break; }; \
	done

.PHONY: microbench
microbench: ## the Go benchmarks and their allocations; BENCH=regexp picks some
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./...

.PHONY: conformance
conformance: ## gRPC interoperability, Connect's suite, a browser and h2spec, against docs/conformance.md
	cd test/interop && go test -v -count=1 -timeout 10m ./...
	cd test/connect && go test -v -count=1 -timeout 60m ./...

.PHONY: proof
proof: ## the scenarios of failing services against real processes, measured and asserted; some minutes, quiet machine
	SLUICE_PROOF=1 go test -v -count=1 -timeout 15m ./test/resilience

.PHONY: generate
generate: ## configuration reference and schema comments, from the Go types
	go generate ./...
	go build -o bin/sluice ./cmd/sluice
	sed -i -e '/^<!-- below:/q' docs/configuration.md
	{ echo; bin/sluice schema --reference; } >> docs/configuration.md

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (60s)
	@for package in $$(go list ./...); do \
	  for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
	    echo "== $$package $$target"; \
	    go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
	  done; \
	done

.PHONY: cover
cover: packages ## statement coverage of the data plane, at least 85 %
	go test -short -timeout 10m -coverprofile cover.out -coverpkg "$$(go list $(DATAPLANE) | paste -sd,)" ./... | sed -E 's/(^|\t)coverage: .*//'
	@go tool cover -func cover.out | awk '/^total:/ { sub("%", "", $$3); print "data plane: " $$3 " % of statements"; exit ($$3 < $(MINCOVER)) }'

# The tests paste the demo's commands into a shell (curl), make certificates the way docs/ says (openssl), drop packets in a
# network namespace (ip, iptables), hold SOAP against the npm package (node, npm), and the race detector needs a C compiler.
# On Debian what is missing is installed; where nothing is, nothing touches the network but npm.
.PHONY: packages
packages:
	@missing=(); \
	command -v curl >/dev/null || missing+=(curl); \
	command -v openssl >/dev/null || missing+=(openssl); \
	command -v gcc >/dev/null || missing+=(gcc libc6-dev); \
	command -v ip >/dev/null || missing+=(iproute2); \
	command -v iptables >/dev/null || missing+=(iptables); \
	command -v node >/dev/null || missing+=(nodejs); \
	command -v npm >/dev/null || missing+=(npm); \
	if (( $${#missing[@]} )); then \
	  echo "installing $${missing[*]}"; \
	  root=(); (( EUID == 0 )) || root=(sudo); \
	  $${root[@]+"$${root[@]}"} apt-get update -q; \
	  $${root[@]+"$${root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$${missing[@]}"; \
	fi
