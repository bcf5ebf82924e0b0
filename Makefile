# `make rules` compiles the examples, `make test` runs every test; both set up what they need, in this directory.

PYTHON ?= python3
VENV := .venv
TOOLS := .tools
export PATH := $(CURDIR)/$(VENV)/bin:$(CURDIR)/$(TOOLS)/bin:$(PATH)

.PHONY: help rules test lab lint bench promtool e2e-parts render-parts clean

help:
	@echo 'make rules      compile every profile in examples/'
	@echo 'make test       run the whole test suite (servers that are missing are skipped, and named)'
	@echo 'make e2e-parts  install what the end-to-end tests run: Milvus, Prometheus, promtools, vmalert-tool, Alertmanager'
	@echo 'make render-parts  install what dashboards are drawn with: Grafana code of npm (640 MB); needs npm, chromium'
	@echo 'make lab        induce faults on a real Milvus: which alerts fire, how soon, and what a person reads'
	@echo 'make lint       ruff and mypy'
	@echo 'make bench      measure the speed of builds and of reading logs, and what the rules cost a real Prometheus'

rules: $(VENV)/ready
	thresher schema > $(VENV)/schema.json && cp $(VENV)/schema.json examples/profile.schema.json
	thresher schema --markdown > $(VENV)/profile.md && cp $(VENV)/profile.md docs/profile.md
	thresher build examples --out examples/out --prune

# One after the other where real servers are measured, side by side where nothing depends on time.
test: $(VENV)/ready promtool
	pytest tests/e2e
	pytest tests --ignore tests/e2e --numprocesses auto

lab: $(VENV)/ready e2e-parts
	@python -m tests.e2e.lab $(LAB)

lint: $(VENV)/ready
	ruff check .
	ruff format --check .
	mypy

bench: $(VENV)/ready promtool
	@.ci/fetch-prometheus $(TOOLS) prometheus
	python -m bench

promtool:
	@.ci/fetch-prometheus $(TOOLS)

e2e-parts: promtool
	@.ci/fetch-prometheus $(TOOLS) prometheus
	@.ci/fetch-prometheus $(TOOLS) alertmanager
	@.ci/fetch-matrix $(TOOLS)/matrix
	@.ci/make-venv $(PYTHON) $(TOOLS)/milvus -r tests/e2e/requirements.txt

render-parts:
	mkdir -p $(TOOLS)/render
	cp tests/e2e/render/package.json $(TOOLS)/render/
	npm install --prefix $(TOOLS)/render --no-package-lock --no-audit --no-fund --silent

$(VENV)/ready: pyproject.toml constraints.txt .ci/make-venv
	@.ci/make-venv $(PYTHON) $(VENV) -c constraints.txt -e '.[dev]'

clean:
	rm -rf $(VENV) $(TOOLS) build dist *.egg-info
