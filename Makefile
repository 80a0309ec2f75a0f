# make demo    see an enrolment happen        make test   what every change must pass
# make check   race detector, lint, cross builds (installs its linter)
# make e2e     the suite against a real Icinga 2 and Director (root on Debian; installs them)
# make e2e-elsewhere RELEASE=trixie  the same against another Debian's, in a container
#
# The campaigns, each with a table of what was survived at its end:
# make crash   killed 2,000 times, at every operation on the file system and at random, and with disks
#              that fail (root on Linux); KILLS=200 for fewer, SEED=7 for the same again
# make crash-e2e  some of that against the lab
# make faults  every fault of network and servers in every phase, against the lab; FAULTS=short for a third
# make attacks whoever may try attacks the program (root on Linux); ATTACKS=short for a part
# make fuzz    every fuzz target, for FUZZTIME=60s each
#
# What it costs; the tables are in testdata/results:
# make bench   an enrolment beside the usual way and beside the bare requests, and an idle daemon
# make fleet   N nodes in one process: against the lab, a busy Director, and three years
# make bench-check fleet-check  the same in small; they fail where a ratio is broken
# make benchmarks  Go's, compared with the baseline; make benchmarks-baseline makes that anew
#
# Installed (root on Debian):
# make systemd-test  the service under a real systemd, in a container
# make init-test     the same under OpenRC and System V init
# make images-test   sealed and unsealed copies of a machine, against the lab
# make provisioning-test  Ansible, cloud-init and the API clients' image, against the lab
# make packages  deb, rpm, apk, archives, checksums and SBOMs, in dist/
# make packages-test  the deb and the rpm in containers, against the lab
# make msi           the installer for Windows, in dist/ (needs wixl and msitools)
# make windows-test  the tests and the program as on Windows, under Wine
# make foreign-test  the tests as on arm64 and on s390x, which is big-endian (qemu)

GO      ?= go
BIN     := bin/icinga-enroll
LINT    := golangci-lint
LINTVER := v2.15.0
CROSS   := linux/amd64 linux/arm64 linux/arm linux/s390x windows/amd64 darwin/arm64 freebsd/amd64
VET     := windows darwin freebsd
NFPMVER := v2.45.2
# the packages that ./... leaves out
CAMPAIGNS := ./testdata/attacks ./testdata/bench ./testdata/campaign ./testdata/crash ./testdata/faults
NFPM    := bin/nfpm-$(NFPMVER)
LAB     := testdata/lab/lab
# the environment of what finds the servers there
INLAB    = ENROLL_LAB="$$(dirname "$$($(LAB) env)")/lab.json"

export CGO_ENABLED ?= 0
# packaging/build reads the next two here, too.
# No server here is asked in HTTP/2: without it the program is half a megabyte smaller.
export GOFLAGS ?= -tags=nethttpomithttp2
# Functions on 16 bytes, as C compilers have them, instead of 32: a percent less.
export LDFLAGS := -s -w -funcalign=16

.PHONY: attacks bench bench-check benchmarks benchmarks-baseline build check clean crash crash-e2e cross demo e2e e2e-elsewhere faults fleet fleet-check foreign-test fuzz images-test init-test lab lab-down lint man msi packages packages-test picture provisioning-test race systemd-test test tidy windows-test

build:
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/icinga-enroll

demo:
	@$(GO) run ./cmd/icinga-enroll demo

test:
	$(GO) vet ./...
	$(GO) test -timeout 30m ./...

check: tidy lint race cross

tidy:
	$(GO) mod tidy -diff
	$(GO) mod verify

race:
	CGO_ENABLED=1 $(GO) test -race -timeout 30m ./...

lint:
	@$(LINT) version 2>/dev/null | grep -qF '$(LINTVER:v%=%)' || \
	  GOBIN=$(CURDIR)/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINTVER)
	PATH="$(CURDIR)/bin:$$PATH" $(LINT) run
	PATH="$(CURDIR)/bin:$$PATH" $(LINT) run --build-tags e2e
	PATH="$(CURDIR)/bin:$$PATH" $(LINT) run --build-tags e2e $(CAMPAIGNS)
	GOOS=windows PATH="$(CURDIR)/bin:$$PATH" $(LINT) run

cross:
	@for target in $(CROSS); do echo "build $$target"; \
	  GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) build -o /dev/null ./cmd/icinga-enroll || exit 1; done
	@for os in $(VET); do echo "vet $$os"; GOOS=$$os $(GO) vet ./... || exit 1; done

lab:
	$(LAB) up

lab-down:
	$(LAB) down

