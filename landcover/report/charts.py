"""The report's charts: hectares and accuracy of each class."""

from collections.abc import Mapping, Sequence
from textwrap import shorten, wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from landcover.model.metrics import BY_CLASS, ClassMetrics, Estimate
from landcover.report.cartography import INK
from landcover.report.wording import Wording

# Inches: the width of A4 without its margins, and half of it.
PAGE, HALF = 7.1, 3.4

ROW = 0.24
LOSS_HEIGHT = 2.3
AXIS = 0.55

# How many letters of a class name fit on a line, and on the two lines that there is room for.
LINE, NAME = 24, 44

# Of a chart of months: so many are named, and there is room for so many at least.
MOST_MONTHS, FEWEST_MONTHS = 12, 6

FONT = 7.5
GRID = "#dfe4e6"


def hectares_chart(
    hectares: Mapping[str, float], colours: Mapping[str, str], wording: Wording
) -> Figure:
    """Draw the hectares of each class as bars.

    Args:
        hectares: of each class, in the order to show.
        colours: of each class.
        wording: of names and numbers.
    """
    figure, axes = _new_chart(HALF, len(hectares))
    values = list(hectares.values())
    rows = np.arange(len(values))
    shades = [colours[name] for name in hectares]
    axes.barh(rows, values, color=shades, edgecolor="#8a949a", linewidth=0.4, height=0.68)
    _label_rows(axes, list(hectares), wording)
    axes.set_xlim(0, max([*values, 1]) * 1.05)
    axes.set_xlabel(wording.say("bar_axis"), fontsize=FONT)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: wording.number(value)))
    return figure


def loss_chart(
    months: Sequence[str], parts: Mapping[str, tuple[Sequence[float], str]], wording: Wording
) -> Figure:
    """Draw hectares by month as bars of several parts, one on the other.

    Args:
        months: the name of each, in their order.
        parts: hectares of each month and the colour, by the name of the part.
        wording: of numbers.
    """
    figure = Figure(figsize=(PAGE, LOSS_HEIGHT), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set(color=INK, linewidth=0.5)
    axes.tick_params(labelsize=FONT, length=2, width=0.5, colors=INK)
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    places, below = np.arange(len(months)), np.zeros(len(months))
    for name, (hectares, shade) in parts.items():
        axes.bar(places, hectares, bottom=below, color=shade, width=0.7, label=name)
        below = below + np.asarray(hectares)
    step = -(-len(months) // MOST_MONTHS)
    axes.set_xticks(places[::step], months[::step])
    axes.set_xlim(-0.6, max(len(months), FEWEST_MONTHS) - 0.4)
    axes.set_ylim(0, max(below.max(initial=0), 1) * 1.05)
    axes.set_ylabel(wording.say("bar_axis"), fontsize=FONT, color=INK)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: wording.number(value)))
    axes.legend(fontsize=FONT, frameon=False, loc="upper left", labelcolor=INK)
    return figure


def accuracy_chart(
    classes: Mapping[str, ClassMetrics], colours: Mapping[str, str], wording: Wording
) -> Figure:
    """Draw precision, recall and F1 of each class with their standard errors.

    Args:
        classes: the metrics of each class, in the order to show; unknown values are left out.
        colours: of each class.
        wording: of names.
    """
    figure = Figure(figsize=(PAGE, AXIS + ROW * max(len(classes), 2)), layout="constrained")
    panels = figure.subplots(1, len(BY_CLASS), sharey=True)
    shades = [colours[name] for name in classes]
    for axes, measure in zip(panels, BY_CLASS, strict=True):
        _set_style(axes)
        _add_points(axes, [line.measures[measure] for line in classes.values()], shades)
        axes.set(xlim=(0, 102), xticks=range(0, 101, 25))
        axes.set_xlabel(wording.say(measure), fontsize=FONT)
    _label_rows(panels[0], list(classes), wording)
    return figure


def _add_points(axes: Axes, measured: Sequence[Estimate], shades: Sequence[str]) -> None:
    """Draw what is known of each row in its colour, with the standard error where it is known."""
    known = [
        (100 * found.value, row, _length(found.standard_error), shade)
        for row, (found, shade) in enumerate(zip(measured, shades, strict=True))
        if found.value is not None
    ]
    if not known:
        return
    values, rows, errors, colours = zip(*known, strict=True)
    axes.errorbar(
        values, rows, xerr=errors, fmt="none", ecolor=INK, elinewidth=0.9, capsize=2, capthick=0.6
    )
    axes.scatter(values, rows, s=4.5**2, c=colours, edgecolors=INK, linewidths=0.6, zorder=2.1)


def _length(error: float | None) -> float:
    """Return the length of an error's bar, of which nothing is drawn where it is not known."""
    return np.nan if error is None else 100 * error


def _new_chart(width: float, rows: int) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, AXIS + ROW * max(rows, 2)), layout="constrained")
    axes = figure.subplots()
    _set_style(axes)
    return figure, axes


def _set_style(axes: Axes) -> None:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set(color=INK, linewidth=0.5)
    axes.tick_params(axis="x", labelsize=FONT, length=2, width=0.5, colors=INK)
    axes.tick_params(axis="y", length=0, labelsize=FONT, labelcolor=INK)
    axes.xaxis.label.set_color(INK)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)


def _label_rows(axes: Axes, names: Sequence[str], wording: Wording) -> None:
    """Write names beside the rows, the first on top."""
    labels = [_short(wording.class_name(name)) for name in names]
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    axes.set_ylim(len(labels) - 0.5, -0.5)


def _short(name: str) -> str:
    """Return a name on at most two lines; the tables next to the charts show it whole."""
    lines = wrap(name, LINE)
    if len(name) <= NAME and len(lines) <= 2:
        return "\n".join(lines)
    cut = shorten(name, NAME, placeholder=" …")
    return "\n".join(wrap(cut if len(cut) > 2 else f"{name[:NAME]}…", LINE)[:2])
