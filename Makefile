# The front door: sets up uv and the tool environment, and forwards names to Invoke.
#   make verify MODEL=pbmc_pca

SHELL := /bin/sh
ifneq ($(shell uname -s),Linux)
$(error not supported here: this needs Linux (/proc, namespaces). Use a Linux container or virtual machine, on Windows WSL 2)
endif
PYTHON ?= python3
# By its name where it is on PATH: a path with a space is no prerequisite.
UV := $(if $(shell command -v uv 2>/dev/null),uv,.bootstrap/bin/uv)
TOOL := .venv/.synced
TESTED := .venv/.tested
SYNC = $(UV) sync --frozen --inexact --quiet --compile-bytecode --python $(PYTHON)
RUN := .venv/bin/python -m
# A plain sh, as in a Dockerfile's RUN, does not tell a script where it is; it has the script open while it reads it.
define SH_TOO
s%^    elif .*KSH_VERSION.* ; then$$%    elif [ -z "$${KSH_VERSION:+x}" ] ; then\n        @PID\n        @FILE\n        @NONE\n    else%
s%@PID%SCRIPT_PATH=$$(exec sh -c 'echo $$PPID')%
s%@FILE%SCRIPT_PATH=$$(ls -l "/proc/$$SCRIPT_PATH/fd/" | grep -m 1 -o "/[^>]*/bin/activate$$")%
s%@NONE%[ "$$SCRIPT_PATH" ] || { echo "activate: this shell does not tell where it is: use bash" >\&2; return 1; }%
s%"$$OSTYPE"%"$${OSTYPE-}"%g
endef
export SH_TOO
FLAGS := $(if $(MODEL),--model "$(MODEL)") $(if $(MODELS_DIR),--models-dir "$(MODELS_DIR)") $(ARGS)
VERBS := archetypes new scaffold compile-reqs sync-env download-data package payload predict serve-predict verify report card sbom \
	status explain graph serve batch watch check register sign image cache clean

.DEFAULT_GOAL := help
.PHONY: help completion setup test test-all docs lint bench list $(VERBS)

help: ## Show this list
	@{ grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16; \
	awk -v verbs=" $(VERBS) " '/^def / { name = $$2; sub(/\(.*/, "", name); gsub(/_/, "-", name) } \
		/^    """/ && index(verbs, " " name " ") { gsub(/^ *"""|"""$$/, ""); printf "%-15s %s\n", name, $$0; name = "" }' tasks.py; \
	} | if [ -t 1 ]; then fold -sw $$(($$(tput cols 2>/dev/null || echo 80) - 16)) | sed -E '/^[a-z-]+  /!s/^/                /'; else cat; fi
	@echo "Options: MODEL=name, MODELS_DIR=dir, ARGS='--dry-run'"

.bootstrap/bin/uv:
	@echo 'Setting up uv in .bootstrap/'
	@$(PYTHON) -m venv .bootstrap
	@.bootstrap/bin/python -m pip install --quiet --disable-pip-version-check uv

$(TOOL): pyproject.toml uv.lock | $(filter .bootstrap/bin/uv,$(UV))
	@echo 'Setting up the tool environment in .venv/: a minute or two where the cache of uv is empty'
	@[ -e .venv/bin/python ] || $(UV) venv --quiet --relocatable --python $(PYTHON) .venv
	@grep -q '/fd/' .venv/bin/activate || printenv SH_TOO | sed -i -f - .venv/bin/activate
	@$(SYNC) || { [ -e $@ ] || rm -rf .venv; echo 'Another Python: make setup PYTHON=/path/of/python3' >&2; exit 2; }
	@touch $@

setup: $(TOOL) ## Set up uv and the tool environment; EXTRA="gcs s3 zstd": with what some sources need
	$(if $(EXTRA),$(SYNC) $(addprefix --extra ,$(EXTRA)))
	@echo 'Ready: make help lists the verbs; after . .venv/bin/activate, invoke VERB is the same'

completion: ## Say how your shell completes verbs, flags and names of models and steps
	@echo 'With the tool environment activated (. .venv/bin/activate), in this directory:'
	@echo '  bash: eval "$$(invoke --print-completion-script bash)"'
	@echo '  zsh:  autoload -Uz compinit; compinit; eval "$$(invoke --print-completion-script zsh)"'

list: $(TOOL) ## List the verbs as Invoke does
	@$(RUN) invoke --list

$(VERBS): $(TOOL)
	@$(RUN) invoke $@ $(FLAGS)

$(TESTED): $(TOOL)
	$(SYNC) --all-extras
	@touch $@

test: $(TESTED) ## Run the tests, without the heavy ones
	$(RUN) pytest -m "not heavy" -n 2 --dist loadgroup $(ARGS)

test-all: $(TESTED) ## Run all tests: minutes, and gigabytes
	$(RUN) pytest -n 2 --dist loadgroup $(ARGS)

docs: | $(filter .bootstrap/bin/uv,$(UV)) ## Make the site of the documentation, docs/_build/; a warning is an error
	$(UV) run --quiet --isolated --frozen --only-group docs sphinx-build -EqW --keep-going -c docs . docs/_build

lint: $(TOOL) ## Check style and types
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

bench: $(TOOL) ## Measure, as ratios, and write benchmarks/results.json
	.venv/bin/python benchmarks/run.py $(ARGS)
