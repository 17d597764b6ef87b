# make demo    set up and run half a year on a small generated world
# make test    set up (with the Debian packages that tests need, PostGIS and Chromium among them) and
#              run every check and test
# make docs    set up and build the documentation in docs/_build/html
# make bench   set up and print the benchmarks
# make soak    set up and try months under kills, restarts, faults and full disks (most of an hour)
# make notebook  set up and open the notebook in JupyterLab
# make audit   ask for known vulnerabilities of the locked dependencies (needs an advisory service)
# make lock    renew poetry.lock and the requirements files exported from it (needs poetry)

PYTHON ?= python3
BIN := .venv/bin

# Modules are compiled when they are first imported (most never are), and not once for each process.
unexport PYTHONDONTWRITEBYTECODE

# Each step of the set-up leaves a stamp, so that it is not done again until its input changes.
STAMPS := .stamps
RUN := $(STAMPS)/run
DEV := $(STAMPS)/dev
NOTEBOOKS := $(STAMPS)/notebooks
SYSTEM := $(STAMPS)/system

# The tests of what numba compiles.
COMPILED := $(patsubst %,tests/test_%.py,cells kernels lookup sieve trees)

.PHONY: demo test check suite docs bench soak notebook audit lock clean
.DEFAULT_GOAL := test

demo: $(RUN)
	$(BIN)/python -m demo

test: check suite

suite: $(DEV) $(SYSTEM)
	# So that modules are not compiled by all of pytest's processes at once.
	$(BIN)/python flows/monthly.py --help >/dev/null
	# Nor loops, which takes a quarter of a minute; what is compiled is kept for the others.
	$(BIN)/pytest $(COMPILED)
	# Many tests wait for servers: four at once keep two cores busy.
	$(BIN)/pytest -n 4 --dist loadgroup $(COMPILED:%=--ignore=%)

check: $(DEV) docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(DEV)
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs docs/_build/html

bench: $(DEV)
	$(BIN)/python -m benchmarks

notebook: $(NOTEBOOKS)
	# Jupyter refuses root unless told otherwise; in a container there is nobody else.
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/explore.ipynb

soak: $(DEV) $(SYSTEM)
	$(BIN)/python -m soak

audit:
	$(PYTHON) -m venv .stamps/audit
	.stamps/audit/bin/pip install --quiet pip-audit
	.stamps/audit/bin/pip-audit --require-hashes --disable-pip --requirement requirements.txt

lock:
	poetry lock
	poetry export --output requirements.txt
	poetry export --extras dask --output requirements-dask.txt
	poetry export --extras dask --with dev --output requirements-dev.txt
	poetry export --with notebooks --output requirements-notebooks.txt

clean:
	rm -rf .venv $(STAMPS)

define install
	test -d .venv || $(PYTHON) -m venv .venv
	# The pip that comes with Python 3.11 takes three times as long; the newest warns of each package
	# that one of several indexes lacks.
	$(BIN)/pip install -qq --upgrade pip
	$(BIN)/pip install -qq --no-compile --require-hashes -r $<
	$(BIN)/pip install -qq --no-deps --editable .
	@mkdir -p $(STAMPS) && touch $@
endef

$(RUN): requirements.txt pyproject.toml
	$(install)

$(DEV): requirements-dev.txt pyproject.toml
	$(install)

$(NOTEBOOKS): requirements-notebooks.txt pyproject.toml
	$(install)

# Tests bring their own PostGIS server; TEST_DATABASE_URL names another to use instead.
$(SYSTEM):
	missing=; \
	test -n "$$TEST_DATABASE_URL" \
	  || ls /usr/share/postgresql/*/extension/postgis.control >/dev/null 2>&1 \
	  || missing=postgresql-postgis; \
	ls /usr/sbin/pgbouncer >/dev/null 2>&1 || missing="$$missing pgbouncer"; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v chattr >/dev/null || missing="$$missing e2fsprogs"; \
	command -v memcached >/dev/null || missing="$$missing memcached"; \
	command -v ip >/dev/null || missing="$$missing iproute2"; \
	test -z "$$missing" \
	  || (apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	      apt-get install -y -qq --no-install-recommends $$missing)
	@mkdir -p $(STAMPS) && touch $@
