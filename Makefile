# make demo: set up, make a town and map it. make test: set up and run the tests.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin

.PHONY: setup demo test lint bench

setup: $(VENV)/.installed

# Installs again only when what is to be installed has changed.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "terraseg needs Python 3.11 or newer: make PYTHON=python3.12")'
	test -x $(RUN)/python || $(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,openvino,dev]'
	touch $@

demo: setup
	$(RUN)/terraseg demo demo

# A file's tests stay together, so that what they share is made once. Each process takes up to 5 GB.
test: setup
	$(RUN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

lint: setup
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy

# accuracy.py and hand_search.py take hours: they are started by hand.
BENCHMARKS := $(filter-out %/accuracy.py %/hand_search.py %/fastai_policy.py %/predict.py %/predict_child.py %/predict_peers.py %/fuzz_cases.py %/fuzz_child.py,$(wildcard benchmarks/*.py))

bench: setup
	for script in $(BENCHMARKS); do $(RUN)/python $$script || exit 1; done
	$(RUN)/python benchmarks/predict.py --random-weights
