# The two commands a reader needs are `make run` and `make test`; both set up everything they need. What is set up once is
# used as it is: neither Python on the PATH nor a compiler is looked for again.
SHELL := /bin/sh
PYTHON ?= python3.13
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RUNTIME := $(VENV)/.runtime
# What an operator runs takes the libraries of the app alone, so no compiler; the whole environment serves as it is.
OPERATOR := $(if $(wildcard $(READY)),,$(RUNTIME))
BICEP ?= bicep
POLICY ?= infra/policy.json
# What tests run against beside Python, each from a package-lock.json of its own.
NODE := tests/azurite/node_modules/.ready tests/other_bus/node_modules/.ready
# Where nobody has exported the app's policy, the checkout's is taken.
REDRIVE = MFA_RESET_POLICY="$${MFA_RESET_POLICY:-$$(cat infra/policy.json)}" $(BIN)/python -m shared.redrive

.DEFAULT_GOAL := help
.PHONY: help run serve test soak rejected redrive operate policy check format docs template lock clean

define NEED_PYTHON
$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null || { \
  echo 'mfa-reset needs Python 3.13, and "$(PYTHON)" is not one.' >&2; \
  echo 'Install it (Debian 13, Ubuntu 25.04: apt install python3.13 python3.13-venv; pyenv: pyenv install 3.13;' >&2; \
  echo 'macOS: brew install python@3.13), or name yours: make PYTHON=/path/to/python3.13 …' >&2; \
  exit 1; }
endef
define NEED_COMPILER
command -v cc >/dev/null 2>&1 || { \
  echo 'mfa-reset needs a C compiler for the sandbox (Debian, Ubuntu: apt install gcc python3.13-dev).' >&2; exit 1; }
endef
INSTALL := $(BIN)/python -m pip --quiet --disable-pip-version-check install --require-hashes -r

help: ## Show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

run: $(READY) ## Do the main job against the sandbox and show what became of each request
	@$(BIN)/python -m sandbox --typed make run

serve: $(READY) ## Leave the sandbox up until Ctrl-C: make serve ARGS='--port 7071'
	@$(BIN)/python -m sandbox --typed make serve $(ARGS)

test: $(READY) $(NODE) ## Run all tests
	@$(BIN)/python -m pytest $$(test -e $(firstword $(NODE)) || echo --cov-fail-under=0)

soak: $(READY) ## Many requests with faults and killed hosts
	@$(BIN)/python -m sandbox --typed make soak $(ARGS)

rejected: | $(OPERATOR) ## Show what was rejected or dead-lettered (docs/messages.md)
	@$(REDRIVE)

redrive: | $(OPERATOR) ## Send again: make redrive ARGS='--from rejected --reason CODE --send'
	@$(REDRIVE) --typed 'make redrive ARGS' $(ARGS)

operate: | $(OPERATOR) ## Pause, lift the pause, raise the limit: make operate ARGS=--help
	@$(BIN)/python -m shared.operate --typed 'make operate ARGS' $(ARGS)

policy: | $(OPERATOR) ## Check a policy before it is deployed: make policy POLICY=infra/policy.json
	@$(BIN)/python -m shared.policy --typed 'make policy POLICY' "$(POLICY)"

check: $(READY) ## Lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY) ## Write the documents that come from the code
	@$(BIN)/python -m shared.permissions_page infra/policy.json >docs/.new
	@mv docs/.new docs/permissions.md
	@$(BIN)/python -m shared.grants_table >infra/.new
	@mv infra/.new infra/catalogue.json

template: ## Compile the template for the portal: make template BICEP=/path/to/bicep
	@$(BICEP) build infra/azuredeploy.bicep --outfile infra/azuredeploy.json

lock: $(READY) ## Pin the dependencies again, with hashes
	$(BIN)/python -m pip --quiet install uv
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --python-version 3.13 --python-platform x86_64-manylinux_2_28 --custom-compile-command 'make lock' -o requirements.txt requirements.in
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --python-version 3.13 --custom-compile-command 'make lock' -o requirements-dev.txt requirements-dev.in

clean: ## Remove what the other commands made
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .sandbox $(dir $(NODE))

$(READY): requirements-dev.txt
	@$(NEED_PYTHON)
	@$(NEED_COMPILER)
	@echo 'Setting up $(VENV) (about a minute, once) ...'
	@$(PYTHON) -m venv --clear $(VENV)
	@$(INSTALL) requirements-dev.txt
	@touch $@

# Libraries that cannot be brought up to date, without a network say, serve as they are: a pause must not wait for them.
$(RUNTIME): requirements.txt
	@if test -e $@; then \
	  $(INSTALL) requirements.txt --retries 1 --timeout 5 && touch $@ || \
	    echo 'The libraries in $(VENV) are older than requirements.txt, and serve as they are.' >&2; \
	else \
	  $(BIN)/python -m pip --version >/dev/null 2>&1 || { $(NEED_PYTHON); } && \
	  echo 'Setting up $(VENV) for the commands of an operator (about a minute, once) ...' >&2 && \
	  { $(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV); } && \
	  $(INSTALL) requirements.txt && touch $@; \
	fi

tests/%/node_modules/.ready: tests/%/package-lock.json
	@command -v npm >/dev/null 2>&1 || { \
	  echo 'npm is missing (Debian, Ubuntu: apt install nodejs npm): the tests that need tests/$* are skipped.' >&2; exit 0; }; \
	echo 'Fetching tests/$* (once) ...'; \
	cd tests/$* && npm ci --ignore-scripts --no-audit --no-fund --silent && touch node_modules/.ready || \
	  echo 'tests/$* could not be fetched: the tests that need it are skipped.' >&2
