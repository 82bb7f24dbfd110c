# From a fresh clone, with nothing but Python >= 3.11 and make:
#   make run     everything on this machine, until Ctrl-C
#   make test    all tests; ARGS="-k refund -x" goes to pytest
#   make lint    what must pass before a commit
#   make lock    pin requirements*.in again; ARGS=--upgrade takes the newest of everything
# PYTHON=/path/to/python chooses the interpreter of the virtual environment in .venv.

.PHONY: run test lint lock

run:
	$(call install,requirements.txt)
	@exec .venv/bin/python manage.py dev

test:
	$(call install,requirements-dev.txt)
	@exec .venv/bin/python -m pytest $(ARGS)

# makemigrations would warn that it cannot ask a database what has been applied; there is none here to ask.
lint:
	$(call install,requirements-dev.txt)
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m mypy .
	.venv/bin/lint-imports
	.venv/bin/python -W "ignore:Got an error checking a consistent migration history" manage.py makemigrations --check --dry-run

lock:
	$(call install,requirements-dev.txt)
	$(call compile,requirements)
	$(call compile,requirements-dev)

# Pins without a trace of where they were downloaded from.
compile = .venv/bin/python -m piptools compile --quiet --strip-extras --no-header --no-emit-options \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links $(ARGS) --output-file=$(1).txt $(1).in

# $(call install,FILE): a .venv with what FILE pins. A stamp in .venv says for which file and Python that was done.
# An interpreter counts only if it runs: pyenv puts names on the PATH that do not.
define install
@set -e; \
recent() { "$$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }; \
version() { "$$1" -c 'import sys; print(*sys.version_info[:3], sep=".")'; }; \
sound() { recent .venv/bin/python && { command -v uv || .venv/bin/python -c 'import pip'; } >/dev/null 2>&1; }; \
set -- python3.13 python3.12 python3.11 python3; \
if [ -n "$$PYTHON" ]; then set -- "$$PYTHON"; elif sound; then set -- .venv/bin/python; fi; \
python=; \
for candidate; do if recent "$$candidate"; then python="$$candidate"; break; fi; done; \
if [ -z "$$python" ]; then \
	echo "Slotpay needs Python 3.11 or later and found none: set PYTHON=/path/to/python." >&2; exit 1; \
fi; \
version="$$(version "$$python")"; \
stamp=.venv/$(1).stamp; wanted="$$version $$(cksum < $(1))"; \
if sound && [ "$$(cat $$stamp 2>/dev/null)" = "$$wanted" ]; then exit 0; fi; \
if ! sound || [ "$$(version .venv/bin/python)" != "$$version" ]; then \
	echo "Making .venv with Python $$version."; \
	rm -rf .venv; \
	if command -v uv >/dev/null; then uv venv --quiet --python "$$python" .venv; \
	elif ! "$$python" -m venv .venv; then \
		echo "This Python cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; \
	fi; \
fi; \
echo "Installing $(1)."; \
if command -v uv >/dev/null; then uv pip install --quiet --python .venv/bin/python --only-binary :all: -r $(1); \
else .venv/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: -r $(1); fi; \
echo "$$wanted" > "$$stamp"
endef
