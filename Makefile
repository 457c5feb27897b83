# Kubinet's tasks; `make help` lists them.
SHELL := /bin/sh
VENV := .venv
PYTHON := $(VENV)/bin/python
# Mininet comes from Debian and must be visible in the environment, so the environment is made of Debian's own Python.
SYSTEM_PYTHON := /usr/bin/python3
PYTEST := $(PYTHON) -m pytest
# Some container images forbid Python its cache. Every start of a program would compile all its modules again: several
# seconds of processor time for each cluster, and for each process that collects tests.
unexport PYTHONDONTWRITEBYTECODE
# Tests that share nothing run on all processors, file by file where a module's tests share a fixture. Tests of clusters
# wait half of their time: three at once keep two processors busy three quarters of it. Experiments run two at a time, and
# what measures time or rates has the machine for itself.
JOBS := $(shell nproc)
SPREAD := $(PYTEST) -n $(JOBS) --dist worksteal
BY_FILE := $(PYTEST) -n $(JOBS) --dist loadfile
CLUSTERS := $(PYTEST) -n $(shell test $(JOBS) -gt 1 && echo 3 || echo 1)
EXPERIMENTS := $(PYTEST) -n $(shell test $(JOBS) -gt 1 && echo 2 || echo 1)
# Each experiment has clusters of its own, so they are spread one by one.
CATALOGUE := tests/emulated/test_catalogue.py

.PHONY: help packages test-packages env test-env demo test user check lint types unit models ovs client emulated test-user test-guest test-guest-policies test-ryu bench docs clean

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

$(VENV)/test.stamp: requirements-test.in requirements-workers.in $(VENV)/run.stamp
	@$(PYTHON) -m pip install -q --disable-pip-version-check -c requirements.lock -r requirements-test.in \
	    -r requirements-workers.in
	@touch $@

env: packages $(VENV)/run.stamp ## the environment that runs Kubinet

test-env: test-packages $(VENV)/test.stamp

demo: env ## the main job: a cluster, an application, the first experiment, a report
	@tools/demo.sh

test: test-env ## every test that this machine can run
	@$(MAKE) --no-print-directory lint types
	$(SPREAD) tests/unit tests/repo tests/models
	$(BY_FILE) tests/ovs tests/client -m "not ryu"
	@$(MAKE) --no-print-directory emulated user

check: test-env lint types ## lint, types, quick unit and repository tests: no root, under 30 s
	$(SPREAD) tests/unit tests/repo -m "not slow"

lint: test-env
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(VENV)/bin/lint-imports

types: test-env
	$(PYTHON) -m mypy

unit: test-env ## unit tests
	$(SPREAD) tests/unit

models: test-env ## exhaustive unit tests: every upstream case in flows, long random histories, damaged compilers
	$(SPREAD) tests/models

ovs: test-env ## tests on a private Open vSwitch with the dummy datapath
	$(BY_FILE) tests/ovs -m "not ryu"

client: test-env ## tests with kubectl and client libraries
	$(BY_FILE) tests/client

emulated: test-env ## tests with real packets in the sandbox
	$(CLUSTERS) --dist loadfile tests/emulated --ignore=$(CATALOGUE) -m "not alone" --durations=15
	$(EXPERIMENTS) --dist worksteal $(CATALOGUE)
	$(PYTEST) tests/emulated -m alone

# Where an ordinary user can read the checkout: run the command $(1).
as_user = @if tools/as-user.sh test -x $(PYTHON); then $(1); \
	else echo "SKIPPED: an ordinary user cannot read $(CURDIR); clone into a folder that others may read"; fi
AS_USER := tools/as-user.sh
USER_CLUSTERS := tests/emulated/test_cluster_connectivity.py tests/emulated/test_cluster_life.py \
	"tests/emulated/test_services_bad.py::test_ten_thousand_endpoints[nftables]"
USER_EXPERIMENTS := "$(CATALOGUE)::test_experiment_with_quick[dns]" "$(CATALOGUE)::test_experiment_with_quick[incast]"

user: test-env ## whole clusters and two of the experiments again, as an ordinary user
	$(call as_user,$(AS_USER) $(CLUSTERS) --dist worksteal -p no:cacheprovider $(USER_CLUSTERS) $(USER_EXPERIMENTS))

test-user: test-env ## every test with real packets as an ordinary user: a quarter of an hour
	$(call as_user,$(AS_USER) $(CLUSTERS) --dist loadfile -p no:cacheprovider tests/emulated --ignore=$(CATALOGUE) -m "not alone" \
	    && $(AS_USER) $(EXPERIMENTS) --dist worksteal -p no:cacheprovider $(CATALOGUE) \
	    && $(AS_USER) $(PYTEST) -p no:cacheprovider tests/emulated -m alone)

test-guest: test-env ## the kernel datapath and netem, in guest kernels (QEMU, user-mode Linux)
	@tools/install-packages.sh tools/guest-packages.txt
	$(PYTEST) tests/guest -m "not long"

test-guest-policies: test-env ## every upstream case of policies on the kernel datapath: half an hour and more
	@tools/install-packages.sh tools/guest-packages.txt
	$(PYTEST) tests/guest/test_guest_policy_cases.py -m long

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
