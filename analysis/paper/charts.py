"""The panels of the paper's figures as SVG: stacked bars in pairs, the published one on the left, ours on the right.

Drawn with Vega-Altair and vl-convert. Colours of text and lines that depend on light and dark are left to the style of
the page; the segments keep theirs. Each mark says in words what it stands for (``aria-label``).
"""

import re
import textwrap
from typing import Any

import altair as alt
import vl_convert

from discotrace.analysis.paper.comparison import Comparison
from discotrace.analysis.paper.layout import OURS, PAPER, ROLES, Pair, Panel, name_of
from discotrace.analysis.text import figure as number

Row = dict[str, Any]

# Okabe and Ito's palette, which people of every colour vision tell apart; with each the colour of text on it.
WHITE, BLACK = "#ffffff", "#111111"
BLUE, SKY, ORANGE, YELLOW = ("#0072B2", WHITE), ("#56B4E9", BLACK), ("#E69F00", BLACK), ("#F0E442", BLACK)
VERMILION, PINK, GREEN, GREY = ("#D55E00", BLACK), ("#CC79A7", BLACK), ("#009E73", BLACK), ("#BBBBBB", BLACK)
COLOURS = {
    "user": BLUE,
    "user_stall": SKY,
    "kernel": ORANGE,
    "kernel_stall": PINK,
    "sync": YELLOW,
    "monitor": VERMILION,
    "idle": GREY,
    "exec": BLUE,
    "local_stall": SKY,
    "remote_stall": PINK,
    "stall": GREEN,
    "machine_data": BLUE,
    "machine_text": SKY,
    "machine_buffer_cache": GREEN,
    "machine_monitor": VERMILION,
    "tlb_write": VERMILION,
    "privileged": PINK,
    "monitor_call": SKY,
    "kernel_tlb": GREEN,
}
UNDIVIDED = GREY  # bars of one part
HEIGHT = 240  # of the scale, in pixels
BAR_STEP = 31  # width of a bar, in pixels
PAIR_STEP = 2 * BAR_STEP + 10
LABEL_LETTERS = 11  # of a line under a pair
LEAST_FOR_LABEL = 10.5  # height of a segment that has room for its value, in pixels
ROOM_ABOVE = 1.14  # length of the scale, in highest bars: room for what stands above
MET, MISSED = "✓", "✗"
SIZES = {"inside": 9.5, "above": 11, "who": 9.5}


def colour_of(quantity: str) -> str:
    """The colour of a segment."""
    return COLOURS.get(quantity, UNDIVIDED)[0]


def sign_of(one: Comparison) -> str:
    """Whether a goal was met, as a sign; nothing where there is no goal."""
    return "" if one.met is None else MET if one.met else MISSED


def words_of(one: Comparison, bar: str) -> str:
    """What a rectangle of the chart stands for."""
    value = one.published if bar == PAPER else one.ours
    where = f"{name_of(one.workload)}, {name_of(one.configuration)}"
    return f"{where}, {bar}, {name_of(one.quantity)}: {number(value)} {one.unit}"


def svg_of(panel: Panel) -> str:
    """A panel as an SVG element that scales with the page."""
    svg = vl_convert.vegalite_to_svg(_chart(panel).to_dict())
    return _scalable(str(svg))


def _chart(panel: Panel) -> alt.LayerChart:
    layers = [
        _bars(panel),
        _texts("inside", panel, _inside(panel), "middle:Q"),
        _texts("above", panel, _above(panel), "top:Q", dy=-7),
        _texts("who", panel, _who(panel), "top:Q", dy=11),
    ]
    whole: alt.LayerChart = (
        alt.layer(*layers)
        .resolve_scale(color="independent")
        .properties(width={"step": PAIR_STEP, "for": "position"}, height=HEIGHT)
        .configure(background="transparent", padding=4, font="Arial, Helvetica, sans-serif")
        .configure_axis(labelFontSize=11, labelColor="#333333", gridColor="#cccccc", gridOpacity=0.6)
        .configure_view(stroke=None)
    )
    return whole


def _position(panel: Panel) -> dict[str, Any]:
    axis = alt.Axis(
        title=None, labelAngle=0, labelPadding=18, labelLimit=0, ticks=False, labelExpr="split(datum.label, '\\n')"
    )
    return {
        "x": alt.X("bar:N", sort=[_under(pair) for pair in panel.pairs], axis=axis, scale=alt.Scale(padding=0.12)),
        "xOffset": alt.XOffset("who:N", sort=[PAPER, OURS]),
    }


