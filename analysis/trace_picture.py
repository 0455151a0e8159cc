"""One picture of a trace: working sets over time, sharing and misses by class, OS services.

Drawn with Vega-Altair; vl-convert makes SVG and PNG of it without a browser. The same numbers give the same bytes.
"""

from typing import Any

import altair as alt
import vl_convert

from discotrace.analysis.sharing_misses import PAGE_TABLES, ClassMisses
from discotrace.tracegen.sharing import CLASSES, PRIVATE, READ_SHARED, WRITE_SHARED, PageClass
from discotrace.tracegen.summary import Summary, WorkingSet

Row = dict[str, Any]
Bars = alt.LayerChart | alt.FacetChart  # what Altair says that layers are

WIDTH = 800  # of the curves; with the axes the picture is about 900 wide
PNG_SCALE = 1.5  # pixels of a PNG for one of the picture's
MOST_SERVICES = 7  # that have a bar of their own
# Okabe and Ito's palette, which people of every colour vision tell apart.
PARTS = {"user code": "#56B4E9", "user data": "#CC79A7", "kernel": "#E69F00"}
SHARED = {PRIVATE: "#0072B2", READ_SHARED: "#009E73", WRITE_SHARED: "#D55E00", PAGE_TABLES.sharing: "#999999"}
BARS_WIDTH = 200
BAR_STEP = 22  # height of a bar and of the gap to the next
ROOM_FOR_LABEL = 1.8  # length of the scale, in longest bars
NAMES = alt.Axis(title=None, domain=False, ticks=False, labelLimit=160)


def picture(title: str, summary: Summary, misses: list[ClassMisses], machine: str, suffix: str) -> bytes:
    """The picture as the content of a file: ``suffix`` .svg or .png. ``machine``: on which the misses were counted."""
    spec = chart(title, summary, misses, machine).to_dict()
    if suffix == ".png":
        return bytes(vl_convert.vegalite_to_png(spec, scale=PNG_SCALE))
    return bytes(vl_convert.vegalite_to_svg(spec).encode())


def chart(title: str, summary: Summary, misses: list[ClassMisses], machine: str) -> alt.VConcatChart:
    """The picture as a Vega-Lite chart."""
    cpus = len(summary.instructions_by_cpu)
    subtitle = (
        f"{cpus} {'CPU' if cpus == 1 else 'CPUs'}, {summary.instructions / 1e6:,.1f} million instructions, "
        f"{summary.records:,} records"
    )
    below = alt.hconcat(_sharing(summary, misses, machine), _services(summary), spacing=30)
    whole: alt.VConcatChart = (
        alt.vconcat(_working_sets(summary.working_set), below, spacing=24)
        .resolve_scale(color="independent", x="independent", y="independent")
        .properties(title=alt.TitleParams(title, subtitle=subtitle, fontSize=18, subtitleFontSize=13, anchor="start"))
        .configure(background="white", padding=12, font="Arial, Helvetica, sans-serif")
        .configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", gridColor="#e4e4e4")
        .configure_title(fontSize=13, anchor="start", offset=8)
        .configure_view(stroke=None)
    )
    return whole


def _working_sets(working_set: WorkingSet) -> alt.VConcatChart:
    kib = {
        "user code": working_set.user_code_kib,
        "user data": working_set.user_data_kib,
        "kernel": working_set.kernel_kib,
    }
    starts = [0.0]
    for instructions in working_set.instructions:
        starts.append(starts[-1] + instructions / 1e6)
    curves = [_curve(part, list(kib[part]), starts, is_last=part == "kernel") for part in PARTS]
    title = f"Working sets: virtual KiB touched in each {working_set.slice_records:,} records"
    return alt.vconcat(*curves, spacing=10, title=alt.TitleParams(title))


