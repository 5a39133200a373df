# SPDX-License-Identifier: Apache-2.0
"""picture: a chart with logarithmic axes as SVG text, readable on light and on dark, with nothing but Python."""
import math
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 440
LEFT, RIGHT, TOP, BOTTOM = 78, 24, 74, 62
COLORS = ("#1f6feb", "#d1570b")       # told apart by the colour-blind too, on white and on near black
DARK = ("#58a6ff", "#f0883e")
MARKS = ("circle", "square")
FONT = "font-family:'DejaVu Sans',Verdana,Helvetica,Arial,sans-serif"
STYLE = f"""
text {{ {FONT}; font-size: 13px; fill: #1f2328; }}
.title {{ font-size: 16px; font-weight: bold; }}
.small {{ font-size: 12px; fill: #59636e; }}
.paper {{ fill: #ffffff; }}
.halo {{ stroke: #ffffff; stroke-width: 3px; paint-order: stroke; }}
.grid {{ stroke: #d1d9e0; stroke-width: 1; }}
.axis {{ stroke: #59636e; stroke-width: 1.2; }}
.line {{ fill: none; stroke-width: 2.5; stroke-linejoin: round; }}
.l0 {{ stroke: {COLORS[0]}; }} .l1 {{ stroke: {COLORS[1]}; }}
.f0 {{ fill: {COLORS[0]}; }} .f1 {{ fill: {COLORS[1]}; }}
.bar {{ stroke: #59636e; stroke-width: 2; stroke-dasharray: 2 3; }}
@media (prefers-color-scheme: dark) {{
text {{ fill: #e6edf3; }}
.small {{ fill: #9198a1; }}
.paper {{ fill: #0d1117; }}
.halo {{ stroke: #0d1117; }}
.grid {{ stroke: #30363d; }}
.axis, .bar {{ stroke: #9198a1; }}
.l0 {{ stroke: {DARK[0]}; }} .l1 {{ stroke: {DARK[1]}; }}
.f0 {{ fill: {DARK[0]}; }} .f1 {{ fill: {DARK[1]}; }}
}}"""


@dataclass
class Chart:
    title: str
    subtitle: str
    x_label: str
    y_label: str
    ticks: list   # (x, text); x = 0 has a place of its own, left of the logarithm's beginning
    lines: list   # (name, [(x, y)])
    bars: list    # (x, y): what must not be exceeded


def text(x, y, words, css="", anchor="middle", more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{css}" {more}>{escape(words)}</text>'


def rule(x1, y1, x2, y2, css):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{css}"/>'


def mark(x, y, index):
    if MARKS[index] == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" class="f{index}"/>'
    return f'<rect x="{x - 4.2:.1f}" y="{y - 4.2:.1f}" width="8.4" height="8.4" class="f{index}"/>'


def value(y):
    """Two digits that count; a freeze is no exacter than that."""
    if y >= 1000:
        return f"{y / 1000:.1f} s"
    return f"{y:.0f}" if y >= 10 else f"{y:.1f}"


class Axes:
    """From what is measured to where it stands on the paper."""

    def __init__(self, chart):
        xs = [x for x, _ in chart.ticks] + [x for _, points in chart.lines for x, _ in points]
        some = [x for x in xs if x > 0]
        self.first, self.last = math.log10(min(some)), math.log10(max(some))
        # Zero stands as far left of the first decade as a decade is wide.
        self.start = self.first - 1 if 0 in xs else self.first
        ys = [y for _, points in chart.lines for _, y in points] + [y for _, y in chart.bars]
        self.low, self.high = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys) * 1.15))

    def x(self, x):
        place = (math.log10(x) if x > 0 else self.start) - self.start
        return LEFT + 22 + place / (self.last - self.start) * (WIDTH - LEFT - RIGHT - 60)

    def y(self, y):
        share = (math.log10(y) - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def frame(chart, axes):
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    out = [text(LEFT, 26, chart.title, "title", "start"), text(LEFT, 45, chart.subtitle, "small", "start")]
    for decade in range(axes.low, axes.high + 1):
        y = axes.y(10 ** decade)
        out.append(rule(LEFT, y, right, y, "grid"))
        out.append(text(LEFT - 8, y + 4.5, f"{10 ** decade:,}" if decade >= 0 else f"{10 ** decade:g}", "", "end"))
    for x, words in chart.ticks:
        out.append(rule(axes.x(x), bottom, axes.x(x), bottom + 5, "axis"))
        out.append(text(axes.x(x), bottom + 20, words))
    out.append(rule(LEFT, bottom, right, bottom, "axis"))
    out.append(text((LEFT + right) / 2, HEIGHT - 14, chart.x_label))
    middle = (TOP + bottom) / 2
    return out + [text(20, middle, chart.y_label, more=f'transform="rotate(-90 20 {middle:.1f})"')]


def draw(chart):
    """The whole file."""
    axes = Axes(chart)
    out = ['<svg xmlns="http://www.w3.org/2000/svg" role="img" '
           f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">',
           f"<title>{escape(chart.title)}</title>", f"<style>{STYLE}\n</style>",
           f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>', *frame(chart, axes)]
    for index, (_name, points) in enumerate(chart.lines):
        path = " ".join(f"{axes.x(x):.1f},{axes.y(y):.1f}" for x, y in points)
        out.append(f'<polyline class="line l{index}" points="{path}"/>')
        for x, y in points:
            out.append(mark(axes.x(x), axes.y(y), index))
            # The higher of the points at one place is labelled above itself, the other below.
            highest = max(other for _, line in chart.lines for at, other in line if at == x)
            out.append(text(axes.x(x), axes.y(y) + (-10 if y == highest else 20), value(y), "small halo"))
    for x, y in chart.bars:
        out.append(rule(axes.x(x) - 16, axes.y(y), axes.x(x) + 16, axes.y(y), "bar"))
    names = [name for name, _ in chart.lines]
    x = LEFT
    for index, name in enumerate(names):
        out.append(rule(x, 61, x + 26, 61, f"line l{index}") + mark(x + 13, 61, index))
        out.append(text(x + 33, 65.5, name, anchor="start"))
        x += 60 + 8 * len(name)
    if chart.bars:
        out.append(rule(x, 61, x + 26, 61, "bar") + text(x + 33, 65.5, "what amber must stay below", anchor="start"))
    return "\n".join(out + ["</svg>", ""])
