"""Reads a latency report as other people's tools do and compares its files.

    report.py FOLDER
    report.py FOLDER/latency.hlog

The tables are read with the pattern of hdr-plot 0.6.2, the log with the HdrHistogram
package. Prints a line a hop: name, count, maximum. Of a log alone, which a
host that left without its destroy has left, it prints the same.
"""

import glob
import json
import os
import re
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

HDR_PLOT = re.compile(r"\s+([0-9.]+)\s+([0-9.]+)\s+([0-9.]+)\s+([0-9.]+)")
HDR_PLOT_MAX = re.compile(r"#\[Max(?:\s+)=(?:\s+)([0-9.]+),(?:\s+)Total count(?:\s+)=(?:\s+)([0-9.]+)")
HDR_PLOT_MEAN = re.compile(r"#\[Mean(?:\s+)=(?:\s+)([0-9.]+),(?:\s+)StdDeviation(?:\s+)=(?:\s+)([0-9.]+)")


def read_log(path):
    """The sum of the intervals of each tag. Every line must be a whole one."""
    interval_lines = sum(1 for line in open(path) if not line.startswith("#"))
    totals = {}
    reader = HistogramLogReader(path, HdrHistogram(1, 2**42 - 1, 2))
    while (interval := reader.get_next_interval_histogram()) is not None:
        interval_lines -= 1
        tag = interval.get_tag() or "tick_to_callback"
        if tag in totals:
            totals[tag].add(interval)
        else:
            totals[tag] = interval
    assert interval_lines == 0, f"{interval_lines} lines of {path} are no intervals"
    return totals


def up_to(histogram, value):
    """How many values of the histogram are not above this one."""
    return sum(
        item.count_at_value_iterated_to
        for item in histogram.get_recorded_iterator()
        if histogram.get_highest_equivalent_value(item.value_iterated_to) <= value
    )


def check_table(path, histogram, row):
    lines = open(path).read().splitlines()
    data = [line for line in lines[1:] if line and not line.startswith("#")]
    table = [tuple(map(float, HDR_PLOT.match(line).groups())) for line in data if HDR_PLOT.match(line)]
    # HdrHistogram's own tools leave the last column out at 100 %.
    assert len(table) == len(data) - 1, f"{path}: {len(table)} of {len(data)} rows"
    assert max(value for value, *_ in table) == row["max_ns"], f"{path}: {table[-1]}"
    total = histogram.get_total_count()
    for value, quantile, count, inverse in table:
        assert count == up_to(histogram, value), (path, value, count)
        assert count >= quantile * total - 1e-6, (path, value, quantile, count)
        below = up_to(histogram, histogram.get_lowest_equivalent_value(int(value)) - 1)
        assert below < quantile * total + 1, (path, value, quantile, below)
        assert abs(inverse * (1 - quantile) - 1) < 0.01, (path, quantile, inverse)
    (most, count), = (HDR_PLOT_MAX.match(line).groups() for line in lines if HDR_PLOT_MAX.match(line))
    assert (float(most), int(count)) == (row["max_ns"], total), (path, most, count)
    (mean, _), = (HDR_PLOT_MEAN.match(line).groups() for line in lines if HDR_PLOT_MEAN.match(line))
    assert abs(float(mean) / histogram.get_mean_value() - 1) < 0.01, (path, mean)


def main():
    folder = sys.argv[1]
    if folder.endswith(".hlog"):
        for hop, histogram in sorted(read_log(folder).items()):
            print(hop, histogram.get_total_count(), histogram.get_max_value())
        return
    totals = read_log(os.path.join(folder, "latency.hlog"))
    summary = json.load(open(os.path.join(folder, "summary.json")))
    rows = {row["hop"]: row for row in summary["hops"]}
    tables = {os.path.basename(path)[: -len(".hgrm")] for path in glob.glob(os.path.join(folder, "*.hgrm"))}
    assert tables == set(rows) == set(totals), (tables, set(rows), set(totals))
    for hop, row in rows.items():
        histogram = totals[hop]
        highest = histogram.get_highest_equivalent_value
        assert histogram.get_total_count() == row["count"], (hop, row)
        assert highest(histogram.get_max_value()) == row["max_ns"], (hop, row)
        for percentile, key in [(50, "p50_ns"), (99, "p99_ns"), (99.9, "p999_ns")]:
            value = histogram.get_value_at_percentile(percentile)
            assert highest(value) == row[key], (hop, key, value, row)
        check_table(os.path.join(folder, f"{hop}.hgrm"), histogram, row)
        print(hop, row["count"], row["max_ns"])


main()
