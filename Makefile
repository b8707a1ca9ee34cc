# This needs GNU make 3.81 (macOS) or newer, a POSIX shell, Go and git.
# Development tools are pinned in tools/ and built by Go on first use.

CONNECTORS := $(sort $(notdir $(wildcard cmd/*)))
VERSION    ?= $(patsubst v%,%,$(shell git describe --tags --always --dirty 2>/dev/null || echo dev))

# The same flags as in a release: static, stripped, no build paths.
BUILD  = CGO_ENABLED=0 go build -trimpath $(if $(TAGS),-tags $(TAGS)) -ldflags '-s -w -X main.version=$(VERSION)'
TOOL   = go tool -modfile=tools/$(1)/go.mod $(2)

# The race detector needs cgo and a C compiler.
CC_FOUND  = $(shell test "$$(go env CGO_ENABLED)" = 1 && command -v $$(go env CC) 2>/dev/null)
RACE      = $(if $(CC_FOUND),-race)

# On macOS, Go trusts only certificates in the keychain. The tests of
# internal/e2e set SSL_CERT_FILE instead, so they do not run there.
ON_MACOS = $(filter Darwin,$(shell uname -s))

# These tests start no process and do not run the SDK's syncer.
CHECKS   = ./cmd/... ./pkg/... ./internal/simulator/... ./internal/fixture ./internal/fidelity
TESTS    ?= $(if $(ON_MACOS),$(CHECKS) ./internal/wholesync/...,./...)
# Prints each package as it passes, names failing tests, and ends with counts.
GOTESTSUM = $(call TOOL,check,gotestsum) --format pkgname-and-test-fails --format-hide-empty-pkg
FUZZTIME ?= 1m

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: $(CONNECTORS:%=bin/%) ## Build the connectors into bin/

# These targets are phony because go build decides what is out of date.
.PHONY: $(CONNECTORS:%=bin/%) bin/simulators bin/baton
$(CONNECTORS:%=bin/%):
	$(BUILD) -o $@ ./cmd/$(@F)

bin/simulators:
	$(BUILD) -o $@ ./internal/simulator/serve

bin/baton:
	CGO_ENABLED=0 go build -modfile=tools/go.mod -trimpath -ldflags '-s -w' -o $@ github.com/conductorone/baton-sdk/cmd/baton

bin/cyclonedx-gomod:
	CGO_ENABLED=0 go build -modfile=tools/sbom/go.mod -trimpath -ldflags '-s -w' -o $@ github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod

# This target is phony because go list decides which licences belong in it.
.PHONY: bin/THIRD_PARTY_LICENSES
bin/THIRD_PARTY_LICENSES:
	@mkdir -p bin
	sh scripts/licenses.sh > $@.new && mv $@.new $@

.PHONY: demo
demo: build bin/simulators bin/baton ## Sync two simulated vendors and show the results
	@sh scripts/demo.sh

.PHONY: check
check: vet format ## Run vet, the format check, unit and contract tests: a minute, after each change
	$(GOTESTSUM) -- $(CHECKS)

.PHONY: test
test: vet format notices ## Run all tests: some minutes, before a pull request
	$(GOTESTSUM) --raw-command -- sh scripts/test.sh '$(RACE)' $(TESTS)

.PHONY: vet
vet:
	go vet ./...

.PHONY: format
format:
	@unformatted=$$(gofmt -l cmd internal pkg tools) && \
	if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi

.PHONY: notices
notices:
	@$(if $(ON_MACOS),echo "On macOS the tests of internal/docs and internal/e2e do NOT run. Run make demo to try the real binaries.")
	@$(if $(RACE),,echo "Found no C compiler: the tests run WITHOUT the race detector. Install gcc or clang to use it.")

.PHONY: cover
cover: ## Run all tests and show the total coverage
	go test -timeout 30m -coverpkg=./pkg/... -coverprofile=cover.out $(TESTS)
	go tool cover -func=cover.out | tail -1
	@echo "Line by line: go tool cover -html=cover.out"

.PHONY: lint
lint: spelling plots ## Run the linters on Go code, workflows and prose
	$(call TOOL,lint,golangci-lint) config verify
	$(call TOOL,lint,golangci-lint) run
	$(call TOOL,lint,golangci-lint) fmt --diff
	$(call TOOL,check,actionlint)

# ./... leaves out this module.
.PHONY: plots
plots:
	go -C tools/plot vet ./...
	go -C tools/plot test ./...

.PHONY: spelling
spelling:
	$(call TOOL,lint,misspell) -error $$(git ls-files '*.md' '*.mdx')

.PHONY: fmt
fmt: ## Format all Go code
	$(call TOOL,lint,golangci-lint) fmt

.PHONY: vuln
vuln: ## Check the linked modules for known vulnerabilities (asks vuln.go.dev)
	$(call TOOL,check,govulncheck) ./cmd/...

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (1m)
	@sh scripts/fuzz.sh $(FUZZTIME)

.PHONY: docs
docs: spelling ## Check the pages and release files: spelling, links, commands, flags
	go test ./internal/docs

.PHONY: bench
bench: ## Compare both connectors with the SDK alone and with a naive sync (BENCH=-quick to try)
	go test -run '^$$' -bench . -benchmem ./pkg/...
	go run ./internal/bench $(BENCH)

# 20,000 users and 200,000 memberships, unless the caller says otherwise.
.PHONY: soak
soak: export SOAK_USERS ?= 20000
soak: export SOAK_GROUPS ?= 1000
soak: export SOAK_MEMBERS ?= 200
soak: export SOAK_SYNCS ?= 20
soak: export SOAK_MINUTES ?= 60
soak: ## Sync 20 times (SOAK_SYNCS) from simulated vendors that fail often
	go test -count=1 -timeout 6h -v -run '^TestSoak' ./internal/e2e

.PHONY: faults
faults: export FAULTS = all
faults: ## Fail each disk call of a sync and of a service in turn (Linux, half an hour)
	go test -count=1 -timeout 2h -v -run '^TestADiskThatFailsOnce' ./internal/e2e

.PHONY: generate
generate: build ## Rewrite the generated files
	go generate ./...
	@for c in $(CONNECTORS); do \
		bin/$$c capabilities > cmd/$$c/baton_capabilities.json && \
		bin/$$c config > cmd/$$c/config_schema.json || exit 1; \
	done

.PHONY: drift
drift: generate ## Fail if a generated file is out of date
	@if [ -n "$$(git status --porcelain -- '*.gen.go' '*.json')" ]; then \
		git --no-pager diff --stat -- '*.gen.go' '*.json'; git status --short -- '*.gen.go' '*.json'; \
		echo "Generated files are out of date: run 'make generate' and commit the result."; exit 1; fi

.PHONY: cross
cross: ## Compile for every release platform
	@for os in linux darwin windows; do for arch in amd64 arm64; do for c in $(CONNECTORS); do \
		echo "$$os/$$arch $$c"; GOOS=$$os GOARCH=$$arch CGO_ENABLED=0 go build -o /dev/null ./cmd/$$c || exit 1; \
	done; done; done
	@for c in $(CONNECTORS); do echo "linux/arm64 lambda $$c"; GOOS=linux GOARCH=arm64 CGO_ENABLED=0 \
		go build -tags baton_lambda_support -o /dev/null ./cmd/$$c || exit 1; done

.PHONY: image
image: ## Build the image of CONNECTOR (TARGET=lambda for AWS Lambda)
	docker build --build-arg CONNECTOR=$(CONNECTOR) --build-arg VERSION=$(VERSION) --target $(TARGET) \
		--label org.opencontainers.image.revision=$$(git rev-parse HEAD) \
		--label org.opencontainers.image.created=$$(git show -s --format=%cI HEAD) \
		-t $(IMAGE) .

TARGET ?= image
IMAGE   = $(CONNECTOR)$(if $(ON_LAMBDA),-lambda):$(VERSION)

ON_LAMBDA = $(filter lambda,$(TARGET))

# The image for AWS Lambda has another entry point and no volumes, so its test
# sets both. The simulators listen on loopback, so this needs Docker on Linux.
HARDENED = --read-only --cap-drop ALL --security-opt no-new-privileges $(if $(ON_LAMBDA),--entrypoint /$(CONNECTOR) -v /out -v /tmp)

.PHONY: image-test
image-test: bin/simulators bin/baton ## Sync a simulated vendor in the image of CONNECTOR; only /out and /tmp are writable
	docker run --rm $(HARDENED) --network none $(IMAGE) --version
	docker run --rm $(HARDENED) --network none $(IMAGE) capabilities
	@set -eu; work=$$(mktemp -d); name=image-test-$$$$; \
	bin/simulators --env-file "$$work/env" >"$$work/said" 2>&1 & simulators=$$!; \
	finish() { \
		code=$$?; trap - EXIT; \
		docker rm --force --volumes $$name >/dev/null 2>&1 || true; \
		kill $$simulators 2>/dev/null || true; wait $$simulators || { code=1; cat "$$work/said"; }; \
		rm -rf "$$work"; exit $$code; \
	}; \
	trap finish EXIT; trap 'exit 130' INT; trap 'exit 143' TERM; \
	until [ -e "$$work/env" ]; do kill -0 $$simulators; sleep 0.1; done; \
	. "$$work/env"; \
	docker run --name $$name $(HARDENED) --network host $$(sed -n 's/^export \([A-Z0-9_]*\)=.*/-e \1/p' "$$work/env") $(IMAGE) --file /out/sync.c1z; \
	docker cp $$name:/out/sync.c1z "$$work/sync.c1z"; \
	bin/baton stats -f "$$work/sync.c1z"

.PHONY: snapshot
snapshot: ## Build all release files into dist/ and start the binaries
	$(call TOOL,release,goreleaser) check
	$(call TOOL,release,goreleaser) release --snapshot --clean
	@$(MAKE) --no-print-directory snapshot-starts

# Starts the binaries for this machine; on linux/amd64, also those for Lambda.
.PHONY: snapshot-starts
snapshot-starts:
	@for binary in dist/*_$$(go env GOHOSTOS)_$$(go env GOHOSTARCH)*/baton-*; do \
		printf '%s: ' "$$binary" && "$$binary" --version || exit 1; done

.PHONY: release-files
release-files: ## Build the release of the checked-out tag into dist/, with images
	$(call TOOL,release,goreleaser) release --clean --skip=publish
	sh scripts/images.sh

.PHONY: publish
publish: ## Sign and publish dist/ (the release workflow does this)
	@sh scripts/publish.sh

.PHONY: live
live: bin/$(CONNECTOR) bin/baton ## Sync a real tenant with CONNECTOR and the credentials in the environment
	@sh scripts/live.sh $(CONNECTOR)

.PHONY: version
version:
	@echo $(VERSION)

# Prints the connectors as a JSON array, for the workflows.
.PHONY: connectors
connectors:
	@echo '$(CONNECTORS)' | sed 's/ /","/g; s/.*/["&"]/'

.PHONY: clean
clean: ## Remove all build output
	rm -rf bin dist demo cover.out
