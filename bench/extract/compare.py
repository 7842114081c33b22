"""Reads the same sale lines out of one PostgreSQL: sellcast, psql's binary copy to nowhere, ConnectorX and dlt.

Each reader runs in a process of its own, in turns, and the best of its runs counts. The last line is one JSON object.
"""

import json
import os
import subprocess
import sys
import time

QUERY = "select sale_id, product_id, customer_id, quantity, unit_price, total_price, occurred_at, updated_at from sales"
RUNS = 3

CONNECTORX = """
import sys, time, connectorx
started = time.perf_counter()
table = connectorx.read_sql(sys.argv[1], sys.argv[2], return_type="arrow")
print(table.num_rows, time.perf_counter() - started)
"""

# Extraction alone, by dlt's own faster backend: rows into Arrow tables in its working folder, nothing normalised or loaded.
DLT = """
import sys, time, dlt
from dlt.sources.sql_database import sql_table
rows = 0
def count(batch):
    global rows
    rows += batch.num_rows
    return batch
started = time.perf_counter()
pipeline = dlt.pipeline("bench", pipelines_dir=sys.argv[2], destination="filesystem")
table = sql_table(sys.argv[1].replace("postgres://", "postgresql+psycopg2://"), table="sales", backend="pyarrow", chunk_size=100000)
pipeline.extract(table.add_map(count))
print(rows, time.perf_counter() - started)
"""


def measured(command):
    """Seconds of wall and peak memory (MB) of a command, with its output."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"bench extract: failed: {command[0]}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024, out


def main():
    sellcast, python, psql, url, data, scratch, rows = sys.argv[1:8]
    rows = int(rows)

    def ours():
        _, memory, out = measured([sellcast, "check", "--dir", data, "--read", "--json"])
        read = next(read for read in json.loads(out) if read["entity"] == "transactions")
        assert (read["rows"], read["rejected"]) == (rows, 0), read
        return read["seconds"], memory

    def copy():
        command = [psql, url, "-qAtc", f"copy ({QUERY}) to stdout (format binary)", "-o", "/dev/null"]
        seconds, memory, _ = measured(command)
        return seconds, memory

    def connectorx():
        _, memory, out = measured([python, "-c", CONNECTORX, url, QUERY])
        read, seconds = out.split()
        assert int(read) == rows, read
        return float(seconds), memory

    def dlt():
        _, memory, out = measured([python, "-c", DLT, url, scratch])
        read, seconds = out.split()[-2:]
        assert int(read) == rows, read
        return float(seconds), memory

    readers = {"sellcast": ours, "copy to nowhere": copy, "connectorx": connectorx, "dlt": dlt}
    best = {}
    for turn in range(RUNS):
        for name, reader in readers.items():
            if name == "dlt" and turn > 0:
                continue
            seconds, memory = reader()
            best[name] = min(best.get(name, (seconds, memory)), (seconds, memory))
            print(f"{name}: {rows / seconds:,.0f} rows/s, {memory:.0f} MB at its peak", file=sys.stderr)
    rate = {name: round(rows / seconds) for name, (seconds, _) in best.items()}
    print(
        json.dumps(
            {
                "bench": "extract",
                "ours": rate["sellcast"],
                "peer": rate["copy to nowhere"],
                "unit": "rows/s",
                "ratio": round(rate["sellcast"] / rate["copy to nowhere"], 2),
                "rows": rows,
                "rows_per_second": rate,
                "peak_mb": {name: round(memory) for name, (_, memory) in best.items()},
                "over_connectorx": round(rate["sellcast"] / rate["connectorx"], 2),
                "over_dlt": round(rate["sellcast"] / rate["dlt"], 2),
            }
        )
    )


main()
