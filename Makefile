# Kubinet's tasks; `make help` lists them.
SHELL := /bin/sh
VENV := .venv
PYTHON := $(VENV)/bin/python
# Mininet comes from Debian and must be visible in the environment, so the environment is made of Debian's own Python.
SYSTEM_PYTHON := /usr/bin/python3
PYTEST := $(PYTHON) -m pytest

.PHONY: help packages test-packages env test-env demo test user check lint types unit ovs emulated client test-guest test-ryu bench docs clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

packages: ## install missing Debian packages (or say which)
	@tools/install-packages.sh

test-packages:
	@tools/install-packages.sh tools/test-packages.txt

$(VENV)/run.stamp: requirements.in requirements.lock setup.py pyproject.toml
	@test -x $(PYTHON) || $(SYSTEM_PYTHON) -m venv --system-site-packages $(VENV)
	@echo "Installing Python packages into $(VENV)"
	@$(PYTHON) -m pip install -q --disable-pip-version-check -c requirements.lock -r requirements.in setuptools wheel
	@$(PYTHON) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation --config-settings editable_mode=compat -e .
	@touch $@

$(VENV)/test.stamp: requirements-test.in $(VENV)/run.stamp
	@$(PYTHON) -m pip install -q --disable-pip-version-check -c requirements.lock -r requirements-test.in
	@touch $@

env: packages $(VENV)/run.stamp ## the environment that runs Kubinet

test-env: test-packages $(VENV)/test.stamp

demo: env ## the main job: a cluster, an application, the first experiment, a report
	@tools/demo.sh

test: test-env ## every test that this machine can run
	@$(MAKE) --no-print-directory lint types
	$(PYTEST) -m "not guest and not ryu"
	@$(MAKE) --no-print-directory user

user: test-env ## whole clusters again, as an ordinary user
	@if tools/as-user.sh test -x $(PYTHON); then \
	    tools/as-user.sh $(PYTHON) -m pytest -p no:cacheprovider tests/emulated/test_cluster_connectivity.py \
	        tests/emulated/test_cluster_life.py; \
	else \
	    echo "SKIPPED: an ordinary user cannot read $(CURDIR); clone into a folder that others may read"; \
	fi

check: test-env lint types ## lint, types, unit and repository tests: no root, under 30 s
	$(PYTEST) tests/unit tests/repo

lint: test-env
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(VENV)/bin/lint-imports

types: test-env
	$(PYTHON) -m mypy

unit: test-env ## unit tests
	$(PYTEST) tests/unit

ovs: test-env ## tests on a private Open vSwitch with the dummy datapath
	$(PYTEST) tests/ovs -m "not ryu"

emulated: test-env ## tests with real packets in the sandbox
	$(PYTEST) tests/emulated

client: test-env ## tests with kubectl and client libraries
	$(PYTEST) tests/client

test-guest: test-env ## the kernel datapath and netem, in guest kernels (QEMU, user-mode Linux)
	@tools/install-packages.sh tools/guest-packages.txt
	$(PYTEST) tests/guest

test-ryu: test-env ## the SDN controller on Ryu 4.34 instead of os-ken
	@tools/ryu-venv.sh
	$(PYTEST) tests/ovs -m ryu

bench: env ## benchmarks: time to ready, memory, pod start, Services, policies; with references in the same run
	$(PYTHON) -m experiments.bench
	$(PYTHON) -m experiments.bench.services
	$(PYTHON) -m experiments.bench.service_data
	$(PYTHON) -m experiments.bench.policies --kept
	$(PYTHON) -m experiments.bench.ovn_changes
	$(PYTHON) -m experiments.bench.policy_data
	$(PYTHON) -m experiments.bench.policy_compile
	$(PYTHON) -m experiments.bench.policy_starts

docs: test-env ## write the generated pages
	$(PYTHON) -m controller.pipeline_docs
	$(PYTHON) -m kubinet.cli.docs
	$(PYTHON) -m experiments.design.docs
	$(PYTHON) -m experiments.plugin_docs
	$(PYTHON) -m experiments.timeline.docs

clean: ## remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
