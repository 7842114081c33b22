"""statsforecast: AutoETS, AutoTheta and CrostonSBA for each product by itself, and the ensemble of the three.

Every series is a product's sales by week, the weeks counted back from the origin, over the shop's whole history: begun
at the first sale, Croston's method takes one sale for a steady demand. A longer period is the sum of its weeks (the last
one in part); a day is the week times the weekday's share of its category.
"""

import os

import numpy as np
import pandas as pd
from statsforecast import StatsForecast
from statsforecast.models import AutoETS, AutoTheta, CrostonSBA, HistoricAverage

from protocol import Protocol, Target, listed

# Weeks from which a category's shares of the weekdays are taken.
PROFILE_WEEKS = 8
# Products that sold in fewer weeks are CrostonSBA's alone: there is no level or trend to find, and they are half of all.
LEAST_WEEKS_SOLD = 4
MODELS = {"AutoETS": "auto_ets", "AutoTheta": "auto_theta", "CrostonSBA": "croston_sba"}


class Statistical:
    """Sees the products of the scored categories only: these models learn nothing from other products."""

    def __init__(self, protocol: Protocol):
        self.shop = protocol.shop
        self.scored = np.isin(self.shop.category, protocol.chosen)
        self.threads = int(os.environ.get("PEERS_THREADS", "0")) or os.cpu_count()

    def forecast(self, target: Target) -> dict[str, np.ndarray]:
        """Amounts by model, `ensemble` among them."""
        rows = np.flatnonzero(listed(self.shop, target.as_of) & self.scored)
        weeks = self.shop.weeks(target.as_of)[rows].astype(np.float64)
        steps = -(-target.days // 7)
        dense = (weeks != 0).sum(axis=1) >= LEAST_WEEKS_SOLD
        sparse = self._run([CrostonSBA()], weeks, ~dense, steps)["CrostonSBA"]
        said = self._run([AutoETS(), AutoTheta(), CrostonSBA()], weeks, dense, steps)
        parts = np.minimum(7, target.days - 7 * np.arange(steps)) / 7
        if target.frame == "day":
            parts = self._weekday_share(target)[rows, None]
        by_model = {}
        for column, values in said.items():
            name = MODELS[column]
            by_model[name] = np.zeros(len(self.shop.product))
            by_model[name][rows] = ((values + sparse).clip(min=0) * parts).sum(axis=1)
        by_model["ensemble"] = np.median(list(by_model.values()), axis=0)
        return by_model

    def _run(self, models: list, weeks: np.ndarray, chosen: np.ndarray, steps: int) -> dict[str, np.ndarray]:
        """Amounts by model, product and step; zero for the products that are not chosen."""
        rows, count = np.flatnonzero(chosen), weeks.shape[1]
        series = pd.DataFrame({"unique_id": np.repeat(rows, count), "ds": np.tile(np.arange(count), len(rows)), "y": weeks[rows].ravel()})
        # A series that a model cannot fit gets its mean.
        engine = StatsForecast(models, freq=1, n_jobs=self.threads, fallback_model=HistoricAverage())
        said = engine.forecast(df=series, h=steps).sort_values(["unique_id", "ds"])
        by_model = {}
        for model in models:
            by_model[model.alias] = np.zeros((len(weeks), steps))
            by_model[model.alias][rows] = np.nan_to_num(said[model.alias].to_numpy()).reshape(-1, steps)
        return by_model

    def _weekday_share(self, target: Target) -> np.ndarray:
        """Of each product's category, the share of the last weeks' sales that fell on the origin's weekday."""
        ids, category = np.unique(self.shop.category, return_inverse=True)
        total = lambda first, after: np.bincount(category, self.shop.sales(first, after), len(ids))
        weekday = sum(total(target.as_of - 7 * w, target.as_of - 7 * w + 1) for w in range(1, PROFILE_WEEKS + 1))
        return (weekday / np.maximum(total(target.as_of - 7 * PROFILE_WEEKS, target.as_of), 0.01))[category]
