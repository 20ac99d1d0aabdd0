#!/bin/sh
# Makes .venv in the repository with the pinned versions of requirements.lock; does nothing when it is up to date.
# It is made again when the lock, pyproject.toml, the interpreter or the repository's place has changed.
set -eu
cd "$(dirname "$0")/.."

fail() { echo "vlprompt: $1" >&2; exit 2; }

# Wheels of the pinned versions exist for these.
suits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))'
find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14 python}; do
        if "$candidate" -c "$suits" >/dev/null 2>&1; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
}

python=$(find_python)
if [ -z "$python" ]; then
    found=$(python3 -V 2>/dev/null || echo "no python3")
    fail "Python 3.11 to 3.14 is needed and was not found (found: $found); install one, or name it: make PYTHON=/path/to/python3.12."
fi
"$python" -c 'import venv, ensurepip' >/dev/null 2>&1 ||
    fail "$python cannot make virtual environments (no venv or ensurepip); on Debian and Ubuntu: apt install python3-venv."

wanted="$(pwd) $("$python" -V) $(cksum <requirements.lock) $(cksum <pyproject.toml)"
stamp=.venv/.vlprompt-installed
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && .venv/bin/python -c '' 2>/dev/null; then
    exit 0
fi

quiet=
[ -t 1 ] || quiet=--quiet
echo "Installing vlprompt and the pinned versions into .venv (once; torch is large, so this takes some minutes) ..."
if ! .venv/bin/python -c 'import pip' >/dev/null 2>&1 || [ "$(.venv/bin/python -V)" != "$("$python" -V)" ]; then
    "$python" -m venv --clear .venv
fi
.venv/bin/python -m pip install $quiet -c requirements.lock -e '.[dev]' ||
    fail "the installation did not finish (pip's own message stands above); run make again to go on."
printf '%s\n' "$wanted" >"$stamp"