# One package at a time: some tests break the lab for a moment.
e2e: lab
	$(LAB) satellite up
	$(INLAB) $(GO) test -tags e2e -count=1 -p 1 -timeout 30m ./...

# Most of them wait at once for servers that say nothing.
faults: lab
	$(INLAB) $(GO) test -C testdata/faults -count=1 -parallel 100 -timeout 30m $(if $(FAULTS),-$(FAULTS))

e2e-elsewhere:
	testdata/lab/elsewhere $(RELEASE)

KILLS ?= 2000

crash:
	$(GO) test -C testdata/crash -count=1 -timeout 60m -parallel 8 -kills $(KILLS) $(if $(SEED),-seed $(SEED))

crash-e2e: lab
	$(INLAB) $(GO) test -C testdata/crash -tags e2e -count=1 -run TestLab $(if $(SEED),-seed $(SEED))

attacks:
	cd testdata/attacks && $(GO) test -count=1 -timeout 40m

systemd-test: build
	testdata/systemd/test $(BIN)
	testdata/systemd/test-agent $(BIN)

init-test: build
	testdata/systemd/test-scripts openrc $(BIN)
	testdata/systemd/test-scripts sysv $(BIN)

images-test: build lab
	testdata/systemd/test-images $(BIN) $(LAB)

provisioning-test: build lab
	testdata/systemd/test-provisioning $(BIN) $(LAB)

# The version begins as 1.2.3 does, or Windows Installer can't compare it.
VERSION ?= $(shell git describe --tags --match 'v[0-9]*' 2>/dev/null || echo v0.0.0)

msi:
	GOOS=windows GOARCH=amd64 $(GO) build -trimpath -ldflags '$(LDFLAGS) -X main.released=$(VERSION:v%=%)' -o bin/windows/icinga-enroll.exe ./cmd/icinga-enroll
	mkdir -p dist
	packaging/msi/build $(VERSION) bin/windows/icinga-enroll.exe dist/icinga-enroll_$(VERSION:v%=%)_windows_amd64.msi
	cd dist && rm -f SHA256SUMS && sha256sum -- * >SHA256SUMS

foreign-test:
	testdata/foreign/test arm64
	testdata/foreign/test s390x

FUZZTIME ?= 60s

fuzz:
	testdata/fuzz/all $(FUZZTIME)

windows-test:
	testdata/wine/test

# The picture in the README: what the demo prints, with a name that is nobody's.
picture: build
	packaging/picture/make $(BIN) >packaging/picture/demo.svg

man: build
	$(BIN) package-files bin/stage

$(NFPM):
	GOBIN=$(CURDIR)/bin $(GO) install github.com/goreleaser/nfpm/v2/cmd/nfpm@$(NFPMVER)
	mv bin/nfpm $@

packages: $(NFPM)
	NFPM=$(NFPM) packaging/build

packages-test: $(NFPM) lab
	NFPM=$(CURDIR)/$(NFPM) testdata/systemd/test-packages

clean:
	rm -rf bin dist

BENCH = $(INLAB) $(GO) test -C testdata/bench -count=1 -timeout 30m

# What waits for a renewal elsewhere; it is only measured.
STEPVER := v0.28.7

bench: lab
	$(LAB) satellite up
	mkdir -p testdata/results
	@test -x bin/step || GOBIN=$(CURDIR)/bin $(GO) install github.com/smallstep/cli/cmd/step@$(STEPVER)
	PATH="$(CURDIR)/bin:$$PATH" $(BENCH) -v -runs 10 -idle 5m -out ../results

bench-check: lab
	$(BENCH) -runs 3

FLEET = $(INLAB) $(GO) test -C testdata/fleet -count=1

fleet: lab
	$(FLEET) -v -timeout 90m . -full -results ../results

fleet-check: lab
	$(GO) vet -C testdata/fleet ./...
	$(FLEET) .

BENCHSTATVER := v0.0.0-20260908200009-22c9c6c9d4da
BENCHMARKS   := $(GO) test -run '^$$' -bench . -benchmem -count 6 ./cmd/icinga-enroll ./pki/... ./renew ./enroll

benchmarks:
	@test -x bin/benchstat || GOBIN=$(CURDIR)/bin $(GO) install golang.org/x/perf/cmd/benchstat@$(BENCHSTATVER)
	$(BENCHMARKS) >bin/benchmarks.txt
	bin/benchstat testdata/results/benchmarks.txt bin/benchmarks.txt

benchmarks-baseline:
	$(BENCHMARKS) >testdata/results/benchmarks.txt
