# Each target sets up what it needs: environment, dependencies, models, index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOCKED := $(BIN)/python -m pip install --disable-pip-version-check --no-deps --require-hashes

# A question may hold quotes and dollar signs: make must neither expand nor quote it.
override Q := $(value Q)
export Q

.DELETE_ON_ERROR:
.PHONY: help setup lock models ask chat eval eval-quick eval-retrieval bench test coverage torture lint clean

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## Make the environment in .venv, with the development extras

# Nothing is installed whose SHA-256 isn't in a lock. Only torch's build with CUDA asks for what is in the second one.
$(READY): pyproject.toml requirements.lock requirements-cuda.lock .ci/torch-cpu.txt
	@echo "Setting up $(VENV) (about two minutes)" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) >&2
	@$(LOCKED) --quiet --requirement .ci/torch-cpu.txt 2>/dev/null || true # else PyPI's build comes with the rest
	@$(LOCKED) --requirement requirements.lock >&2
	@$(BIN)/python -m pip show torch | grep -q '^Requires:.*nvidia' || exit 0; \
		$(LOCKED) --requirement requirements-cuda.lock >&2
	@$(BIN)/python -m pip install --no-deps --no-build-isolation --editable . >&2
	@touch $@

lock: $(READY) ## Write the locks that setup installs from pyproject.toml; ARGS=--upgrade takes the newest versions
	@$(BIN)/python .ci/lock.py $(ARGS)

models: $(READY) ## Fetch and convert the models
	@$(BIN)/rag models pull >&2

ask: $(READY) ## Answer a question: make ask Q="What does PDS do?"
	@$(BIN)/rag ask -- "$$Q" || test $$? -eq 3

chat: $(READY) ## Open the chat page
	@$(BIN)/rag chat

eval: models ## Evaluate everything, with baselines (over an hour); goes on where it was stopped
	@$(BIN)/rag eval run
	@$(BIN)/rag eval report
	@$(BIN)/rag eval gate

eval-quick: models ## Evaluate retrieval, some claims and 15 questions, and compare with the baseline
	@$(BIN)/rag eval run --quick
	@$(BIN)/rag eval report --quick
	@$(BIN)/rag eval gate --quick

eval-retrieval: models ## Compare every way of searching that was considered (minutes)
	@$(BIN)/rag eval retrieval

bench: models ## Measure speed beside its peers (most of an hour); results in eval/speed/
	@$(BIN)/python -m eval.bench $(ARGS)

test: models ## Run all tests, with the real models
	@$(BIN)/python -m pytest $(ARGS)

coverage: models ## The same, and which lines were never run (slower)
	@$(BIN)/python -m pytest --cov --cov-report=term $(ARGS)

torture: models ## Faults, load and fuzzing that take too long for every change; figures in docs/trust.md
	@$(BIN)/python -m pytest --torture -m torture $(ARGS)
	@$(BIN)/python -m tests.torture.figures

lint: $(READY) ## Check style and types, and look for known vulnerabilities of what is installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python .ci/audit.py

clean: ## Remove the environment and what tools left behind
	rm -rf $(VENV) .coverage* .pytest_cache .mypy_cache .ruff_cache build dist
