"""The report as one HTML file that needs nothing else: tables, and plots as inline SVG."""

import html
import math
from pathlib import Path

from report import Report, figure, number
from rounds import Work
from targets import judge

COLOURS = ["#d62728", "#ff7f0e", "#8c1515", "#b8860b", "#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#17becf",
           "#e377c2", "#7f7f7f", "#bcbd22", "#393b79", "#637939"]
LIMIT_COLOUR = "#222222"
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 760, 380, 70, 40, 16

STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; color: #222; max-width: 1080px; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.6em } h2 { margin-top: 2em; border-bottom: 1px solid #ccc } h3 { margin: 1.4em 0 .3em }
table { border-collapse: collapse; margin: .5em 0 1.2em } td, th { padding: .15em .7em; text-align: right; white-space: nowrap }
td:first-child, th:first-child, td.text { text-align: left } tr:nth-child(even) { background: #f5f5f5 }
td.text { white-space: normal } tr.shmq td:first-child { font-weight: 600 } tr.limit td { color: #666; font-style: italic }
.met { color: #176f2c } .missed { color: #b00020 } .gone { color: #888 }
svg text { font: 11px system-ui, sans-serif } .legend span { margin-right: 1.2em; white-space: nowrap }
"""


def cell(text: str, kind: str = "", tag: str = "td") -> str:
    return f"<{tag}{f' class={kind}' if kind else ''}>{html.escape(text)}</{tag}>"


def table(header: list[str], lines: list[tuple[str, list[str]]], text_from: int = 99) -> str:
    """Lines are (class, cells); the cells from `text_from` on are text."""
    body = "".join(f"<tr class='{kind}'>" + "".join(cell(one, "text" if column >= text_from else "")
                                                    for column, one in enumerate(cells)) + "</tr>"
                   for kind, cells in lines)
    head = "".join(cell(one, tag="th") for one in header)
    return f"<table><tr>{head}</tr>{body}</table>"


class Scale:
    """Powers of ten, or of two for sizes, on one axis."""

    def __init__(self, values: list[float], start: float, end: float):
        self.low = math.log10(min(values))
        self.high = max(math.log10(max(values)), self.low + 0.3)
        self.start, self.end = start, end

    def at(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def tens(self) -> list[float]:
        return [10.0 ** power for power in range(math.ceil(self.low - 1e-9), math.floor(self.high + 1e-9) + 1)]


def plot(series: dict[str, list[tuple[float, float]]], x_name, y_name, colours: dict[str, str]) -> str:
    """Lines on logarithmic axes. `x_name` and `y_name` make a tick's text of its value."""
    points = [point for line in series.values() for point in line if point[1] > 0]
    if len({x for x, _ in points}) < 2:
        return ""
    xs = Scale([x for x, _ in points], LEFT, WIDTH - 20)
    ys = Scale([y for _, y in points], HEIGHT - BOTTOM, TOP)
    parts = [f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' width='{WIDTH}' height='{HEIGHT}'>"]
    for tick in ys.tens():
        y = ys.at(tick)
        parts.append(f"<line x1='{LEFT}' x2='{WIDTH - 20}' y1='{y:.1f}' y2='{y:.1f}' stroke='#ddd'/>"
                     f"<text x='{LEFT - 6}' y='{y + 4:.1f}' text-anchor='end'>{html.escape(y_name(tick))}</text>")
    for tick in sorted({x for x, _ in points}):
        parts.append(f"<text x='{xs.at(tick):.1f}' y='{HEIGHT - BOTTOM + 18}' text-anchor='middle'>"
                     f"{html.escape(x_name(tick))}</text>")
    for name, line in series.items():
        at = [(xs.at(x), ys.at(y)) for x, y in sorted(line) if y > 0]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        width = 3 if name.startswith("shmq") else 1.5
        dash = " stroke-dasharray='6 4'" if colours[name] == LIMIT_COLOUR else ""
        parts.append(f"<polyline points='{path}' fill='none' stroke='{colours[name]}' stroke-width='{width}'{dash}/>")
        parts += [f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3' fill='{colours[name]}'><title>"
                  f"{html.escape(name)}</title></circle>" for x, y in at]
    parts.append("</svg>")
    legend = "".join(f"<span><svg width='14' height='10'><rect width='14' height='10' fill='{colours[name]}'/></svg> "
                     f"{html.escape(name)}</span>" for name in series)
    return "".join(parts) + f"<div class='legend'>{legend}</div>"


def bars(entries: list[tuple[str, float, float, float]], unit: str, colours: dict[str, str]) -> str:
    """(name, median, low, high), as long as they are large, on a logarithmic axis."""
    entries = [entry for entry in entries if entry[1] > 0]
    if not entries:
        return ""
    scale = Scale([entry[2] / 1.5 for entry in entries] + [entry[3] for entry in entries], 190, WIDTH - 90)
    parts = [f"<svg viewBox='0 0 {WIDTH} {22 * len(entries) + 6}' width='{WIDTH}' height='{22 * len(entries) + 6}'>"]
    for index, (name, median, low, high) in enumerate(entries):
        y = 22 * index + 4
        parts.append(f"<text x='184' y='{y + 12}' text-anchor='end'>{html.escape(name)}</text>"
                     f"<rect x='190' y='{y}' height='16' width='{scale.at(median) - 190:.1f}' fill='{colours[name]}' "
                     f"opacity='.8'/><line x1='{scale.at(low):.1f}' x2='{scale.at(high):.1f}' y1='{y + 8}' "
                     f"y2='{y + 8}' stroke='#000'/><text x='{scale.at(high) + 6:.1f}' y='{y + 12}'>"
                     f"{html.escape(figure(median, unit))}</text>")
    return "".join(parts) + "</svg>"


class Page:
    def __init__(self, report: Report):
        self.report = report
        others = iter(COLOURS * 3)
        self.colours = {name: LIMIT_COLOUR if subject.kind == "limit" else next(others)
                        for name, subject in report.subjects.items()}

    def section_plot(self, works: list[Work]) -> str:
        """One plot of a section's works side by side, or bars where there is nothing to draw along."""
        report = self.report
        if len({work.x for work in works}) < 3:
            return "".join(f"<h3>{html.escape(work.title)}</h3>" + bars(
                [(row.subject, row.median, min(row.figures), max(row.figures)) for row in report.rows[work.key]
                 if row.figures], work.unit, self.colours) for work in works)
        series: dict[str, list[tuple[float, float]]] = {}
        for work in works:
            for row in report.rows[work.key]:
                if row.figures:
                    series.setdefault(row.subject, []).append((work.x, row.median))
        unit = works[0].unit
        x_name = number if works[0].key.startswith("open") else size_text
        return plot(series, x_name, lambda value: figure(value, unit), self.colours)

    def percentiles(self, work: Work) -> str:
        series: dict[str, list[tuple[float, float]]] = {}
        shares = {"p50": 2, "p90": 10, "p99": 100, "p99.9": 1000, "p99.99": 10000}
        for row in self.report.rows[work.key]:
            if row.answers:
                times = row.answers[len(row.answers) // 2]["times"]
                series[row.subject] = [(x, times[name]) for name, x in shares.items()]
        names = {value: name for name, value in shares.items()}
        return f"<h3>{html.escape(work.title)}: percentiles</h3>" + plot(
            series, lambda value: names[int(value)], lambda value: figure(value, "ns"), self.colours)

    def work_table(self, work: Work) -> str:
        report = self.report
        lines = []
        for row in report.rows[work.key]:
            kind = "gone" if row.failed else report.subjects[row.subject].kind
            lines.append((kind, report.line(work, row)))
        return f"<h3>{html.escape(work.title)} ({html.escape(work.unit)})</h3>" + table(report.header(work), lines, 5)

    def targets(self) -> str:
        lines = []
        for one in judge(self.report.rows):
            verdict = "; bounded by ".join(filter(None, (one["verdict"], one["bounded_by"])))
            lines.append((one["verdict"].split()[0], [one["target"], one["bound"], one["measured"], verdict]))
        return table(["target", "bound", "measured", ""], lines)

    def subjects(self) -> str:
        lines = [(subject.kind, [name, self.report.versions.get(name, ""), subject.guarantees, subject.setting])
                 for name, subject in self.report.subjects.items()]
        return table(["who", "version", "what it guarantees", "how it is used"], lines, 2)

    def text(self) -> str:
        report = self.report
        parts = ["<h1>shmq: performance report</h1>", f"<p>./dev bench {html.escape(report.arguments)}</p>",
                 table([], [("", [name, value]) for name, value in report.machine.items()], 1),
                 f"<p>{html.escape(report.disturbed())}.</p>",
                 *(f"<p>{html.escape(note)}</p>" for note in report.notes),
                 "<h2>Targets</h2>", self.targets(), "<h2>Who is measured</h2>", self.subjects()]
        sections: dict[str, list[Work]] = {}
        for key, work in report.works.items():
            sections.setdefault(key.split("/")[0], []).append(work)
        for name, works in sections.items():
            parts.append(f"<h2>{html.escape(name.replace('_', ' '))}</h2>")
            single = [work for work in works if len(report.rows[work.key]) == 1]
            if single:
                parts.append(table(["", "who", "median", "spread of the rounds", ""],
                                   [("", report.short(work)) for work in single], 4))
            works = [work for work in works if work not in single]
            if not works:
                continue
            parts.append(self.section_plot(works))
            if name in ("open_loop", "half_peak"):
                parts += [self.percentiles(work) for work in works]
            parts += [self.work_table(work) for work in works]
        return "\n".join(parts)


def size_text(size: float) -> str:
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size / unit:.0f} {name}"
    return f"{size:.0f}"


def write(report: Report, path: Path) -> None:
    path.write_text("<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><title>shmq: performance report"
                    f"</title><style>{STYLE}</style></head>\n<body>\n{Page(report).text()}\n</body></html>\n")
