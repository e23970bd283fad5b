# .venv is a virtual environment with the versions of requirements/. The first target that needs it makes it: READY is there
# when it holds what the book needs, and WHOLE when it holds what tests and tools need as well.
PYTHON ?= python3
JOBS ?= 2
ROUNDS ?= 3
BIN := .venv/bin
READY := .venv/ready
WHOLE := .venv/whole
KATEX := node_modules/.package-lock.json
STOPPABLE := trap 'echo "Stopped. What is done is kept: the next run goes on from there." >&2; exit 130' INT;
OPTIONS := -W --keep-going -n -q -j $(JOBS) -c .
SPHINX := $(BIN)/python -m sphinx $(OPTIONS)
ENGLISH := $(SPHINX) -d _build/doctrees
# each folder of locale/ is an edition in another language
LANGUAGES := $(notdir $(wildcard locale/*))
OTHER := BOOK_LANGUAGE=$$language $(SPHINX) -d _build/doctrees-$$language
BOOK := _build/why-not-start-at-zero
# what the names of files end with: nothing in English, -zh in Chinese
ENDS := "" $(foreach language,$(LANGUAGES),-$(firstword $(subst _, ,$(language))))
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Let npm use the system's certificate store, as pip does. (A comment behind the value would add blanks to it.)
export NODE_USE_SYSTEM_CA := 1

.DEFAULT_GOAL := help
.PHONY: help html pdf epub slides translate test lint doctest serve bench gpu mutants pins dist matrix drills findings atlas lighthouse clean lab

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

# Sphinx ends with 1 where it has written the book and warned of it; its last words then say where to begin. 3: see turns.py.
html: $(READY) $(KATEX) lab ## Build the book into _build/html
	@$(STOPPABLE) $(BIN)/python -m bookbuild.translation.turns $(LANGUAGES) -- $(OPTIONS) || { \
	  status=$$?; test $$status = 3 || test $$status = 1 -a -e _build/doctrees/mistakes || \
	    echo "The book was not built, for the reason above: what is in _build/html is older, or not whole." >&2; \
	  df -Pk . | awk 'NR == 2 && $$4 < 102400 {print "Less than 100 MB of disk space is free here: make room."}' >&2; \
	  exit 1; }
	@echo "The book is built. Open $(CURDIR)/_build/html/index.html"

pdf: html ## Print the book into one PDF; needs Chromium
	@for end in $(ENDS); do $(BIN)/python -m bookbuild.editions.pdf _build/html/$${end#-} $(BOOK)$$end.pdf || exit 1; done

epub: $(READY) $(KATEX) ## Build the book as an EPUB
	@$(STOPPABLE) $(ENGLISH) -b epub book _build/epub && cp _build/epub/*.epub _build
	@$(STOPPABLE) for language in $(LANGUAGES); do \
	  $(OTHER) -b epub book _build/epub-$$language && cp _build/epub-$$language/*.epub _build || exit 1; done
	@for end in $(ENDS); do echo "The book is packed: $(CURDIR)/$(BOOK)$$end.epub"; done

slides: html ## Make slides of the lesson's questions and figures, as one HTML file
	@for end in $(ENDS); do $(BIN)/python -m bookbuild.editions.slides _build/html/$${end#-} $(BOOK)$$end-slides.html || exit 1; done

translate: $(READY) ## Bring the catalogues in locale/ up to date with pages and code
	@$(STOPPABLE) $(SPHINX) -d _build/doctrees-gettext -b gettext book _build/gettext
	@for language in $(LANGUAGES); do \
	  $(BIN)/python -m bookbuild.translation.update _build/gettext locale/$$language/LC_MESSAGES; done

test: $(WHOLE) html lint node_modules/whole ## Build the book, then check style, types, package, pages and site
	@$(BIN)/python -m pytest -q -n $(JOBS) --durations=20 tests src book README.md

lint: $(WHOLE) ## Check style and types
	@$(BIN)/ruff check -q . && $(BIN)/ruff format --check -q . && $(BIN)/mypy --no-error-summary

doctest: $(WHOLE) ## Run every example in docstrings, pages and README
	@$(BIN)/python -m pytest -q src book README.md

serve: $(READY) $(KATEX) lab ## Show the book and rebuild it on every save
	@$(BIN)/python -m bookbuild.execution.serve -q -c . -d _build/serve-doctrees --watch src --watch conf.py \
	  -D content_policy=0 `# the script that shows the next build has no place in it` \
	  --ignore '*/__pycache__/*' book _build/serve

bench: $(WHOLE) ## Measure builds, training, an audit and the lab, and write benchmarks/results.json
	@$(BIN)/python -m benchmarks $(ROUNDS)

gpu: $(WHOLE) ## Measure the package on a CUDA device, if there is one, and write _build/gpu.md
	@$(BIN)/python -m benchmarks.gpu

mutants: $(WHOLE) ## Change the package in every small way, and count the changes that no test notices
	@$(BIN)/python -m tests.mutants $(JOBS) $(MODULES)

pins: _build/uv/ready ## Write requirements/ from pyproject.toml; with NEWEST=1 move to the newest versions, of npm too
	@sed "s/$$/ ; sys_platform == 'never'/" requirements/torch.txt > _build/uv/no-torch.txt
	@for set in "test pyproject.toml --extra book --extra test --group setup" \
	  "book pyproject.toml --extra book --group setup -c requirements/test.txt" "dist --group dist -c requirements/test.txt"; do \
	  set -- $$set; name=$$1; shift; _build/uv/bin/uv pip compile "$$@" $(if $(NEWEST),--upgrade) --universal --python-version 3.11 \
	  --override _build/uv/no-torch.txt --no-emit-package torch --generate-hashes --no-annotate --no-header -q \
	  -o requirements/$$name.txt || exit 1; done
	@$(if $(NEWEST),$(BIN)/npm update --package-lock-only)

dist: _build/dist-tools/ready ## Build the wheel and the sdist into _build/dist, and check both
	@rm -rf _build/dist && _build/dist-tools/bin/python -m build --quiet --no-isolation --outdir _build/dist .
	@_build/dist-tools/bin/twine check --strict _build/dist/* && _build/dist-tools/bin/check-wheel-contents _build/dist/*.whl && tar -C _build/dist -xf _build/dist/*.tar.gz

matrix: dist ## Test the package with its lowest, pinned and newest versions, on each Python that is here; for hours
	@$(PYTHON) -m tests.matrix $(ROWS)

drills: $(WHOLE) $(KATEX) ## Kill builds, fill the disk, set back the clock, and see whether the next build is right
	@PYTHONPATH=src $(BIN)/python -m tests.drills

findings: ## See whether each finding about another library still holds; it installs packages, for an hour
	@fails=0; for file in findings/*.sh; do echo "== $$file"; bash $$file || { echo "$$file no longer holds." >&2; fails=1; }; done; exit $$fails

atlas: _build/atlas/ready ## Audit the architectures of other libraries that have no row yet; for hours
	@$(STOPPABLE) PYTHONPATH=src _build/atlas/bin/python -m atlas.architectures $(ROWS)

lighthouse: $(WHOLE) html node_modules/whole ## Score the heaviest pages in Chromium; on an idle machine
	@$(BIN)/python -m pytest -q tests/browser/test_lighthouse.py && cat _build/lighthouse.md

clean: ## Remove the built book, and keep .venv
	@rm -rf _build

$(READY): requirements/torch.txt requirements/book.txt pyproject.toml
	@PYTHON="$(PYTHON)" TORCH="$(TORCH)" sh src/bookbuild/tools/venv.sh .venv book ready

$(WHOLE): requirements/test.txt $(READY)
	@PYTHON="$(PYTHON)" TORCH="$(TORCH)" sh src/bookbuild/tools/venv.sh .venv test whole

# KATEX is the file that npm writes when it has installed. The tests need more packages of npm than the book.
$(KATEX): package-lock.json | $(READY)
	@echo "Setting up node_modules for the book (once) ..."
	@$(STOPPABLE) $(BIN)/npm ci --silent --omit=dev || echo "npm could not install KaTeX and SVGO ($(BIN)/npm ci says why). Without them" \
	  "MathJax draws the formulas, and figures are heavier. The next build tries again."

_build/atlas/ready: atlas/architectures.txt
	@$(PYTHON) -m venv _build/atlas && _build/atlas/bin/pip install -q --no-deps -r atlas/architectures.txt && touch $@

_build/dist-tools/ready: requirements/dist.txt
	@$(PYTHON) -m venv --clear $(@D) && $(@D)/bin/pip install -q --no-deps --require-hashes -r $< && touch $@

_build/uv/ready:
	@$(PYTHON) -m venv $(@D) && $(@D)/bin/pip install -q uv && touch $@

# The archive of the files that the lab's page loads. The program makes it again if it is out of date.
lab: $(READY) $(KATEX)
	@$(STOPPABLE) if test -e node_modules/uplot; then PYTHONPATH=src $(BIN)/python -m bookbuild.lab.archive _build/lab.zip node_modules $(JOBS); \
	  else echo "The book is built without its lab: npm could not install onnxruntime-web and uPlot."; fi

node_modules/whole: package-lock.json | $(KATEX)
	@echo "Setting up node_modules for the tests (once) ..."
	@$(STOPPABLE) $(BIN)/npm ci --silent && touch $@ || echo "npm could not install what tests need ($(BIN)/npm ci says why)."
