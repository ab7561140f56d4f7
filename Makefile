# The two commands that matter: `make demo` and `make test`. Each sets up what it needs.
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
LOCK := $(BIN)/uv pip compile --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-annotate --no-header --quiet
WEB_SOURCES := $(shell find web -path web/node_modules -prune -o -path web/dist -prune -o -type f -print 2>/dev/null)

# Without compiled modules every start takes seconds longer.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo torture soak fuzz sbom test check setup lock wheel bench clean

demo: setup
	$(BIN)/ved demo

test: setup
	$(BIN)/pytest -n 2 --dist loadgroup
	cd web && PATH="$(CURDIR)/$(BIN):$$PATH" npm test --silent

# The long forms: the faults suite (kills, power cuts, bad radio, damage), then all else that is slow. Best as root.
torture: setup
	$(BIN)/pytest -q tests/faults -m "slow or not slow" --timeout 900
	$(BIN)/pytest -q tests --ignore tests/faults -m slow --timeout 900

# A server, three cars and thirty viewers under random faults for hours, then the verdict (docs/soak.md).
SOAK_MINUTES ?= 480
SOAK_OUT ?= ved-soak
soak: setup
	PYTHONPATH=. $(BIN)/python -m tests.soak.soak --minutes $(SOAK_MINUTES) --out $(SOAK_OUT)

# Every parser against inputs that nobody thought of; FUZZ_COUNT over all of them (docs/security.md).
FUZZ_COUNT ?= 1000000
fuzz: setup
	PYTHONPATH=. $(BIN)/python -m tests.fuzz.fuzz --count $(FUZZ_COUNT)

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	cd web && PATH="$(CURDIR)/$(BIN):$$PATH" npm run check --silent
	$(BIN)/pytest -q tests/docs

setup: $(VENV)/ready web/dist/index.html

$(VENV)/ready: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "ved: Python 3.11 or newer is needed, and no python3 of that age was found" >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "ved: $(PYTHON) lacks the venv module; on Debian and Ubuntu: apt install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	mkdir -p web/dist
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -c "from ved.dbc.decode import Decoder; from ved.dbc.load import load_set; Decoder(load_set([]))"
	$(BIN)/python -c "from ved.ingest.rebuild import compile_kernels; compile_kernels()"
	$(BIN)/python -c "from ved.api.unpack import compile_kernels; compile_kernels()"
	touch $@

web/dist/index.html: $(VENV)/ready $(WEB_SOURCES)
	cd web && PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --silent --no-audit --no-fund && PATH="$(CURDIR)/$(BIN):$$PATH" npm run build --silent
	touch $@

wheel: setup
	$(BIN)/python -m build --wheel --no-isolation

# The second and the third are what the container image holds, and what builds its wheel: the same versions as in the first.
# dist/sbom.json and dist/sbom-web.json: every package, with version and hash.
sbom: setup
	$(BIN)/python .ci/sbom.py

lock:
	$(LOCK) pyproject.toml --all-extras --group dev -o requirements.lock
	$(LOCK) pyproject.toml $(addprefix --extra ,export formats kafka mf4 mqtt notify postgres sql) -c requirements.lock \
		-o deploy/requirements.lock
	echo hatchling | $(LOCK) - -c requirements.lock -o deploy/build.lock

bench: setup
	for bench in benchmarks/bench_*.py; do $(BIN)/python $$bench || exit 1; done

clean:
	rm -rf $(VENV) web/node_modules web/dist dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
