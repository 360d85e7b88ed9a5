# Makes an environment in the repository, .venv unless another is named, and installs plaudit with
# the named extras; sourced by the others.
# Needs Python 3.11 or newer with pip; the user's own index settings apply.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
unset PYTHONDONTWRITEBYTECODE # The tests start hundreds of processes; each would compile plaudit anew.

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python; do
    if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "plaudit needs Python 3.11 or newer; set PYTHON to its path" >&2
  return 1
}

# setup EXTRAS [FOLDER]: e.g. setup "", setup "[dev]" or setup "[trl]" .venv-trl
setup() {
  local extras=$1 venv=${2:-.venv} pins stamp want python
  pins="constraints${venv#.venv}.txt" # One of its own, where a trainer wants other versions.
  if [ ! -f "$pins" ]; then pins=constraints.txt; fi
  stamp="$venv/.installed$extras"
  want="$(cat pyproject.toml "$pins" | cksum)"
  if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$want" ]; then
    return
  fi
  python=$(find_python)
  if [ ! -x "$venv/bin/python" ]; then
    echo "[1/2] making $venv with $("$python" --version)"
    "$python" -m venv "$venv"
  fi
  echo "[2/2] installing plaudit$extras (about a minute)"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --constraint "$pins" --editable ".$extras"
  echo "$want" >"$stamp"
}
