#!/usr/bin/env bash
# Fails when a crate declares a dependency that its sources never name. A dependency is named by its crate name with
# underscores; those that are used without being named stand in `package.metadata.unused-dependencies.used`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

unused=0
for manifest in crates/*/Cargo.toml; do
  crate="$(dirname "$manifest")"
  used="$(sed -n 's/^used = \[\(.*\)\]/\1/p' "$manifest" | tr -d '",')"
  # Names in the three dependency tables: `name.workspace = true`, `name = ...`.
  names="$(awk '/^\[/ { inside = ($0 ~ /^\[(dev-|build-)?dependencies\]/) } inside && /^[a-z0-9_-]+[. =]/ { split($0, part, /[. =]/); print part[1] }' "$manifest")"
  for name in $names; do
    case " $used " in *" $name "*) continue ;; esac
    if ! grep -rqE "\b${name//-/_}\b" --include='*.rs' "$crate"; then
      echo "$manifest: \`$name\` is declared and never used: remove it" >&2
      unused=1
    fi
  done
done
exit "$unused"
