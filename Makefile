# Everything a developer does, one command each. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := $(CURDIR)/bin
REPORTS := $(CURDIR)/bin/reports
PARTS := $(or $(SIGNALBOX_PARTS_DIR),$(or $(TMPDIR),/tmp)/signalbox-parts-$(shell id -u))
GO_FILES := $(shell git ls-files '*.go')
TESTSUM = $(BIN)/gotestsum --format pkgname --format-hide-empty-pkg --hide-summary=skipped

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

# Without the pages on which gRPC shows its traces (html/template) nothing looks methods up by names that are made at run
# time, and the linker leaves out what nobody calls: a quarter of the binary and of its pages in memory. One import can undo it.
.PHONY: build
build: ## build bin/signalbox
	CGO_ENABLED=0 go build -trimpath -tags grpcnotrace -o $(BIN)/signalbox ./cmd/signalbox
	@if go tool nm $(BIN)/signalbox | grep -c ' reflect\.(\*Value)\.MethodByName$$' >/dev/null; then \
	  echo "bin/signalbox looks methods up by name (text/template, a new import?), so the linker keeps all that there are" >&2; exit 1; fi

.PHONY: test
test: format-check vet unit ## everything the gate runs: format, vet, lint, unit, end to end, benchmarks
	$(MAKE) -j3 e2e lint-beside # end-to-end tests wait more than they compute
	$(MAKE) bench-smoke
	@echo "all green"

.PHONY: check
check: format-check vet lint gosec ## format, vet, lint and gosec

.PHONY: format
format: ## format the code
	gofmt -w $(GO_FILES)

.PHONY: format-check
format-check:
	@files=$$(gofmt -l $(GO_FILES)); if [ -n "$$files" ]; then echo "not formatted (make format): $$files" >&2; exit 1; fi

.PHONY: vet
vet:
	go vet -tags e2e ./...

.PHONY: lint
lint: tools
	$(BIN)/staticcheck -tags e2e ./...

# Not asked: G104 (errors that are dropped; staticcheck and review see to that), G204 (running the programs it is given is
# what Signalbox does) and G304 (paths are the operator's, or were checked where they came in). Every other finding is
# answered at its place.
.PHONY: gosec
gosec: tools ## gosec: what looks unsafe, apart from tests and examples
	$(BIN)/gosec -quiet -exclude=G104,G204,G304 -exclude-generated -exclude-dir=functions/examples ./...

.PHONY: govulncheck
govulncheck: tools ## known vulnerabilities in what is called; asks vuln.go.dev, or GOVULNDB (https://… or file://…)
	$(BIN)/govulncheck $(if $(GOVULNDB),-db $(GOVULNDB)) ./...

.PHONY: schemathesis
schemathesis: tools build ## ask the API much more of what its document says (a quarter of an hour)
	SIGNALBOX_BIN=$(BIN)/signalbox SIGNALBOX_SCHEMATHESIS_EXAMPLES=$${SIGNALBOX_SCHEMATHESIS_EXAMPLES:-200} \
	  $(TESTSUM) -- -tags e2e -count 1 -timeout 60m -run TestTheAPIIsAsItsDocumentSays ./e2e/

.PHONY: unit
unit: tools ## tests without anything but Go, with the race detector
	mkdir -p $(REPORTS)
	$(TESTSUM) --jsonfile $(REPORTS)/unit.json -- -race -timeout 30m ./...
	go test -run Alloc ./event ./policies/... ./otel/tracing # allocations differ under the race detector
	@e2e/no-skips $(REPORTS)/unit.json

.PHONY: e2e
e2e: e2e-system e2e-stores ## conformance and end-to-end tests with the real parts

# Those that take long, and the conformance suites, have parts of their own and run beside the others.
LONG := ^Test(CrashAtEachStep|Storm|ASchedule|LimitsOfABroker|WithoutKafka|TheAPIIsAs)

.PHONY: e2e-system
e2e-system: tools build
	mkdir -p $(REPORTS)
	e2e/parts/up kube >/dev/null # its first build takes longer than tests may
	SIGNALBOX_BIN=$(BIN)/signalbox $(TESTSUM) --jsonfile $(REPORTS)/e2e.json -- -tags e2e -timeout 40m -skip '$(LONG)' ./e2e
	@e2e/no-skips $(REPORTS)/e2e.json

.PHONY: e2e-stores
e2e-stores: export SIGNALBOX_PARTS_DIR := $(PARTS)-beside
e2e-stores: tools build
	mkdir -p $(REPORTS)
	$(TESTSUM) --jsonfile $(REPORTS)/stores.json -- -tags e2e -p 1 -timeout 40m ./eventlog/... ./ledger/... ./e2e/parts ./e2e/history
	SIGNALBOX_BIN=$(BIN)/signalbox $(TESTSUM) --jsonfile $(REPORTS)/long.json -- -tags e2e -timeout 40m -run '$(LONG)' ./e2e
	e2e/parts/down >/dev/null
	@e2e/no-skips $(REPORTS)/stores.json
	@e2e/no-skips $(REPORTS)/long.json

.PHONY: lint-beside
lint-beside: tools
	nice -n 19 $(MAKE) lint gosec

.PHONY: crash
crash: tools build ## the long crash test: 220 kills and more, ten at each step of an event's way; and storms of faults
	SIGNALBOX_BIN=$(BIN)/signalbox SIGNALBOX_CRASH_RUNS=$${SIGNALBOX_CRASH_RUNS:-220} SIGNALBOX_STORMS=$${SIGNALBOX_STORMS:-10} \
	  $(TESTSUM) -- -tags e2e -count 1 -timeout 90m -run 'TestCrash|TestStorm' ./e2e/

.PHONY: long
long: tools build ## tests with parts that take minutes to start (Keycloak)
	go vet -tags e2e,long ./e2e
	SIGNALBOX_BIN=$(BIN)/signalbox $(TESTSUM) -- -tags e2e,long -count 1 -timeout 30m -run TestKeycloak ./e2e/

.PHONY: whatif
whatif: ## what-if over a million events, compared with brute force (a quarter of an hour)
	SIGNALBOX_WHATIF_EVENTS=$${SIGNALBOX_WHATIF_EVENTS:-1000000} go test -count 1 -timeout 90m -v -run TestWhatIfOfManyEvents ./app

.PHONY: fuzz
fuzz: ## fuzz every parser for 30 s each
	@for pkg in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
	  for f in $$(grep -hoE '^func Fuzz[A-Za-z0-9]+' $$pkg/*_test.go | sed 's/func //'); do \
	    echo "$$pkg $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime 30s $$pkg; done; done

.PHONY: bench
bench: build ## the full benchmark: writes docs/benchmarks.md
	go run ./bench -signalbox $(BIN)/signalbox -out docs/benchmarks.md

.PHONY: bench-smoke
bench-smoke: build ## a short benchmark: it must run, its figures are not asserted
	mkdir -p $(REPORTS)
	go run ./bench -smoke -signalbox $(BIN)/signalbox -out $(REPORTS)/benchmarks.md

.PHONY: parts-up
parts-up: ## start the real parts (Kafka, Redis, Jaeger)
	e2e/parts/up

.PHONY: parts-down
parts-down: ## stop the real parts
	e2e/parts/down

.PHONY: tools
tools: $(BIN)/.tools

$(BIN)/.tools: tools/go.mod tools/go.sum
	mkdir -p $(BIN)
	cd tools && GOBIN=$(BIN) go install tool
	touch $@
