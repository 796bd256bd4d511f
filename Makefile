# make try            a new project, created and served (PROJECT=folder, PORT=number)
# make test           all checks and tests, of the largest sets a sample
# make test-all       all of them, as each night and before a release
# make show           what a change does to rendered projects (BASE=revision, SETS="minimal ...")
# make bench          measure what the docs claim
# make ladder         measure a project over HTTP against others (ROUNDS=number)
# make before         measure this checkout against a release, in pairs (BEFORE=X.Y.Z)
# make format         format and fix what can be fixed
# make capabilities   write what capabilities.yml declares into copier.yml
# make names          write the names of all dependencies into copier.yml: no project may have one
# make release        cut a release of the template: VERSION=X.Y.Z

PROJECT ?= build/shop
WORKERS ?= auto
ROUNDS ?= 7
BIN := .venv/bin

.PHONY: try test test-all show lint bench ladder before format capabilities names release

try: .venv/installed
	sh scripts/try.sh "$(PROJECT)"

test: lint
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -m "not exhaustive"

test-all: lint
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

show: .venv/installed-dev
	$(BIN)/python scripts/show.py $(if $(BASE),--base $(BASE)) $(SETS)

lint: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

bench: .venv/installed-dev
	rm -rf build/bench
	$(BIN)/fastperf new build/bench --yes -d cache=none -d outbound=yes >/dev/null
	cd build/bench && .venv/bin/python ../../benchmarks/patterns.py
	$(BIN)/python scripts/bench_postgresql.py
	$(BIN)/python benchmarks/saturation.py
	$(BIN)/python benchmarks/publishing.py
	$(BIN)/python benchmarks/generator.py

ladder: .venv/installed-dev
	$(BIN)/python benchmarks/ladder.py --rounds $(ROUNDS)
	$(BIN)/python benchmarks/caching.py --rounds $(ROUNDS)
	$(BIN)/python benchmarks/servers.py --rounds $(ROUNDS)

before: .venv/installed-dev
	$(BIN)/python benchmarks/releases.py $(if $(BEFORE),--before $(BEFORE))

format: .venv/installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

capabilities: .venv/installed-dev
	$(BIN)/python scripts/capabilities.py

names: .venv/installed-dev
	$(BIN)/python scripts/names.py

release: .venv/installed-dev
	$(BIN)/python scripts/release.py "$(VERSION)"

$(BIN)/uv:
	sh scripts/bootstrap.sh

.venv/installed: $(BIN)/uv pyproject.toml
	$(BIN)/uv pip install --quiet --python .venv --editable .
	touch $@

.venv/installed-dev: .venv/installed
	sh scripts/servers.sh
	$(BIN)/uv pip install --quiet --compile-bytecode --python .venv --group dev
	touch $@
