# make demo    see an enrolment happen        make test   what every change must pass
# make check   race detector, lint, cross builds (installs its linter)
# make e2e     the suite against a real Icinga 2 and Director (root on Debian; installs them)

GO      ?= go
BIN     := bin/icinga-enroll
LINT    := golangci-lint
LINTVER := v2.15.0
CROSS   := linux/amd64 linux/arm64 linux/arm linux/386 linux/riscv64 linux/s390x linux/ppc64le \
           windows/amd64 windows/arm64 darwin/amd64 darwin/arm64 freebsd/amd64 freebsd/arm64
LAB     := testdata/lab/lab

export CGO_ENABLED ?= 0

.PHONY: build demo test check race lint cross tidy fuzz e2e lab lab-down bench clean

build:
	$(GO) build -trimpath -ldflags '-s -w' -o $(BIN) ./cmd/icinga-enroll

demo:
	@$(GO) run ./cmd/icinga-enroll demo

test:
	$(GO) vet ./...
	$(GO) test ./...

check: tidy lint race cross

tidy:
	$(GO) mod tidy -diff
	$(GO) mod verify

race:
	CGO_ENABLED=1 $(GO) test -race ./...

lint:
	@$(LINT) version 2>/dev/null | grep -qF '$(LINTVER:v%=%)' || \
	  GOBIN=$(CURDIR)/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINTVER)
	PATH="$(CURDIR)/bin:$$PATH" $(LINT) run
	PATH="$(CURDIR)/bin:$$PATH" $(LINT) run --build-tags e2e
	GOOS=windows PATH="$(CURDIR)/bin:$$PATH" $(LINT) run

cross:
	@for target in $(CROSS); do \
	  echo "$$target"; \
	  GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) build -o /dev/null ./cmd/icinga-enroll && \
	  GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) vet ./... || exit 1; \
	done

lab:
	$(LAB) up

lab-down:
	$(LAB) down

e2e: lab
	ENROLL_LAB="$$(dirname "$$($(LAB) env)")/lab.json" $(GO) test -tags e2e -count=1 ./...

clean:
	rm -rf bin

bench: build lab
	testdata/bench/compare