def _curve(part: str, kib: list[int], starts: list[float], is_last: bool) -> alt.Chart:
    """Steps, each as long as its stretch of the trace; the last value stands twice so that its step has an end."""
    rows = [{"at": round(at, 6), "kib": value} for at, value in zip(starts, kib + kib[-1:], strict=bool(kib))]
    axis = alt.Axis(
        labels=is_last,
        ticks=is_last,
        title="million instructions of the trace, all CPUs together" if is_last else None,
    )
    curve: alt.Chart = (
        alt.Chart({"values": rows}, width=WIDTH, height=90)
        .mark_area(interpolate="step-after", color=PARTS[part], opacity=0.55, line={"color": PARTS[part]}, aria=False)
        .encode(
            x=alt.X("at:Q", axis=axis, scale=alt.Scale(domain=[0, max(starts[-1], 1e-6)], nice=False)),
            y=alt.Y("kib:Q", title=f"{part}, KiB", axis=alt.Axis(tickCount=4, minExtent=56)),
        )
    )
    return curve


def _sharing(summary: Summary, misses: list[ClassMisses], machine: str) -> alt.HConcatChart:
    missed = {PageClass(one.space, one.sharing): one.l2_misses for one in misses}
    used = {PageClass(one.space, one.sharing): one.kib for one in summary.sharing}
    classes = [PageClass(space, sharing) for space in ("user", "kernel") for sharing in CLASSES] + [PAGE_TABLES]
    rows: list[Row] = [
        {"pages": _class_name(*one), "sharing": one.sharing, "kib": used.get(one, 0), "misses": missed.get(one, 0)}
        for one in classes
    ]
    every = sum(missed.values())
    for row in rows:
        row["of pages"] = "not in the trace" if row["sharing"] == PAGE_TABLES.sharing else f"{row['kib']:,}"
        row["of misses"] = f"{row['misses']:,}" + (f" ({100 * row['misses'] / every:.0f} %)" if row["misses"] else "")
    colour = alt.Color("sharing:N", legend=None, scale=alt.Scale(domain=list(SHARED), range=list(SHARED.values())))
    by_class = [row["pages"] for row in rows]
    named, nameless = (alt.Y("pages:N", sort=by_class, axis=axis) for axis in (NAMES, None))
    pages = _bars(rows, named, "kib", "of pages", "Pages by sharing, KiB", colour)
    l2 = _bars(rows, nameless, "misses", "of misses", f"L2 misses on them (native, {machine})", colour)
    return alt.hconcat(pages, l2, spacing=20)


def _class_name(space: str, sharing: str) -> str:
    return f"{space}, {sharing.replace('_', '-')}" if sharing else space


def _services(summary: Summary) -> Bars:
    every = summary.instructions or 1
    uses = sorted(summary.services, key=lambda use: -use.instructions)
    others = sum(use.instructions for use in uses[MOST_SERVICES:])
    shares = [(use.name, use.instructions) for use in uses[:MOST_SERVICES]]
    shares += [("others", others)] if others else []
    rows: list[Row] = [
        {"service": n, "percent": 100 * i / every, "label": f"{100 * i / every:.2f} %"} for n, i in shares
    ]
    title = f"OS services, % of instructions ({100 * (1 - summary.user_instructions / every):.1f} % in all)"
    names = alt.Y("service:N", sort=[row["service"] for row in rows], axis=NAMES)
    return _bars(rows, names, "percent", "label", title, alt.value(PARTS["kernel"]))


def _bars(rows: list[Row], names: alt.Y, value: str, label: str, title: str, colour: Any) -> Bars:
    """A bar for each row, with its label behind it, for which the scale leaves room."""
    most = max((row[value] for row in rows), default=0) or 1
    base = alt.Chart({"values": rows}, width=BARS_WIDTH, height=alt.Step(BAR_STEP), title=title).encode(
        x=alt.X(f"{value}:Q", axis=None, scale=alt.Scale(domain=[0, ROOM_FOR_LABEL * most])), y=names
    )
    text = base.mark_text(align="left", dx=4, fontSize=12, color="#222222", aria=False).encode(text=f"{label}:N")
    return alt.layer(base.mark_bar(aria=False).encode(color=colour), text)
