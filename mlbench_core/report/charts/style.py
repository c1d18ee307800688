"""One look for all charts: colours that colour-blind readers tell apart, the same colour and marker for a framework or variant,
the same filling and line for a way of executing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen

from mlbench_core.entry import shown_framework
from mlbench_core.plain_text import clean
from mlbench_core.results.groups import arm_label
from mlbench_core.trial import Trial

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
HOLLOW = ""
FILLINGS = ("full", HOLLOW, "left", "right", "top", "bottom")
LINES = ("-", "--", ":", "-.")
ARMS = 16
"""Arms in the charts at most: nobody tells more apart (own)."""
SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 6,
    "figure.max_open_warning": 0,
}


@frozen(kw_only=True)
class Palette:
    """Colours by purpose. series: one per framework or variant, and again from the first when there are more."""

    fg: str
    bg: str
    muted: str
    grid: str
    series: tuple[str, ...]

    def by_name(self) -> dict[str, str]:
        """Each colour by the name of the page's variable."""
        named = {"fg": self.fg, "bg": self.bg, "muted": self.muted, "grid": self.grid}
        return named | {f"c{place}": colour for place, colour in enumerate(self.series)}

    def settings(self) -> dict[str, Any]:
        """Matplotlib's settings with these colours."""
        return {
            "figure.facecolor": self.bg,
            "axes.facecolor": "none",
            "text.color": self.fg,
            "axes.labelcolor": self.fg,
            "axes.edgecolor": self.muted,
            "xtick.color": self.fg,
            "ytick.color": self.fg,
            "grid.color": self.grid,
        }


# Okabe and Ito's colours (jfly.uni-koeln.de/color), on white darkened until each has a contrast of 3:1 or more, on black
# lightened likewise; the style sheet of the page holds the same.
LIGHT = Palette(
    fg="#1a1d21", bg="#ffffff", muted="#5a6270", grid="#e3e7ec",
    series=("#0072b2", "#d55e00", "#009e73", "#b0568f", "#8a6d00", "#3a87b7", "#444b54", "#7a4fb5"),
)  # fmt: skip
DARK = Palette(
    fg="#e6e9ed", bg="#14171a", muted="#a3adba", grid="#2b323b",
    series=("#56b4e9", "#ff9248", "#2fcf9f", "#e39ac7", "#e6cf4a", "#8fd0f5", "#c3cad3", "#b99af0"),
)  # fmt: skip


def stylesheet() -> str:
    """The variables for an SVG file of its own, light or dark as its viewer is."""
    light, dark = (";".join(f"--{name}:{colour}" for name, colour in p.by_name().items()) for p in (LIGHT, DARK))
    return (
        f"svg{{{light};background:var(--bg);font-family:sans-serif}}@media (prefers-color-scheme:dark){{svg{{{dark}}}}}"
    )


@frozen(kw_only=True)
class Style:
    """How an arm is drawn. framework, execution: places among those of the run, sorted by name."""

    framework: int
    execution: int

    def marker(self) -> dict[str, Any]:
        """Keywords for a marker. Colours and markers, eight each, are out of step from the ninth framework on, so that no two
        of 64 are alike."""
        place = self.framework
        colour, filling = LIGHT.series[place % len(LIGHT.series)], FILLINGS[self.execution % len(FILLINGS)]
        return {
            "color": colour,
            "marker": MARKERS[(place + place // len(MARKERS)) % len(MARKERS)],
            "fillstyle": filling or "full",
            # Rather than empty, so that no error bar is seen through it.
            "markerfacecolor": LIGHT.bg if filling == HOLLOW else colour,
            "markerfacecoloralt": LIGHT.bg,
        }

    def line(self) -> dict[str, Any]:
        """Keywords for a line with markers."""
        return self.marker() | {"linestyle": LINES[self.execution % len(LINES)]}


@frozen
class Look:
    """The style of each arm that charts show, by its label. total: arms that there are."""

    styles: Mapping[str, Style]
    total: int

    @property
    def note(self) -> str:
        """A sentence about the arms that are not plotted; empty if all are."""
        return several(len(self.styles), self.total, "arms")


def look_of(trials: Iterable[Trial]) -> Look:
    """Places by name, so that the same frameworks look the same in every report."""
    arms = {(shown_framework(trial), trial.execution): arm_label(trial) for trial in trials}
    frameworks = sorted({framework for framework, _ in arms})
    executions = sorted({execution for _, execution in arms}, key=lambda name: (name != "default", name))
    styles = {
        arms[framework, execution]: Style(framework=frameworks.index(framework), execution=executions.index(execution))
        for framework, execution in sorted(arms)[:ARMS]
    }
    return Look(styles, len(arms))


def short(text: str, most: int = 40) -> str:
    """A name that fits, as plain text: SVG is XML, which cannot hold control characters. The middle is left out, for long names
    often differ at their ends."""
    text = clean(text)
    end = most // 3
    return text if len(text) <= most else f"{text[: most - 1 - end]}…{text[-end:]}"


def several(shown: int, total: int, what: str) -> str:
    """A sentence about what is not plotted; empty if everything is."""
    return (
        f" The first {shown:,} of {total:,} {what} are plotted; the table of cells has them all."
        if shown < total
        else ""
    )
