"""The back-test protocol of docs/accuracy.md, written a second time: lists, truth, metrics and the plainest baselines.

Independent of sellcast's own code on purpose: `check` compares what both say of the same baselines.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from shop import Shop, day_number, last_day

METRICS = ["precision_at_5", "precision_at_10", "ndcg_at_10", "wape", "bias", "rmse", "mape"]


@dataclass
class Target:
    """One frame at one origin: the period that begins on that day, forecast from what was known before it."""

    frame: str
    origin: date

    @property
    def as_of(self) -> int:
        return day_number(self.origin)

    @property
    def after(self) -> int:
        return day_number(last_day(self.frame, self.origin)) + 1

    @property
    def days(self) -> int:
        return self.after - self.as_of

    def at(self, as_of: int) -> "Target":
        """The same frame at another origin."""
        return Target(self.frame, self.origin + timedelta(as_of - self.as_of))


def listed(shop: Shop, as_of: int) -> np.ndarray:
    """The products that a forecast covers: those that sold within the 52 weeks before."""
    return shop.sold(as_of - 364, as_of)


class Protocol:
    """Scores forecasts of one frame at the given origins."""

    def __init__(self, shop: Shop, frame: str, origins: list[date], categories: int = 100):
        self.shop = shop
        self.targets = [Target(frame, origin) for origin in origins]
        before = shop.sales(self.targets[0].as_of - 365, self.targets[0].as_of)
        ids, row = np.unique(shop.category, return_inverse=True)
        by_category = np.bincount(row, before)
        # Highest sales first, ties by id.
        self.chosen = ids[np.lexsort((ids, -np.round(by_category, 2)))[:categories]]

    def score(self, forecasts: list[np.ndarray]) -> dict[str, float]:
        """Metrics of one forecast per target; each has an amount for every product of the shop, unlisted ones too."""
        tally = {5: [], 10: []}
        ndcg, percent, errors, said, truth = [], [], [], 0.0, 0.0
        for target, forecast in zip(self.targets, forecasts):
            covered = listed(self.shop, target.as_of)
            amount = self.shop.sales(target.as_of, target.after)
            sold = self.shop.sold(target.as_of, target.after)
            value = np.where(covered, forecast, 0.0)
            for category in self.chosen:
                # Products are ordered by id within a category, so a stable sort breaks ties by id.
                low, high = np.searchsorted(self.shop.category, [category, category + 1])
                items = np.arange(low, high)[(covered | sold)[low:high]]
                said_order = items[np.argsort(-value[items], kind="stable")]
                sellers = items[sold[items]]
                true_order = sellers[np.argsort(-amount[sellers], kind="stable")]
                for k, hits in tally.items():
                    if len(sellers) >= k:
                        hits.append(len(np.intersect1d(said_order[:k], true_order[:k])) / k)
                gain = lambda order: np.sum(np.maximum(amount[order[:10]], 0) / np.log2(np.arange(2, min(len(order), 10) + 2)))
                if gain(true_order) > 0:
                    ndcg.append(gain(said_order) / gain(true_order))
                errors.append(value[items] - amount[items])
                positive = sellers[amount[sellers] > 0]
                percent.append(np.abs(value[positive] - amount[positive]) / amount[positive])
                said, truth = said + value[items].sum(), truth + amount[items].sum()
        errors = np.concatenate(errors)
        means = [np.mean(tally[5]), np.mean(tally[10]), np.mean(ndcg), np.abs(errors).sum() / truth, (said - truth) / truth,
                 np.sqrt(np.mean(errors**2)), np.mean(np.concatenate(percent))]
        return dict(zip(METRICS, map(float, means)))

    def check(self, theirs: dict[str, dict[str, float]]) -> None:
        """Fails unless sellcast's figures for the plainest baselines are these."""
        for name in ["mean_8w", "last_period"]:
            mine = self.score([baseline(self.shop, name, target) for target in self.targets])
            for metric in METRICS:
                if abs(mine[metric] - theirs[name][metric]) > 0.0005:
                    raise SystemExit(f"the protocols differ: {metric} of {name} is {mine[metric]:.5f} here, {theirs[name][metric]:.5f} by sellcast")


def baseline(shop: Shop, name: str, target: Target) -> np.ndarray:
    """`mean_8w`, or `last_period` (for a month the last four weeks, stretched)."""
    days = {"day": 1, "week": 7, "month": 28}[target.frame] if name == "last_period" else 56
    return np.maximum(shop.sales(target.as_of - days, target.as_of) * target.days / days, 0)
