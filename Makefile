# Everything that is done with this tree. `make` alone says what there is.

GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK   := golang.org/x/vuln/cmd/govulncheck@v1.9.0

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# Tests of several packages start brokers and Redis servers of their own.
TEST_FLAGS ?=
TEST_TIMEOUT ?= 45m

.DEFAULT_GOAL := help
.PHONY: help check lint tidy fmt vuln setup test test-quick sim sim-exhaustive mutants mutants-doctor chaos load fuzz cover bench bench-pipeline bench-notify bench-latency bench-recovery bench-rebuild bench-growth bench-soak bench-idle bench-guard bench-peers bench-peers-apart bench-figures bench-peers-test incident flights generate build clean

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check: lint tidy vuln ## Look at the code without running it: format, lint, modules, known vulnerabilities

lint: ## Check the format, go vet and the linters of .golangci.yml
	go run $(GOLANGCI_LINT) run ./...
	cd bench/peers && go run $(GOLANGCI_LINT) run ./...

tidy: ## Check that go.mod says what the code needs
	go mod tidy -diff
	go mod verify
	go -C bench/peers mod tidy -diff

vuln: ## Look for known vulnerabilities, where their database can be reached
	@./test/vuln.sh $(GOVULNCHECK)

fmt: ## Format the code
	go run $(GOLANGCI_LINT) fmt ./...
	cd bench/peers && go run $(GOLANGCI_LINT) fmt ./...

setup: ## Install what the tests need and is missing (redis-server, kcat, curl, Java, Node.js, Python, Chromium, Kafka's jars, validators, SDKs)
	@./test/setup.sh

test: setup sim ## Run every test, with the race detector, on real Kafka and real Redis too; and what sim does
	go test -race -count=1 -timeout $(TEST_TIMEOUT) $(TEST_FLAGS) ./...

test-quick: ## Run the tests that need no broker, without the race detector
	go test -short ./config/... ./internal/participant/... ./internal/rules/... ./internal/wire/... ./internal/engine/... ./internal/fold/... ./internal/service/... ./internal/telemetry/... .

sim: ## Play 10,000 seeds of every fault, or one again: make sim SEED=7 STEPS=1500
	@go run ./internal/engine/enginetest/sim $(if $(SEED),-seed $(SEED)) $(if $(STEPS),-steps $(STEPS)) $(if $(SEEDS),-seeds $(SEEDS))

# Small worlds as records/faults. 1/1,2/1 takes two minutes on 2 cores, each of the last two half an hour.
SCOPES ?= 1/1,2/1,3/1,1/2
sim-exhaustive: ## Search small worlds whole: 2 processes, 1 partition, up to 3 records, every order, every fault
	@go run ./internal/engine/enginetest/sim -exhaust $(SCOPES)

