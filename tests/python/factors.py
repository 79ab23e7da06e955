"""The factors of `market`, computed from a capture with pandas and NumPy.

    python3 factors.py CAPTURE WINDOW OUTPUT

Writes one row of 15 little-endian f64 for each Depth, in the order of arrival.

Sums are taken in a wider type and rounded once: x87's 80-bit floats, and exact
sums where they are subtracted. So what a comparison shows is the other side's
error.
"""

import math
import sys

import numpy as np
import pandas as pd

WIDE = np.longdouble
assert np.finfo(WIDE).nmant >= 63, "needs a long double wider than f64"

COUNTED = 1024
SECOND = 1_000_000_000


def over(numerator, denominator):
    """The quotient; 0 where there is none."""
    out = np.zeros(len(numerator), dtype=numerator.dtype)
    return np.divide(numerator, denominator, out=out, where=denominator != 0)


def windows(values, width, fill):
    """One row a value: the `width` values that end with it, `fill` before the first."""
    padded = np.concatenate([np.full(width - 1, fill, dtype=values.dtype), values])
    return np.lib.stride_tricks.sliding_window_view(padded, width)


def book(rows):
    names = ["spread", "mid_price", "bid_ask_ratio", "depth_imbalance", "weighted_mid"]
    bid, ask = rows["bid_px_1"], rows["ask_px_1"]
    bid_size, ask_size = rows["bid_sz_1"], rows["ask_sz_1"]
    bids = rows[[f"bid_sz_{level}" for level in range(1, 11)]].fillna(0.0).to_numpy()
    asks = rows[[f"ask_sz_{level}" for level in range(1, 11)]].fillna(0.0).to_numpy()
    difference = np.array([math.fsum(row) for row in np.hstack([bids, -asks])])
    total = np.array([math.fsum(row) for row in np.hstack([bids, asks])])
    wide = [column.to_numpy().astype(WIDE) for column in (bid, ask, bid_size, ask_size)]
    weighted = over(wide[0] * wide[3] + wide[1] * wide[2], wide[2] + wide[3])
    columns = [
        ask - bid,
        (ask + bid) / 2.0,
        over(bid_size.to_numpy(), ask_size.to_numpy()),
        over(difference, total),
        weighted.astype(np.float64),
    ]
    return pd.DataFrame(dict(zip(names, map(np.asarray, columns))), index=rows.index)


def tape(rows, window):
    price = windows(rows["price"].to_numpy().astype(WIDE), window, np.nan)
    size = windows(rows["qty"].to_numpy().astype(WIDE), window, np.nan)
    mean = np.nanmean(price, axis=1, keepdims=True)
    volume, amount = np.nansum(size, axis=1), np.nansum(price * size, axis=1)
    times = rows["ts_ns"].to_numpy()
    last = times[:, None]
    # Nothing was traded before the epoch.
    earlier = windows(times, COUNTED, np.int64(-2 * SECOND))
    counted = (earlier > last - SECOND) & (earlier <= last)
    columns = {
        "trade_volume_ma": np.nanmean(size, axis=1),
        "trade_direction": rows["side"].map({"buy": 1.0, "sell": -1.0}).to_numpy(),
        "trade_intensity": counted.sum(axis=1),
        "vwap": over(amount, volume),
        "trade_volatility": np.sqrt(np.nanmean((price - mean) ** 2, axis=1)),
    }
    return pd.DataFrame({k: v.astype(np.float64) for k, v in columns.items()}, index=rows.index)


def ticker(rows):
    bid, ask = rows["bid_px"], rows["ask_px"]
    mid = (ask + bid) / 2.0
    before = mid.shift()
    return pd.DataFrame(
        {
            "ticker_spread": (ask - bid) / mid,
            "ticker_volume_ratio": over(rows["bid_qty"].to_numpy(), rows["ask_qty"].to_numpy()),
            "ticker_momentum": ((mid - before) / before).fillna(0.0),
        },
        index=rows.index,
    )


def main(capture, window, output):
    rows = pd.read_csv(capture, low_memory=False)
    rows = rows.sort_values("seq", kind="stable").reset_index(drop=True)
    assert rows["symbol"].nunique() == 1, "one instrument a capture"
    kind = rows["type"]
    index = rows.loc[kind == "index", "price"].rename("index_price")
    parts = [
        book(rows[kind == "depth"]),
        tape(rows[kind == "trade"], window),
        ticker(rows[kind == "ticker"]),
        index,
    ]
    # Each row sees the last of every feed; a feed that has not spoken is empty.
    seen = pd.concat([part.reindex(rows.index) for part in parts], axis=1).ffill()
    seen = seen[kind == "depth"].astype(np.float64)
    seen["basis"] = seen["mid_price"] - seen["index_price"]
    seen["basis_pct"] = seen["basis"] / seen["index_price"]
    vectors = seen.drop(columns="index_price").fillna(0.0).to_numpy(dtype="<f8")
    assert vectors.shape[1] == 15
    vectors.tofile(output)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
