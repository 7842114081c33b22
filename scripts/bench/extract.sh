#!/usr/bin/env bash
# Reads sale lines out of PostgreSQL: sellcast against psql's binary copy to nowhere, ConnectorX and dlt, on one server.
# Usage: ./dev bench extract [ROWS] (2,000,000 if not said).
set -euo pipefail

sellcast="${SELLCAST:?run me by ./dev bench extract}"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
peers="$here/../../bench/extract"
env_dir="${XDG_CACHE_HOME:-$HOME/.cache}/sellcast/extract-env"
rows="${1:-2000000}"

if ! cmp -s "$peers/requirements.txt" "$env_dir/requirements.txt"; then
  echo "installing the peers" >&2
  rm -rf "$env_dir"
  python3 -m venv "$env_dir" || { echo "bench extract: python3 cannot make environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
  "$env_dir/bin/pip" install --quiet --disable-pip-version-check -r "$peers/requirements.txt"
  cp "$peers/requirements.txt" "$env_dir/requirements.txt"
fi

run="$(mktemp -d)"
chmod 711 "$run"
export SERVICE_OWNER=$$ SERVICE_DIR="$run/postgres" SERVICE_PORT=54329
trap '"$here/../services/postgres.sh" down; rm -rf "$run"' EXIT
url="$("$here/../services/postgres.sh" up)"
psql "$url" -q -v ON_ERROR_STOP=1 >&2 <<SQL
create table sales as
  select n::bigint as sale_id, (1 + n * 7919 % 90000)::int as product_id, (1 + n * 31 % 2500)::int as customer_id,
         (1 + n % 5)::numeric(12,3) as quantity, ((n * 37 % 10000) / 100.0)::numeric(12,2) as unit_price,
         ((1 + n % 5) * (n * 37 % 10000) / 100.0)::numeric(14,2) as total_price,
         timestamptz '2017-01-01' + n * interval '10 seconds' as occurred_at, timestamptz '2017-01-01' + n * interval '10 seconds' as updated_at
  from generate_series(1::bigint, $rows) n;
alter table sales add primary key (sale_id);
vacuum analyze sales;
SQL
mkdir "$run/data"
cat >"$run/data/sellcast.toml" <<TOML
[source]
url = "$url"
[source.categories]
sql = "select 1 as category_id, 'all' as name"
[source.products]
sql = "select 1 as product_id, 'one' as name, 1 as category_id"
[source.transactions]
sql = "select sale_id, product_id, customer_id, quantity, unit_price, total_price, occurred_at, updated_at from sales"
TOML
"$env_dir/bin/python" "$peers/compare.py" "$sellcast" "$env_dir/bin/python" "$(command -v psql)" "$url" "$run/data" "$run/dlt" "$rows"
