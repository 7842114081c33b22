"""Polls the running day's forecast of every category, live and published, and scores both when the day is over.

Usage: live.py URL SHOP_DB DAYS PROCESS
"""

import collections
import datetime
import json
import os
import sqlite3
import sys
import time
import urllib.error
import urllib.request
import zoneinfo

ZONE = zoneinfo.ZoneInfo("America/New_York")
# Shares of the day that is over, by the clock.
PARTS = [(0, 6), (6, 10), (10, 12), (12, 14), (14, 16), (16, 18), (18, 20), (20, 24)]
LEVEL = 2
# Seconds without a sale after which the replay is over; it begins when the first models are trained.
SILENCE = 1800


def ask(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)
    except (urllib.error.URLError, TimeoutError, ConnectionError, json.JSONDecodeError):
        return None


def instant(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def at_level(shop):
    """The category at the forecast level of each category."""
    parents = dict(shop.execute("select category_id, parent_category_id from categories"))

    def path(category):
        way = [category]
        while parents[way[-1]] is not None:
            way.append(parents[way[-1]])
        return way[::-1]

    return {category: path(category)[:LEVEL][-1] for category in parents}


def sold(shop, levels, day):
    """What each category at the forecast level sold on a day of the shop, in dollars."""
    begin = datetime.datetime.combine(day, datetime.time(), ZONE)
    end = datetime.datetime.combine(day + datetime.timedelta(days=1), datetime.time(), ZONE)
    text = [at.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ") for at in (begin, end)]
    sums = collections.Counter()
    rows = shop.execute(
        "select p.category_id, sum(cast(round(l.total_price * 100) as integer)) from orders o join order_lines l using (order_id)"
        " join products p using (product_id) where o.ordered_at >= ? and o.ordered_at < ? and l.quantity <> 0 group by 1",
        text,
    )
    for category, cents in rows:
        sums[levels[category]] += cents / 100
    return sums


def watch(base, days, process):
    """Every new live forecast with the published one of its day: (day, hour, live, published)."""
    seen, watched, path = [], set(), f"{base}/api/v1/predictions/categories?timeFrame=day&limit=100"
    newest, heard = None, time.monotonic()
    while len(watched) <= days:
        if not os.path.exists(f"/proc/{process}"):
            break
        live = ask(path)
        if live and live.get("basis") == "live" and live.get("liveAsOf") != newest:
            published = ask(f"{path}&live=false")
            newest = live["liveAsOf"]
            at = instant(newest).astimezone(ZONE)
            day = datetime.date.fromisoformat(live["periodStart"][:10])
            if published and published["periodStart"] == live["periodStart"] and at.date() == day:
                watched.add(day)
                seen.append((day, at.hour + at.minute / 60, live["categories"], published["categories"]))
            heard = time.monotonic()
        if newest and time.monotonic() - heard > SILENCE:
            break
        time.sleep(0.5)
    # The last day may not be over.
    return [one for one in seen if one[0] != max(watched)] if watched else []


def main():
    base, path, days, process = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    seen = watch(base, days, process)
    if not seen:
        sys.exit("no live forecast was seen")
    shop = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    levels = at_level(shop)
    truth = {day: sold(shop, levels, day) for day in {one[0] for one in seen}}
    score = collections.defaultdict(lambda: collections.Counter())
    for day, hour, live, published in seen:
        part = next(part for part in PARTS if part[0] <= hour < part[1])
        batch = {one["categoryId"]: one for one in published}
        for one in live:
            other = batch.get(one["categoryId"])
            if other is None:
                continue
            actual, sums = truth[day][one["categoryId"]], score[part]
            sums["actual"] += abs(actual)
            sums["calls"] += 1
            for name, said in (("live", one), ("published", other)):
                sums[name] += abs(said["predictedSalesAmount"] - actual)
                low, high = said["interval"]["low"], said["interval"]["high"]
                sums[f"{name} covered"] += low - 0.005 <= actual <= high + 0.005
                sums[f"{name} width"] += high - low
    print(f"{len(truth)} days from {min(truth)} to {max(truth)}, {len(seen)} live forecasts of all categories\n")
    print("| shop's clock | WAPE live | WAPE published | 80 % covered live | published | width live / published |")
    print("|---|---|---|---|---|---|")
    for part in PARTS:
        sums = score.get(part)
        if sums:
            print(
                f"| {part[0]}:00 to {part[1]}:00 | {sums['live'] / sums['actual']:.3f} | {sums['published'] / sums['actual']:.3f} |"
                f" {sums['live covered'] / sums['calls']:.3f} | {sums['published covered'] / sums['calls']:.3f} |"
                f" {sums['live width'] / sums['published width']:.2f} |"
            )


main()
