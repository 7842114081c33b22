#!/usr/bin/env bash
# From a commit in PostgreSQL to the changed page: a shop in PostgreSQL, Debezium, Kafka and `sellcast run`, all on this machine; a page that
# follows the sales is read as a browser reads it, and each sale is timed from before its commit until the page tells it. The last line is
# one JSON object. Not over midnight in UTC: nothing is published for the day that begins then. Usage: ./dev bench page [SALES [PRODUCTS]].
set -euo pipefail

sellcast="${SELLCAST:?run me by ./dev bench page}"
sales="${1:-100}" products="${2:-4000}"
scripts="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
folder="$(mktemp -d "${TMPDIR:-/tmp}/sellcast-bench-page-XXXXXX")"
# Servers that do not run as root must reach their folders.
chmod 755 "$folder"
port="${SELLCAST_BENCH_PORT:-18081}"
service() { SERVICE_DIR="$folder/$1" SERVICE_PORT="$2" "$scripts/services/$1.sh" "$3"; }
finish() {
  [ -z "${server:-}" ] || { kill "$server" 2>/dev/null && wait "$server" 2>/dev/null; } || true
  service kafka 59492 down >/dev/null || true
  service postgres 54421 down >/dev/null || true
  rm -rf "$folder"
}
trap finish EXIT

shop="$(service postgres 54421 up | tail -n1)"
read -r brokers connect <<<"$(service kafka 59492 up | tail -n1)"
psql="$(command -v psql || ls -d /usr/lib/postgresql/*/bin/psql | sort -V | tail -n1)"

"$psql" -q -v ON_ERROR_STOP=1 -v products="$products" "$shop" <<'SQL'
create table categories (id bigint primary key, name text not null);
create table customers (id bigint primary key);
create table products (id bigint primary key, name text not null, category_id bigint not null references categories);
create table transactions (id bigserial primary key, product_id bigint not null references products,
  customer_id bigint not null references customers, quantity numeric(12,3) not null, unit_price numeric(12,2) not null,
  total_price numeric(12,2) not null, occurred_at timestamptz not null);
alter table products replica identity full;
alter table transactions replica identity full;
insert into categories select n, 'Category ' || n from generate_series(1, 50) n;
insert into customers select n from generate_series(1, 5000) n;
insert into products select n, 'Thing ' || n, 1 + n % 50 from generate_series(1, :products) n;
insert into transactions (product_id, customer_id, quantity, unit_price, total_price, occurred_at)
  select 1 + (random() * (:products - 1))::int, 1 + (random() * 4999)::int, 1, 5, 5, now() - random() * interval '100 days'
  from generate_series(1, 200000) n;
SQL

export SELLCAST_SOURCE_PASSWORD=sellcast
"$sellcast" init --source "$shop" --yes --dir "$folder/data" >"$folder/log" 2>&1
cat >>"$folder/data/sellcast.toml" <<END

[stream.kafka]
brokers = "$brokers"
sales_topic = "shop.public.transactions"
products_topic = "shop.public.products"
keyed_partitions = 4
END
"$sellcast" ingest --dir "$folder/data" >>"$folder/log" 2>&1
"$sellcast" forecast --dir "$folder/data" >>"$folder/log" 2>&1
curl -sS --fail-with-body -X PUT "$connect/connectors/shop/config" -H 'content-type: application/json' -d '{
  "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "plugin.name": "pgoutput",
  "database.hostname": "127.0.0.1", "database.port": "54421", "database.user": "postgres", "database.password": "sellcast",
  "database.dbname": "postgres", "topic.prefix": "shop", "table.include.list": "public.transactions,public.products",
  "publication.name": "sellcast", "publication.autocreate.mode": "filtered", "slot.name": "sellcast",
  "decimal.handling.mode": "string", "topic.creation.default.partitions": "4",
  "topic.creation.default.replication.factor": "1" }' >/dev/null
# `serve` neither ingests nor trains: what is timed is the way of a sale.
"$sellcast" serve --port "$port" --dir "$folder/data" >>"$folder/log" 2>&1 &
server=$!
python3 "$scripts/bench/page.py" "http://127.0.0.1:$port" "$psql" "$shop" "$sales" || { tail -n 20 "$folder/log" >&2; exit 1; }
