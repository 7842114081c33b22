"""What the peers see of the shop: the warehouse's Delta tables, as `sellcast demo --prepare` leaves them.

Quarantined rows are in no fact table, so they are out here as they are for sellcast. All sums are whole cents, so that
equal sums are equal and ties break the same way on both sides.
"""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from deltalake import DeltaTable

EPOCH = date(1970, 1, 1)


def day_number(day: date) -> int:
    return (day - EPOCH).days


def last_day(frame: str, start: date) -> date:
    """Last day of the period: a month ends on the day before the same day next month."""
    if frame == "day":
        return start
    if frame == "week":
        return start + timedelta(6)
    if frame == "month":
        year, month = (start.year, start.month + 1) if start.month < 12 else (start.year + 1, 1)
        for day in range(start.day, 0, -1):
            try:
                return date(year, month, day) - timedelta(1)
            except ValueError:
                continue
    raise SystemExit(f"the peers are compared in the day, week and month frames, not in `{frame}`")


class Shop:
    """Sales by product and day as running totals, promotions and holidays. Products are ordered by category and id."""

    def __init__(self, folder: Path):
        self.folder = folder
        categories = self._table("dim_category", ["category_id", "forecast_category_id", "is_excluded"]).to_pandas()
        categories = categories[~categories.is_excluded & categories.forecast_category_id.notna()]
        level = dict(zip(categories.category_id, categories.forecast_category_id.astype(np.int64)))
        sales = self._table("fact_sales", ["product_id", "category_id", "date_id", "total_price", "known_at"])
        category = np.array([level.get(leaf, -1) for leaf in sales["category_id"].to_pylist()])
        kept = category >= 0
        product = sales["product_id"].to_numpy()[kept]
        day = sales["date_id"].cast("int32").to_numpy()[kept]
        cents = np.rint(pc.cast(sales["total_price"], "float64").to_numpy() * 100).astype(np.int64)[kept]
        # A day begins and ends in the shop's time zone, at most 14 hours away from UTC.
        known = sales["known_at"].cast("int64").to_numpy()[kept] / 86_400_000_000
        if (known > day + 1.6).any():
            raise SystemExit("the warehouse holds sales that became known late: prepare the shop anew")

        pairs, row = np.unique(np.stack([category[kept], product]), axis=1, return_inverse=True)
        self.category, self.product = pairs
        if len(np.unique(self.product)) < len(self.product):
            raise SystemExit("a product moved between categories: the peers' series expect one category for each")
        self.first_day, self.last_day = int(day.min()), int(day.max())
        days = self.last_day - self.first_day + 1
        at = row.ravel() * (days + 1) + (day - self.first_day) + 1
        shape = (len(self.product), days + 1)
        self._cents = np.cumsum(np.bincount(at, cents, np.prod(shape)).reshape(shape), axis=1).astype(np.int64)
        self._lines = np.cumsum(np.bincount(at, minlength=np.prod(shape)).reshape(shape), axis=1).astype(np.int32)
        self._promotions = self._read_promotions()
        dates = self._table("dim_date", ["date_id", "is_holiday"])
        self.holidays = dates["date_id"].cast("int32").to_numpy()[dates["is_holiday"].to_numpy(zero_copy_only=False)]

    def _table(self, name: str, columns: list[str]):
        return DeltaTable(str(self.folder / "warehouse" / name)).to_pyarrow_table(columns=columns)

    def _read_promotions(self) -> dict[str, np.ndarray]:
        table = self._table("fact_promotions", ["product_id", "starts_on", "ends_on", "kind", "strength", "announced_at", "known_at"])
        at = {product: row for row, product in enumerate(self.product)}
        row = np.array([at.get(product, -1) for product in table["product_id"].to_pylist()])
        kept = row >= 0
        announced = pc.coalesce(table["announced_at"], table["known_at"]).cast("int64").to_numpy() // 86_400_000_000
        columns = {
            "row": row,
            "starts": table["starts_on"].cast("int32").to_numpy(),
            "ends": table["ends_on"].cast("int32").to_numpy(),
            "display": table["kind"].to_numpy(zero_copy_only=False) == "display",
            "strength": table["strength"].to_numpy(),
            # Usable from the day after the announcement.
            "usable": announced + 1,
        }
        return {name: values[kept] for name, values in columns.items()}

    def sales(self, first: int, after: int) -> np.ndarray:
        """Amount of each product from day `first` to the day before `after`, in units of the currency."""
        return (self._at(self._cents, after) - self._at(self._cents, first)) / 100

    def sold(self, first: int, after: int) -> np.ndarray:
        """Whether each product had any sale or return in that stretch."""
        return self._at(self._lines, after) > self._at(self._lines, first)

    def _at(self, totals: np.ndarray, day: int) -> np.ndarray:
        return totals[:, min(max(day - self.first_day, 0), totals.shape[1] - 1)]

    def weeks(self, as_of: int) -> np.ndarray:
        """Amounts by product and week, oldest first; whole weeks that end on the day before `as_of`."""
        count = (as_of - self.first_day) // 7
        starts = [as_of - 7 * week for week in range(count, 0, -1)]
        return np.stack([self.sales(start, start + 7) for start in starts], axis=1).astype(np.float32)

    def promoted(self, first: int, after: int, known_before: int) -> np.ndarray:
        """Mean strength of displays (column 0) and all else (column 1) over a stretch, as announced before a day."""
        p = self._promotions
        days = np.minimum(p["ends"], after - 1) - np.maximum(p["starts"], first) + 1
        used = (days > 0) & (p["usable"] <= known_before)
        weight = p["strength"][used] * days[used] / (after - first)
        sums = np.bincount(p["row"][used] * 2 + ~p["display"][used], weight, len(self.product) * 2)
        return sums.reshape(-1, 2).astype(np.float32)
