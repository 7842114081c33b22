"""LightGBM through mlforecast: one pooled Tweedie model over all products, refitted at each origin.

Every series is a product's sales by week, the weeks counted back from the origin, from its first sale on. The label of
a week is the amount of the whole period (day, week or month) that begins with it, so one direct model serves any frame.
"""

import os
import time
from datetime import timedelta

import lightgbm
import numpy as np
import pandas as pd
from mlforecast import MLForecast
from mlforecast.lag_transforms import ExpandingMean, RollingMean, RollingStd

from protocol import Target, listed
from shop import EPOCH, Shop

# Newest weeks that labels are taken from; chosen with the parameters on origins before the test (README.md).
TRAINED_WEEKS = 16
PARAMETERS = dict(objective="tweedie", tweedie_variance_power=1.3, n_estimators=300, learning_rate=0.05, num_leaves=63, min_child_samples=50,
                  subsample=0.8, subsample_freq=1, colsample_bytree=0.7, cat_smooth=100, cat_l2=100, min_data_per_group=300,
                  deterministic=True, force_row_wise=True, seed=1, verbose=-1)
CATEGORICAL = ["product", "category"]


class Boosted:
    """`with_promotions` tells it the promotions of the target period that were announced before the origin."""

    def __init__(self, shop: Shop, with_promotions: bool):
        self.shop = shop
        self.with_promotions = with_promotions
        self.train_seconds = 0.0
        self.parameters = {**PARAMETERS, "n_jobs": int(os.environ.get("PEERS_THREADS", "0")) or os.cpu_count()}

    def forecast(self, target: Target) -> np.ndarray:
        started = time.monotonic()
        rows = np.flatnonzero(listed(self.shop, target.as_of))
        series, starts = self._series(rows, target)
        model = self._model()
        table = model.preprocess(series.assign(**self._known(series, starts, target)), static_features=CATEGORICAL, dropna=False, validate_data=False)
        trained = table[table["lag1"].notna() & table["ds"].isin(self._ended(starts, target)[-TRAINED_WEEKS:])]
        labels = np.maximum(self._labels(trained, starts, target), 0)
        model.fit_models(trained[model.ts.features_order_], labels)
        self.train_seconds += time.monotonic() - started
        future = pd.DataFrame({"unique_id": rows, "ds": len(starts)})
        future = future.assign(**self._known(future, np.append(starts, target.as_of), target))
        said = model.predict(1, X_df=future)
        forecast = np.zeros(len(self.shop.product))
        forecast[said["unique_id"].to_numpy()] = np.maximum(said["model"].to_numpy(), 0)
        return forecast

    def _model(self) -> MLForecast:
        own = [RollingMean(weeks, min_samples=1) for weeks in (4, 8, 13, 26)] + [RollingStd(8, min_samples=2), ExpandingMean()]
        category = [RollingMean(weeks, min_samples=1, groupby=["category"], time_agg="sum") for weeks in (1, 4, 13)]
        regressor = lightgbm.LGBMRegressor(**self.parameters)
        return MLForecast(models={"model": regressor}, freq=1, lags=[*range(1, 9), 12], lag_transforms={1: own + category})

    def _series(self, rows: np.ndarray, target: Target) -> tuple[pd.DataFrame, np.ndarray]:
        """Long table of the weekly amounts, and the first day of each week."""
        weeks = self.shop.weeks(target.as_of)[rows]
        starts = target.as_of - 7 * np.arange(weeks.shape[1], 0, -1)
        # A product that sold in the days before the first whole week, and since then not at all, begins with that week.
        first = np.where((weeks != 0).any(axis=1), (weeks != 0).argmax(axis=1), 0)
        row, week = np.nonzero(np.arange(weeks.shape[1]) >= first[:, None])
        table = pd.DataFrame({"unique_id": rows[row], "ds": week, "y": weeks[row, week]})
        table["product"] = pd.Categorical(table["unique_id"], categories=np.arange(len(self.shop.product)))
        table["category"] = pd.Categorical(self.shop.category[table["unique_id"]], categories=np.unique(self.shop.category))
        return table, starts

    def _ended(self, starts: np.ndarray, target: Target) -> np.ndarray:
        """The weeks whose periods had ended at the origin."""
        return np.array([week for week, start in enumerate(starts) if target.at(int(start)).after <= target.as_of])

    def _labels(self, table: pd.DataFrame, starts: np.ndarray, target: Target) -> np.ndarray:
        """Amount of the period that begins with each row's week."""
        labels = np.zeros(len(table))
        for week in table["ds"].unique():
            period, at = target.at(int(starts[week])), (table["ds"] == week).to_numpy()
            labels[at] = self.shop.sales(period.as_of, period.after)[table["unique_id"].to_numpy()[at]]
        return labels

    def _known(self, table: pd.DataFrame, starts: np.ndarray, target: Target) -> dict[str, np.ndarray]:
        """What is known of each row's period when it begins: the calendar, the last days' sales, the announced promotions."""
        periods = [target.at(int(start)) for start in starts]
        week, product = table["ds"].to_numpy(), table["unique_id"].to_numpy()
        columns = {f"calendar_{name}": values[week] for name, values in self._calendar(periods).items()}

        def per_product(make):
            values = np.stack([make(period) for period in periods])
            return values[week, product]

        if target.frame == "day":
            columns["yesterday"] = per_product(lambda p: self.shop.sales(p.as_of - 1, p.as_of).astype(np.float32))
            for weeks in (4, 13):
                columns[f"same_weekday_{weeks}w"] = per_product(
                    lambda p: sum(self.shop.sales(p.as_of - 7 * w, p.as_of - 7 * w + 1) for w in range(1, weeks + 1)).astype(np.float32))
        if self.with_promotions:
            promoted = np.stack([self.shop.promoted(p.as_of, p.after, p.as_of) for p in periods])[week, product]
            columns |= {"planned_display": promoted[:, 0], "planned_mailer": promoted[:, 1]}
        return columns

    def _calendar(self, periods: list[Target]) -> dict[str, np.ndarray]:
        holidays = np.sort(self.shop.holidays)
        following = lambda p: holidays[np.searchsorted(holidays, p.as_of)] if holidays[-1:] >= p.as_of else p.as_of + 60
        dates = [EPOCH + timedelta(p.as_of) for p in periods]
        return {
            "week": np.array([d.isocalendar().week for d in dates], np.float32),
            "month": np.array([d.month for d in dates], np.float32),
            "day_of_month": np.array([d.day for d in dates], np.float32),
            "days": np.array([p.days for p in periods], np.float32),
            "holidays": np.array([((holidays >= p.as_of) & (holidays < p.after)).sum() for p in periods], np.float32),
            "to_holiday": np.array([min(following(p) - p.as_of, 60) for p in periods], np.float32),
        }
