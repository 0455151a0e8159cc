"""A picture of miss curves: miss ratio over size, on a logarithmic scale, with the machine's own size marked.

Drawn with Vega-Altair; vl-convert makes SVG and PNG of it without a browser. The same numbers give the same bytes.
"""

from typing import Any, Literal

import altair as alt
import numpy as np
import vl_convert

from discotrace.analysis.curve.curve import I64, Curve
from discotrace.analysis.curve.question import CACHES, PAGES, TLB
from discotrace.analysis.curve.report import TITLES
from discotrace.analysis.text import figure

Row = dict[str, Any]

WIDTH, HEIGHT = 760, 380
PNG_SCALE = 1.5  # pixels of a PNG for one of the picture's
POINTS_PER_DOUBLING = 32  # of a curve that has more sizes
MOST_LABELS = 12  # of sizes
# Okabe and Ito's palette, which people of every colour vision tell apart.
COLOURS = ["#0072B2", "#D55E00"]
MANY: Literal["viridis"] = "viridis"  # for many numbers of sets, which have an order
_AS_KIB = (
    "datum.value < 1 ? format(datum.value * 1024, '~g') + ' B' : "
    "datum.value < 1024 ? format(datum.value, '~g') + ' KiB' : format(datum.value / 1024, '~g') + ' MiB'"
)
_AS_NUMBER = "format(datum.value, ',')"


def picture(trace: str, machine: str, cpus: int, curves: list[Curve], suffix: str) -> bytes:
    """The picture as the content of a file: ``suffix`` .svg or .png. ``machine``: the name it was asked for by."""
    spec = chart(trace, machine, cpus, curves).to_dict()
    if suffix == ".png":
        return bytes(vl_convert.vegalite_to_png(spec, scale=PNG_SCALE))
    return bytes(vl_convert.vegalite_to_svg(spec).encode())


def chart(trace: str, machine: str, cpus: int, curves: list[Curve]) -> alt.LayerChart:
    """The picture as a Vega-Lite chart."""
    labels = [_label(curve, curves) for curve in curves]
    last_byte = max(_last_byte(curve) for curve in curves)
    rows = [row for curve, label in zip(curves, labels, strict=True) for row in _rows(curve, label, last_byte)]
    drawn = [row["x"] for row in rows]
    base = alt.Chart({"values": rows}, width=WIDTH, height=HEIGHT).encode(
        x=_x(curves, drawn), y=_y(curves, [row["ratio"] for row in rows]), color=_colour(labels)
    )
    has_points = len(curves) <= len(COLOURS) and all(curve.largest for curve in curves)
    layers = [base.mark_line(strokeWidth=2, point={"size": 22} if has_points else False, aria=False)]
    if any(curve.is_sampled for curve in curves):
        layers.insert(0, base.mark_area(opacity=0.25, line=False, aria=False).encode(y="low:Q", y2="high:Q"))
    title = alt.TitleParams(
        f"{trace}: {_what(curves)}",
        subtitle=_subtitle(machine, cpus, curves),
        fontSize=18,
        subtitleFontSize=13,
        anchor="start",
    )
    whole: alt.LayerChart = (
        alt.layer(*layers, _rings(curves))
        .properties(title=title)
        .configure(background="white", padding=12, font="Arial, Helvetica, sans-serif")
        .configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", gridColor="#e4e4e4")
        .configure_legend(labelFontSize=12, symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1)
        .configure_title(offset=12)
        .configure_view(stroke=None)
    )
    return whole


def _what(curves: list[Curve]) -> str:
    names = list(dict.fromkeys(TITLES[curve.scale.name] for curve in curves))
    by = {TLB: "TLB misses by number of entries", PAGES: "page faults by pages of memory"}
    return by.get(curves[0].scale.name, f"{' and '.join(names)} misses by size")


def _subtitle(machine: str, cpus: int, curves: list[Curve]) -> list[str]:
    """What was measured, and a line for each structure."""
    sampled = f"; a sample of {100 * curves[0].depths.rate:g} % with 95 % bounds" if curves[0].is_sampled else ""
    lines = [f"native on {machine}, {cpus} {'CPU' if cpus == 1 else 'CPUs'}, LRU{sampled}"]
    for curve in _of_own_sets(curves):
        cold = figure(100 * curve.cold / max(curve.accesses, 1))
        line = f"{TITLES[curve.scale.name]}: {curve.accesses:,} accesses, {cold} % of them cold"
        for size, ratio in _own_size(curve):
            line += f"; {figure(ratio)} % miss at the configured size, {size:,} {curve.scale.unit} (ring)"
        lines.append(line)
    return lines


def _of_own_sets(curves: list[Curve]) -> list[Curve]:
    """Of each structure the curve of its own number of sets, which is the last."""
    return list({curve.scale.name: curve for curve in curves}.values())


