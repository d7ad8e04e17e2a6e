# make test proves the project on real servers, make prove does so at length.

GO       ?= go
SERVERS  := .servers
GOFUMPT  := mvdan.cc/gofumpt@v0.12.0
GORELEASER := github.com/goreleaser/goreleaser/v2@v2.15.0
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME ?= 20s
MINUTES  ?= 30
SEED     ?= 1
SERVER   ?= redis-7.0,valkey-9.1
TIMES    ?= 3
# Version and commit come from git, where it answers.
STAMP    := $(shell git status >/dev/null 2>&1 && echo auto || echo false)

.PHONY: build test chaos chaos-sum chaos-guards stock-compare prove race lint explore differential mutants bench demo fuzz servers capture docs cross release clean

build: ## bin/trib
	CGO_ENABLED=0 $(GO) build -buildvcs=$(STAMP) -trimpath -ldflags '-s -w' -o bin/trib ./cmd/trib

# Most tests wait for servers most of the time.
test: servers lint ## everything that proves the project, on real servers
	@echo "servers under test:"; scripts/servers.sh $(SERVERS)
	$(GO) test -timeout 25m -parallel 3 ./...

prove: servers ## the long form: every kill point, longer fuzzing, the race detector
	$(GO) test -timeout 60m -count=1 ./internal/chaos -run 'TestKillEverywhere|TestKillMembers|TestKillFix' -v -every=1
	$(GO) test -timeout 60m -count=1 ./pkg/apply -run 'TestEveryFault|TestHealKilled' -v -every=1
	$(MAKE) explore differential MINUTES=5
	$(MAKE) race
	$(MAKE) fuzz FUZZTIME=2m

# What fails is kept in .chaos: logs, nodes.conf, data, journals, the story of the
# trial; and a line for every trial, so that several runs add up.
CHAOS     = $(GO) test -timeout 0 -count=1 ./internal/chaos -run '^TestChaos$$' -v
RESULTS   = $(CURDIR)/.chaos/results.jsonl

chaos: servers ## MINUTES of faults by lot (SEED) on real servers (SERVER), with writers
	$(CHAOS) -minutes=$(MINUTES) -seed=$(SEED) -servers=$(SERVER) -evidence=$(CURDIR)/.chaos -results=$(RESULTS) -commit=$(shell git describe --always --dirty)

chaos-sum: ## what all runs of make chaos add up to
	$(CHAOS) -sum=$(RESULTS)

chaos-guards: servers ## chaos must notice a mover without its guards
	$(GO) test -timeout 30m -count=1 ./internal/chaos -run '^TestChaosGuards$$' -v -guards

stock-compare: servers ## the same accidents before trib, redis-cli and valkey-cli, TIMES each, and a table
	$(GO) test -timeout 0 -count=1 ./internal/chaos -run '^TestStockCompare$$' -v -stock=$(TIMES)

race: servers ## the tests under the race detector
	$(GO) test -race -timeout 40m ./...

lint: ## formatting, vet, staticcheck; the house rules are tests in internal/lint
	@out=$$($(GO) run $(GOFUMPT) -l .); test -z "$$out" || { echo "gofumpt would change:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

fuzz: ## every fuzz target for FUZZTIME
	@set -e; for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

explore: ## several faults in one simulated run, by seed, for MINUTES
	$(GO) test -timeout 0 -count=1 ./pkg/apply -run TestStorms -v -minutes=$(MINUTES) -seed=$(SEED)

differential: servers ## random scripts on the simulator and on real servers, for MINUTES
	$(GO) test -timeout 0 -count=1 ./internal/sim -run TestDifferential -v -minutes=$(MINUTES) -seed=$(SEED)

mutants: ## which mutants of the mover and the repair nobody notices; goes on where it stopped
	$(GO) run ./scripts/mutants -minutes $(MINUTES)

bench: build servers ## trib beside redis-cli 7.0, in one run
	scripts/bench.sh
	$(GO) test -run '^$$' -bench . -benchmem ./pkg/... ./internal/chaos

demo: build ## six local nodes: create, write, move, check, clean up
	scripts/demo.sh

servers: ## the servers of the test matrix, unpacked into .servers
	@scripts/servers.sh $(SERVERS) >/dev/null

capture: servers ## testdata/nodes anew from real servers
	$(GO) test -tags capture -run TestCapture -count=1 ./internal/lab/labtest

docs: ## man pages, reference and completions, into dist/docs
	rm -rf dist/docs
	$(GO) run ./cmd/trib-docs dist/docs

# What .goreleaser.yaml releases.
TARGETS := $(foreach os,linux darwin windows freebsd,$(os)/amd64 $(os)/arm64)

cross: $(addprefix cross/,$(TARGETS)) ## every target of a release compiles, statically

cross/%:
	CGO_ENABLED=0 GOOS=$(patsubst %/,%,$(dir $*)) GOARCH=$(notdir $*) $(GO) build -trimpath -ldflags '-s -w' -o /dev/null ./cmd/trib

release: ## the archives of .goreleaser.yaml, into dist, and nothing published
	$(GO) run $(GORELEASER) release --snapshot --clean

clean:
	rm -rf bin dist
