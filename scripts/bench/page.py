"""Sells one line after the other and waits until the day's page shows it, reading the page as a browser does: anew whenever the server
says that sales have moved on, and not while a fetch runs.

Usage: page.py URL PSQL DATABASE SALES
"""

import json
import random
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

PATIENCE = 300
# What a sale comes to: far more than a category's forecast changes by itself.
DOLLARS = 1000
CATEGORY = 7


class Page:
    """The day's page, and whether the server has said since it was read that it would be another."""

    def __init__(self, base):
        self.base, self.moved, self.heard = base, threading.Event(), 0
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        where = urllib.parse.urlparse(self.base)
        with socket.create_connection((where.hostname, where.port)) as connection:
            connection.sendall(f"GET /events HTTP/1.1\r\nHost: {where.netloc}\r\nAccept: text/event-stream\r\n\r\n".encode())
            for line in connection.makefile("r"):
                if line.strip() == "event: sales":
                    self.heard += 1
                    self.moved.set()

    def amount(self):
        """The forecast of the category; none while it is not among the first, which the page shows."""
        try:
            with urllib.request.urlopen(f"{self.base}/?frame=day", timeout=30) as answer:
                text = answer.read().decode()
        except urllib.error.URLError:
            return None
        if "data-follows" not in text:
            sys.exit("the page does not follow the sales")
        found = re.search(rf'href="/categories/{CATEGORY}\?frame=day">.*?<b>\$([\d,]+)</b>', text)
        return int(found.group(1).replace(",", "")) if found else None


def sells(psql, database):
    """A session of the shop's till."""
    session = subprocess.Popen([psql, "-qAtX", database], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def sell(product):
        session.stdin.write(
            "insert into transactions (product_id, customer_id, quantity, unit_price, total_price, occurred_at)"
            f" values ({product}, 1, 1, {DOLLARS}, {DOLLARS}, now()) returning 'sold';\n"
        )
        session.stdin.flush()
        assert session.stdout.readline().strip() == "sold"

    return sell


def main():
    base, psql, database, sales = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            answer = json.load(urllib.request.urlopen(f"{base}/api/v1/predictions/categories?timeFrame=day", timeout=30))
            if answer["basis"] == "live":
                break
        except (urllib.error.URLError, ConnectionError):
            pass
        if time.monotonic() > deadline:
            sys.exit("the forecast never became live")
        time.sleep(0.2)
    page, sell, times = Page(base), sells(psql, database), []
    before = page.amount() or 0
    for number in range(sales):
        time.sleep(random.uniform(0.5, 2.5))
        page.moved.clear()
        began = time.monotonic()
        sell(CATEGORY - 1 + 50 * random.randrange(1, 20))
        while True:
            page.moved.wait(PATIENCE)
            page.moved.clear()
            now = page.amount()
            if now is not None and now > before + 0.9 * DOLLARS:
                break
            if time.monotonic() - began > PATIENCE:
                sys.exit(f"sale {number + 1} never came to the page: ${before} before, ${now} now")
        times.append(time.monotonic() - began)
        before = now
    times.sort()
    at = lambda share: times[min(int(share * len(times)), len(times) - 1)]
    print(json.dumps({
        "sales": sales,
        "commit_to_page_seconds": {"p50": round(at(0.5), 2), "p90": round(at(0.9), 2), "p99": round(at(0.99), 2), "most": round(times[-1], 2)},
        "target_seconds": 2,
    }))


main()