def _bars(panel: Panel) -> alt.Chart:
    rows = [row for pair in panel.pairs for bar in (PAPER, OURS) for row in _segments(pair, bar)]
    scale = alt.Scale(domain=[0, (panel.height or 1) * ROOM_ABOVE], nice=False)
    axis = alt.Axis(title=None, domain=False, ticks=False, tickCount=5)
    chart: alt.Chart = (
        alt.Chart({"values": rows}, name="bars")
        .mark_bar(stroke="white", strokeWidth=1)
        .encode(
            **_position(panel),
            y=alt.Y("bottom:Q", scale=scale, axis=axis),
            y2="top:Q",
            color=alt.Color("colour:N", scale=None),
            description=alt.Description("words:N"),
        )
    )
    return chart


def _texts(name: str, panel: Panel, rows: list[Row], height: str, dy: float = 0) -> alt.Chart:
    """Texts at bars, each with its colour; the page's style knows them by ``name``."""
    chart: alt.Chart = (
        alt.Chart({"values": rows}, name=name)
        .mark_text(fontSize=SIZES[name], dy=dy, baseline="middle", aria=False)
        .encode(
            **_position(panel),
            y=alt.Y(height),
            text="text:N",
            color=alt.Color("ink:N", scale=None),
        )
    )
    return chart


def _segments(pair: Pair, bar: str) -> list[Row]:
    rows: list[Row] = []
    bottom = 0.0
    for one in pair.parts:
        top = bottom + (one.published if bar == PAPER else one.ours)
        colour, ink = COLOURS.get(one.quantity, UNDIVIDED)
        rows.append(
            {"bar": _under(pair), "who": bar, "bottom": bottom, "top": top, "colour": colour, "ink": ink}
            | {"words": words_of(one, bar)}
        )
        bottom = top
    return rows


def _inside(panel: Panel) -> list[Row]:
    """The values of the segments that have room for it. An undivided bar has its value above alone."""
    pixels = HEIGHT / ((panel.height or 1) * ROOM_ABOVE)
    rows = []
    for pair in panel.pairs:
        for bar in (PAPER, OURS) if len(pair.parts) > 1 else ():
            for row in _segments(pair, bar):
                value = row["top"] - row["bottom"]
                if value * pixels >= LEAST_FOR_LABEL:
                    rows.append(row | {"middle": (row["top"] + row["bottom"]) / 2, "text": _short(value)})
    return rows


def _above(panel: Panel) -> list[Row]:
    rows = []
    for pair in panel.pairs:
        for bar, value in pair.values.items():
            sign = sign_of(pair.total) if bar == OURS and pair.total is not None else ""
            ink = "#b00020" if sign == MISSED else "#222222"
            text = f"{_short(value)}{sign}"
            rows.append({"bar": _under(pair), "who": bar, "top": pair.heights[bar], "text": text, "ink": ink})
    return rows


def _who(panel: Panel) -> list[Row]:
    return [
        {"bar": _under(pair), "who": bar, "top": 0, "text": bar, "ink": "#555555"}
        for pair in panel.pairs
        for bar in (PAPER, OURS)
    ]


def _under(pair: Pair) -> str:
    """The lines under a pair: its name and its role."""
    return "\n".join([*textwrap.wrap(pair.label, LABEL_LETTERS), ROLES[pair.role]])


def _short(value: float) -> str:
    """A number that fits the width of a bar: of two digits at least."""
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}" if value >= 0.995 else f"{value:.2g}"


def _scalable(svg: str) -> str:
    """An SVG as wide as the page wants, up to its own width; no namespaces, which an element in HTML has by itself."""
    start = re.match(r"<svg [^>]*>", svg)
    if start is None:
        raise ValueError(f"no SVG element: {svg[:80]}")
    view = re.search(r'viewBox="([^"]+)"', start[0])
    if view is None:
        raise ValueError(f"no viewBox: {start[0]}")
    width = view[1].split()[2]
    opening = f'<svg class="chart" viewBox="{view[1]}" style="--width: {width}px" role="graphics-document">'
    return opening + svg[start.end() :]
