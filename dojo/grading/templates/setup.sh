#!/usr/bin/env bash
# Installs the grader when Gradescope builds the image of an assignment.
set -euo pipefail
autograder=${AUTOGRADER:-/autograder}
cd "$autograder/source/grader"

new_enough='import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))'

# Gradescope runs its own harness with python3: use it, but never replace it.
find_python() {
  local python
  for python in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$python" -c "$new_enough" >/dev/null 2>&1; then
      echo "$python"
      return
    fi
  done
  return 1
}

if ! python=$(find_python); then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update
  for version in 3.14 3.13 3.12 3.11; do
    if apt-get install -y "python$version" "python$version-venv"; then
      break
    fi
  done
  python=$(find_python) || {
    echo "there is no Python 3.11 or later here: choose a newer base image" >&2
    exit 1
  }
fi

"$python" -m venv "$autograder/venv"
export PATH="$autograder/venv/bin:$PATH"
pip install --quiet -c constraints.txt -e .

# Find problems now, and not with the first submission.
dojo grade .