# The campaign of 100 took 17 minutes on 2 cores; a short one: make chaos SCHEDULES=10.
SCHEDULES ?= 100
chaos: setup ## Play every directed schedule of faults, and a campaign of seeds, on real brokers, a real Redis and real processes
	go run ./test/chaos/veltrix-chaos run --jobs 2 test/chaos/testdata/*.yaml
	go run ./test/chaos/veltrix-chaos campaign --schedules $(SCHEDULES) --seed 1 --jobs 2 --write docs/reliability.md

LOAD ?= 1m
load: setup ## Have 1,000 connections send to a gateway for LOAD, kill a broker in the middle, and compare the log with the answers
	go test -count=1 -timeout $(TEST_TIMEOUT) -v -run TestGatewayUnderLoad ./test/e2e -load $(LOAD)

mutants: setup ## Take each protection out and see its test fail; write docs/mutants.md
	go run ./test/mutants -write docs/mutants.md

mutants-doctor: setup ## Take each condition of what the doctor detects out, and see its row's test fail; write docs/mutants.md
	go run ./test/mutants -doctor -write docs/mutants.md

# Each fuzzer for so long; what it finds stays in its package's testdata/fuzz.
FUZZTIME ?= 30s
fuzz: ## Run every fuzzer for FUZZTIME; the tests play their corpora each time
	@grep -rl --include='*_test.go' '^func Fuzz' . | xargs grep -ho --with-filename '^func Fuzz[A-Za-z]*' | while IFS=: read -r file func; do \
		go test -C "$$(dirname $$file)" -run '^$$' -fuzz "^$${func#func }$$" -fuzztime $(FUZZTIME) . || exit 1; done

cover: setup ## Run every test and write the coverage to .cache/cover.html
	@mkdir -p .cache
	go test -count=1 -timeout $(TEST_TIMEOUT) -coverpkg=./... -coverprofile=.cache/cover.out ./...
	go tool cover -html=.cache/cover.out -o .cache/cover.html
	@go tool cover -func=.cache/cover.out | tail -n 1

bench: ## Run the micro-benchmarks
	go test -run '^$$' -bench . -benchmem ./...

bench-pipeline: ## Measure the processor on a real Kafka and a real Redis, and say where its CPU goes
	@mkdir -p .cache
	go run ./test/broker/run -- go run ./cmd/veltrix bench --events 1000000 --rounds 5 --cpuprofile .cache/cpu.out

bench-notify: ## Measure the notifier with 10,000 players connected, and write docs/performance.md
	go run ./test/broker/run -- go run ./cmd/veltrix bench notify --write docs/performance.md

bench-latency: ## Measure how long events take until their notification, and write docs/performance.md
	go run ./test/broker/run -- go run ./cmd/veltrix bench latency --write docs/performance.md

bench-recovery: ## Measure how long a killed processor is missed under load, and write docs/performance.md
	go run ./test/broker/run -- go run ./cmd/veltrix bench recovery --write docs/performance.md

bench-rebuild: ## Measure how long it takes to build anew what Redis lost
	go run ./test/broker/run -- go run ./cmd/veltrix bench rebuild --participants 1000000 --events 2200000 --tail 200000
	go run ./test/broker/run -- go run ./cmd/veltrix bench rebuild --partitions 1 --participants 100000 --events 440000 --tail 40000

bench-growth: ## Measure how the cost of an event grows, and write docs/performance.md
	go run ./test/broker/run -- go run ./cmd/veltrix bench growth --write docs/performance.md

bench-soak: ## Watch a processor's memory for ten minutes, with more participants than its cache holds, and write docs/performance.md
	go run ./test/broker/run -- go run ./cmd/veltrix bench soak --participants 200000 --processor-cache-bytes 64MiB --write docs/performance.md

bench-idle: ## Measure what a processor uses that has 1,000 partitions and nothing to do, and write docs/performance.md
	go run ./test/broker/run -- go run ./cmd/veltrix bench idle --write docs/performance.md

# What a run of GUARD costs is compared with a recorded run of the same; CI has a short one, and
# allows more, since its machine is not the one that recorded it.
GUARD ?=
bench-guard: setup ## Fail where an event costs 15 % more CPU, in units of a bare consume loop, than bench/guard.json records
	go run ./test/broker/run -- go run ./cmd/veltrix bench guard $(GUARD)

# The two targets that remake the figures of docs/performance.md; of the second, what fails leaves the rest to be measured. The states of wide do not fit the usual cache.
# The first takes 95 minutes, of which naive takes 26. A part of it, without what bench-peers-apart does: make bench-peers WORKLOAD=core PEERS=franz-alo,streams-redis
WORKLOAD ?= core wide disorder rules
BESIDE   := go run ./test/broker/run -- go run -C bench/peers ./run --write docs/performance.md
bench-peers: peers-in-java ## Measure the processor beside what people run without Veltrix, and write docs/performance.md
	@set -e; for workload in $(WORKLOAD); do \
		$(BESIDE) --workload $$workload $(if $(PEERS),--peers $(PEERS)) $$(if [ $$workload = wide ]; then echo --processor-cache-bytes 1GiB; fi); done
	@$(if $(filter file,$(origin WORKLOAD)$(PEERS)),$(MAKE) bench-peers-apart)

bench-peers-apart: peers-in-java ## Measure them with one client each, and the hand-written loop with the product's decoder and fold; part of bench-peers
	$(BESIDE) --block core-one-client --clients 1 --peers franz-eos,franz-alo,streams,streams-hand,streams-redis,streams-redis-hand
	$(BESIDE) --block core-at-least-once --peers franz-alo,franz-alo-decoder,franz-alo-fold
	$(BESIDE) --block rules-at-least-once --workload rules --peers franz-alo,franz-alo-decoder,franz-alo-fold
	$(BESIDE) --block disorder-at-least-once --workload disorder --peers franz-alo,franz-alo-decoder

bench-figures: setup ## Measure everything else that docs/performance.md has, in turn, and write it there: 40 minutes
	$(MAKE) -k bench-latency bench-recovery bench-growth bench-soak bench-idle bench-notify bench-pipeline bench-rebuild

bench-peers-test: peers-in-java ## Run every peer once on a small workload, and the tests of what they share
	go test -C bench/peers -count=1 -timeout $(TEST_TIMEOUT) $(TEST_FLAGS) ./...

.PHONY: peers-in-java
peers-in-java:
	@./test/setup.sh peers
	mvn -q -B -f bench/peers/streams/pom.xml package

incident: setup ## Play the incident behind Veltrix, and write docs/incident.md
	go test -count=1 -timeout $(TEST_TIMEOUT) -v -run TestIncident ./test/e2e -write-incident

flights: ## Build the whole year of the flights example from its package
	./examples/flights/build.sh

generate: ## Write the generated pages: docs/configuration.md, docs/metrics.md, docs/doctor.md, docs/acls.md
	go test ./config -run TestReferencePageIsCurrent -rewrite
	go test ./internal/telemetry -run TestReferencePageIsCurrent -rewrite
	go test ./internal/preflight -run TestPageIsCurrent -rewrite
	go test ./deploy/kafka -run 'TestPageIsCurrent|TestExportsAreCurrent' -rewrite

build: ## Build the four commands into bin/
	go build -ldflags "-X main.version=$(VERSION)" -o bin/ ./cmd/...

clean: ## Remove what was built, and the cache
	rm -rf bin .cache
