# Everything a user or a CI job needs. Paths are relative: use `make -C DIR` from elsewhere.
#   LAB=FILE     the topology that `make lab` and `make down` mean
#   KERNEL=stock `make lab` in a stock kernel of its own, with a shell; needs neither root nor KVM
#   ARGS=...     more arguments for `edgelab deploy` or pytest
#   PYTHON=PROG  the Python (3.10 or later) that the virtual environment is made of

LAB ?= lab/topologies/contoso.edge.yml
ARGS ?=
KERNEL ?= here
PYTHON ?= python3
BENCH ?=
BENCH_JSON ?=

MAKEFLAGS += --no-print-directory
export PYTHON
VENV := .venv/bin
NAME = $(shell sed -n 's/^name:[[:space:]]*["'\'']\{0,1\}\([A-Za-z0-9-]*\).*/\1/p' '$(LAB)')

.DEFAULT_GOAL := help
.PHONY: help lab lab-here lab-stock down test test-kernel check lint bench clean setup setup-dev

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

lab: lab-$(KERNEL) ## install what is missing, bring the lab up, check it and show it (KERNEL=stock)

lab-stock: setup
	@.make/packages kernel
	@$(VENV)/python -m tests.kernel lab '$(LAB)' $(ARGS)

lab-here: setup
	@$(VENV)/edgelab deploy -t '$(LAB)' $(ARGS)
	@$(VENV)/edgelab check $(NAME) && status=0 || status=$$?; $(VENV)/edgelab inspect $(NAME) && exit $$status

down: ## take the lab down; fine when it does not run
	@if [ -x $(VENV)/edgelab ]; then $(VENV)/edgelab destroy $(NAME); else echo 'Nothing is installed, so no lab runs.'; fi

test: setup-dev ## run all tests, on this kernel and on a stock one; those that need root are skipped without it
	@.make/test $(ARGS)

test-kernel: setup-dev ## run the tests marked for it in a stock kernel; needs neither root nor KVM
	@.make/packages kernel
	@$(VENV)/python -m tests.kernel test $(ARGS)

check: setup-dev ## format, lint, types and the fast tests; needs no root
	@.make/check

lint: setup-dev ## format, lint and types only
	@.make/check lint

bench: setup-dev ## measure against the limits (BENCH=deploy|circuits|classify|forward|pcap, BENCH_JSON=file, ARGS=--quick)
	@$(VENV)/python -m tests.bench $(BENCH) $(if $(BENCH_JSON),--json '$(BENCH_JSON)') $(ARGS)

clean: ## remove everything that was built or installed here
	@rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find edge lab tests csrc \( -name __pycache__ -o -name '*.so' -o -name '*.o' \) -prune -exec rm -rf {} +

setup:
	@.make/packages run build
	@.make/environment

setup-dev:
	@.make/packages run build test
	@.make/environment dev
