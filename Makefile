# Everything is set up into .venv; a machine needs git, make and Python 3.11 or newer.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
EMULATOR := .venv/emulator/.installed
DJSTRIPE := .venv/djstripe/.installed
SAMPLES := .venv/samples/.installed
FUZZ := .venv/fuzz/.installed
CODE := $(sort $(shell find app.py lib rehearsal src tests -name '*.py'))
# Called after which files there are, so that one that came or went is checked for, too.
CHECKED := .venv/.checked-$(shell echo $(CODE) | cksum | cut -d ' ' -f 1)
CDK := .venv/cdk/node_modules/.bin/cdk
BROWSER := .venv/browser/node_modules/.package-lock.json

# $(call install,ENVIRONMENT,WHAT): uv needs seconds where pip needs minutes; pip goes on where uv can't, as with an index that only pip's settings name.
install = $(BIN)/uv pip install --quiet --python $(1)/bin/python $(2) 2>/dev/null || \
	$(1)/bin/python -m pip install --quiet --disable-pip-version-check $(2)

# $(call environment,DIRECTORY): what was left half made, as by Ctrl-C, is made anew. Debian's Python tells that a part is missing only after it made the rest.
environment = $(1)/bin/python -m pip --version >/dev/null 2>&1 || { \
	$(MADE_BY) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) can't make $(1): on Debian or Ubuntu, apt install $(notdir $(PYTHON))-venv; elsewhere, a Python that has venv and ensurepip" >&2; exit 1; }; \
	$(MADE_BY) -m venv --clear $(1) || { rm -rf $(1); exit 1; }; }
MADE_BY := PATH="$(PATH)" $(PYTHON)

# Python keeps what it compiled, in .venv and beside the code, even where the machine's settings forbid it, as those of container images do:
# else whatever starts parses all that it imports, a service for two seconds, and a synthesis of the infrastructure for nine.
# What `tap up` starts is compiled when it is installed, since nobody need start it by make.
export PYTHONDONTWRITEBYTECODE :=

# Node is in .venv: the CDK's library and its command line are to find that one.
test rehearse rehearse-aws synth browser bench-browser $(CDK) $(BROWSER): export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help install up down test check format sdk-check cli-check fuzz recording simulate bench bench-growth bench-deliveries bench-migration bench-read bench-books bench-browser acknowledged lock synth cdk browser images rehearse rehearse-aws

help: ## Show the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

install: $(INSTALLED) ## Set up .venv