def _own_size(curve: Curve) -> list[tuple[int, float]]:
    """The machine's own size and its miss ratio in percent, if it is on the curve."""
    size = curve.scale.configured
    if size is None or not curve.smallest <= size <= (curve.largest or size):
        return []
    return [(size, 100 * float(curve.ratio_at(np.array([size]))[0]))]


def _label(curve: Curve, curves: list[Curve]) -> str:
    name = TITLES[curve.scale.name]
    if curve.scale.name not in CACHES:
        return name
    sets = "1 set" if curve.scale.sets == 1 else f"{curve.scale.sets:,} sets"
    sets = sets if curve.largest else "fully associative"
    return sets if len({one.scale.name for one in curves}) == 1 else f"{name}, {sets}"


def _last_byte(curve: Curve) -> float:
    """The memory of the largest size to draw: beyond the last that changes anything, and the machine's own."""
    last = curve.largest or 1.3 * max(int(curve.break_points()[-1]), curve.scale.configured or 0, 2)
    return last * curve.scale.unit_bytes


def _sizes(curve: Curve, last_byte: float) -> I64:
    """Sizes to draw: all, or so many for each doubling."""
    if curve.largest:
        return np.arange(1, curve.largest + 1)
    doublings = np.log2(last_byte / curve.scale.unit_bytes / curve.smallest)
    spaced = np.rint(curve.smallest * 2 ** np.linspace(0, doublings, int(doublings * POINTS_PER_DOUBLING) + 2))
    sizes: I64 = np.unique(spaced.astype(np.int64))
    return sizes


def _x_of(curve: Curve, sizes: I64) -> list[float]:
    """Where sizes stand: those of caches in KiB, because their units differ, others as they are."""
    x: list[float] = (curve.scale.size_kib(sizes) if curve.scale.name in CACHES else sizes.astype(float)).tolist()
    return x


def _rows(curve: Curve, label: str, last_byte: float) -> list[Row]:
    sizes = _sizes(curve, last_byte)
    ratio, bound = 100 * curve.ratio_at(sizes), 100 * curve.bound_at(sizes)
    least = 0 if curve.scale.name in CACHES else ratio / 3  # a logarithmic scale has no place for 0
    columns = (ratio, np.maximum(ratio - bound, least), np.minimum(ratio + bound, 100))
    return [
        {"curve": label, "x": x, "ratio": round(middle, 6), "low": round(low, 6), "high": round(high, 6)}
        for x, middle, low, high in zip(_x_of(curve, sizes), *(column.tolist() for column in columns), strict=True)
    ]


def _rings(curves: list[Curve]) -> alt.Chart:
    """The machine's own size, marked on its curve."""
    rows = [
        {"x": _x_of(curve, np.array([size]))[0], "ratio": round(ratio, 6)}
        for curve in _of_own_sets(curves)
        for size, ratio in _own_size(curve)
    ]
    marks = alt.Chart({"values": rows}).mark_point(size=130, strokeWidth=2, color="#222222", aria=False)
    rings: alt.Chart = marks.encode(x="x:Q", y="ratio:Q")
    return rings


def _x(curves: list[Curve], drawn: list[float]) -> alt.X:
    if curves[0].scale.name in CACHES:
        title, expression = "size (logarithmic)", _AS_KIB
    else:
        scale = curves[0].scale
        title, expression = f"{scale.unit} of {scale.unit_bytes // 1024:,} KiB (logarithmic)", _AS_NUMBER
    low, high = np.floor(np.log2(min(drawn))), np.ceil(np.log2(max(drawn)))
    powers = [2.0**n for n in np.arange(low, high + 1, 1 if high - low < MOST_LABELS else 2)]
    axis = alt.Axis(values=powers, labelExpr=expression, labelOverlap="greedy")
    domain = [min(drawn), max(drawn)]
    return alt.X("x:Q", title=title, axis=axis, scale=alt.Scale(type="log", base=2, domain=domain, nice=False))


def _y(curves: list[Curve], ratios: list[float]) -> alt.Y:
    """Logarithmic where ratios fall by orders of magnitude: of TLBs and memories, if nothing is 0."""
    if curves[0].scale.name in CACHES or min(ratios) == 0:
        return alt.Y("ratio:Q", title="miss ratio, %", scale=alt.Scale(domainMin=0, nice=True))
    decades = [10.0**n for n in range(-9, 3)]
    low = max(decade for decade in decades if decade <= max(min(ratios), decades[0]))
    axis = alt.Axis(values=decades, format="~g")
    scale = alt.Scale(type="log", domain=[low, 100], nice=False)
    return alt.Y("ratio:Q", title="miss ratio, % (logarithmic)", axis=axis, scale=scale)


def _colour(labels: list[str]) -> alt.Color:
    few = len(labels) <= len(COLOURS)
    scale = alt.Scale(domain=labels, range=COLOURS) if few else alt.Scale(domain=labels, scheme=MANY)
    legend = None if len(labels) == 1 else alt.Legend()
    return alt.Color("curve:N", title=None, sort=labels, scale=scale, legend=legend)