$(INSTALLED): requirements-installer.txt requirements-dev.txt pyproject.toml
	@$(MADE_BY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "Tap needs Python 3.11 or newer; $(PYTHON) isn't. Try: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(call environment,.venv)
	@echo "Installing into .venv …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-installer.txt
	@$(call install,.venv,--require-hashes -r requirements-dev.txt)
	@$(call install,.venv,--no-deps --no-build-isolation -e .)
	@$(BIN)/python -c 'import payments.cli.main, payments.cli.local_run, payments.payment_api.main, payments.transaction_processor.main, payments.notification_service.main'
	@touch $@

$(EMULATOR): requirements-emulator.txt $(INSTALLED)
	@$(call environment,.venv/emulator)
	@echo "Installing the emulator of AWS into .venv/emulator …"
	@$(call install,.venv/emulator,--require-hashes -r requirements-emulator.txt)
	@touch $@

$(SAMPLES): tests/cli/requirements.txt $(INSTALLED)
	@$(call environment,.venv/samples)
	@echo "Installing what webhook handlers are made with into .venv/samples …"
	@$(call install,.venv/samples,--require-hashes -r tests/cli/requirements.txt)
	@touch $@

$(FUZZ): tests/fuzz/requirements.txt $(INSTALLED)
	@$(call environment,.venv/fuzz)
	@echo "Installing schemathesis into .venv/fuzz …"
	@$(call install,.venv/fuzz,--require-hashes -r tests/fuzz/requirements.txt)
	@touch $@

$(DJSTRIPE): tests/sdk/djstripe/requirements.txt $(INSTALLED)
	@$(call environment,.venv/djstripe)
	@echo "Installing dj-stripe into .venv/djstripe …"
	@$(call install,.venv/djstripe,--require-hashes -r tests/sdk/djstripe/requirements.txt)
	@touch $@

up: $(INSTALLED) ## Run Tap here, on http://127.0.0.1:8080 (ARGS="--port 9000")
	@$(BIN)/tap up $(ARGS)

down: $(INSTALLED) ## Stop what `tap up --detach` started
	@$(BIN)/tap down $(ARGS)

# In the order of their names, since what takes long comes first in it, and none of the workers ends long after the others.
# Two workers more than processors: some tests wait, as for what was killed to be back.
test: check $(EMULATOR) $(CDK) $(BROWSER) ## Run all checks and tests
	@$(BIN)/pytest --numprocesses $$(($$(getconf _NPROCESSORS_ONLN) + 2)) --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(CHECKED) ## Lint, types, layers

$(CHECKED): $(INSTALLED) pyproject.toml $(CODE)
	@$(BIN)/ruff format --check --quiet . || { echo "Not formatted: run make format" >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/pyright --warnings > .venv/pyright.log || { cat .venv/pyright.log >&2; exit 1; }
	@$(BIN)/lint-imports > .venv/imports.log || { cat .venv/imports.log >&2; exit 1; }
	@echo "lint, types and layers: clean"
	@rm -f .venv/.checked-* && touch $@

format: $(INSTALLED) ## Format the code
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format --quiet .

sdk-check: $(DJSTRIPE) ## Pay with stripe-go, stripe-java and dj-stripe, all unchanged (needs Go, and a JDK with Maven; ARGS="--only djstripe")
	@$(BIN)/python -m tests.sdk $(ARGS)

cli-check: $(SAMPLES) ## Try the webhook handlers that `tap samples` prints, and the Stripe CLI that is installed (ARGS="--stripe PATH")
	@$(BIN)/python -m tests.cli $(ARGS)

recording: $(SAMPLES) ## Record tap listen beside a webhook handler anew, as docs/images/listen.svg
	@$(BIN)/python -m tests.cli.recording

fuzz: $(FUZZ) ## Fuzz a Tap of its own by its OpenAPI description, five minutes (ARGS="--seconds 60")
	@$(BIN)/python -m tests.fuzz $(ARGS)

SEED ?= 1
STEPS ?= 60

simulate: $(INSTALLED) ## Simulate the services with faults, from a seed (SEED=7 STEPS=200 ARGS="--seeds 100")
	@$(BIN)/python -m tests.simulation --seed $(SEED) --steps $(STEPS) $(ARGS)

bench: $(INSTALLED) ## Measure what operations cost, idle time and two copies of each, beside pgbench's transactions on the same server
	@$(BIN)/python -m tests.benchmarks.payments $(ARGS)

bench-books: $(INSTALLED) ## Measure reconciliation of a million lines, and proof, seals and export of the transfers behind them
	@$(BIN)/python -m tests.benchmarks.books $(ARGS)

bench-growth: $(INSTALLED) ## Measure whether a payment costs the same with a million of them; takes half an hour
	@$(BIN)/python -m tests.benchmarks.growth $(ARGS)

bench-deliveries: $(INSTALLED) ## Measure how fast webhooks go out, beside a plain loop of the same HTTP client
	@$(BIN)/python -m tests.benchmarks.deliveries $(ARGS)

bench-migration: $(INSTALLED) ## Migrate a database with many payments while the previous version's code pays (ARGS="--payments 100000")
	@$(BIN)/python -m tests.benchmarks.migration $(ARGS)

bench-read: $(INSTALLED) ## Measure each search and each list by each filter among a million payments, and show how they are read; takes ten minutes
	@$(BIN)/python -m tests.benchmarks.reads $(ARGS)

bench-browser: $(BROWSER) ## Measure what a buyer's browser loads, and how soon a card can be typed (needs chromium)
	@$(BIN)/python -m tests.benchmarks.browser $(ARGS)

acknowledged: $(INSTALLED) ## Kill services and database under load, and count whether what was acknowledged is stored (ARGS="other-system.toml")
	@$(BIN)/python -m tests.benchmarks.acknowledged $(ARGS)

cdk: $(CDK) ## Set up the CDK command line that package.json pins

$(CDK): $(INSTALLED) package.json package-lock.json
	@mkdir -p .venv/cdk && cp package.json package-lock.json .venv/cdk/
	@$(BIN)/npm ci --prefix .venv/cdk --silent --no-audit --no-fund --no-update-notifier
	@touch $@

browser: $(BROWSER) ## Build from browser/ what browsers load
	@$(BIN)/node browser/build.mjs src/payments/pages .venv/browser/node_modules

# No package of it runs anything to be installed.
$(BROWSER): $(INSTALLED) browser/package.json browser/package-lock.json
	@mkdir -p .venv/browser && cp browser/package.json browser/package-lock.json .venv/browser/
	@$(BIN)/npm ci --prefix .venv/browser --ignore-scripts --silent --no-audit --no-fund --no-update-notifier
	@touch $@

rehearse: $(INSTALLED) $(CDK) ## Deploy, release, break and destroy an environment offline, with real containers (needs root or a Docker engine)
	@$(BIN)/python -m rehearsal $(ARGS)

rehearse-aws: $(INSTALLED) $(CDK) ## The same in a real account, which costs money (TAP_REHEARSE_AWS_ACCOUNT=...)
	@$(BIN)/python -m rehearsal.real_account

synth: $(INSTALLED) ## Synthesise dev, staging and prod into cdk.out/ (no AWS account needed)
	@for environment in dev staging prod; do \
		CDK_OUTDIR=cdk.out/$$environment \
		CDK_CONTEXT_JSON="{\"environmentSuffix\": \"$$environment\", \"allowHttp\": \"true\"}" $(BIN)/python app.py & pids="$$pids $$!"; \
	done; for pid in $$pids; do wait $$pid || exit 1; done; echo "synthesised: cdk.out/dev cdk.out/staging cdk.out/prod"

ENGINE ?= docker
TAG ?= $(shell commit=$$(git rev-parse --short=12 HEAD 2>/dev/null) && echo "$$commit$$(test -z "$$(git status --porcelain)" || echo -dirty)" || echo local)
BASE ?=
# What the tasks run on; on another processor the engine emulates it (binfmt_misc with QEMU).
PLATFORM ?= linux/amd64

images: ## Build the services' images tap/SERVICE:TAG (ENGINE=podman TAG=... BASE=... PLATFORM=linux/arm64)
	@$(ENGINE) ps >/dev/null 2>&1 || { echo "No container engine answers to '$(ENGINE) ps': start it, or name another one, as in make images ENGINE=podman" >&2; exit 1; }
	@for service in payment-api transaction-processor notification-service; do \
		DOCKER_BUILDKIT=1 BUILDX_NO_DEFAULT_ATTESTATIONS=1 BUILDAH_FORMAT=docker $(ENGINE) build --quiet --platform $(PLATFORM) --target $$service --tag tap/$$service:$(TAG) \
			$(if $(BASE),--build-arg BASE=$(BASE)) --build-arg REVISION="$$(git describe --always --abbrev=40 --exclude='*' --dirty 2>/dev/null)" \
			--build-arg CREATED="$$(TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null)" . >/dev/null || exit 1; \
		$(ENGINE) image inspect --format '{{.Size}}' tap/$$service:$(TAG) | awk -v name=tap/$$service:$(TAG) '{ printf "%s  %.0f MB\n", name, $$1 / 1e6 }'; \
	done

lock: $(INSTALLED) ## Compile the locked requirements anew
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group installer -o requirements-installer.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml --extra local --group dev -o requirements-dev.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group emulator -o requirements-emulator.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group build -o requirements-build.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group djstripe -o tests/sdk/djstripe/requirements.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group samples -o tests/cli/requirements.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header tests/fuzz/requirements.in -o tests/fuzz/requirements.txt
