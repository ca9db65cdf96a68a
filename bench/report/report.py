"""One report: all that one run has found, as JSON, and as text for the terminal."""

import json
from dataclasses import asdict
from pathlib import Path

from machine import version_of
from peers import Subject
from rounds import Row, Work, ratio
from targets import judge


def number(value: float) -> str:
    """Three digits that count, and a word for how large they are."""
    for scale, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= scale:
            return f"{value / scale:.3g}{unit}" if value < 100 * scale else f"{value / scale:.0f}{unit}"
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def figure(value: float, unit: str) -> str:
    if unit == "ns":
        return f"{value:.0f} ns" if value < 10_000 else f"{value / 1000:.1f} us"
    return number(value)


class Report:
    def __init__(self, machine: dict, arguments: str, own_version: str):
        self.own_version = own_version
        self.machine = machine
        self.arguments = arguments
        self.works: dict[str, Work] = {}
        self.rows: dict[str, list[Row]] = {}
        self.notes: list[str] = []
        self.subjects: dict[str, Subject] = {}
        self.versions: dict[str, str] = {}

    def add(self, work: Work, rows: list[Row]) -> None:
        self.works[work.key] = work
        self.rows[work.key] = rows
        for subject in work.subjects:
            if subject.name not in self.subjects:
                self.subjects[subject.name] = subject
                self.versions[subject.name] = self.own_version if subject.kind == "shmq" else \
                    version_of(subject.package)

    def median(self, work: str, subject: str) -> float:
        return next((row.median for row in self.rows.get(work, []) if row.subject == subject), 0.0)

    def best_of_ours(self, work: Work) -> str:
        """The subject of ours that peers are compared with: the best one that does the same as they."""
        ours = [row for row in self.rows[work.key]
                if row.figures and self.subjects[row.subject].kind == "shmq" and "batches" not in row.subject]
        if not ours:
            return ""
        return (min if work.lower_is_better else max)(ours, key=lambda row: row.median).subject

    def line(self, work: Work, row: Row) -> list[str]:
        """What a table shows of a row."""
        if row.failed:
            return [row.subject, row.failed, "", "", "", ""]
        rows = self.rows[work.key]
        to_limit = ratio(rows, row.subject, work.limit) if work.limit else 0
        ours = self.best_of_ours(work)
        to_ours = ratio(rows, ours, row.subject) if ours else 0
        return [row.subject, figure(row.median, work.unit),
                f"{figure(min(row.figures), work.unit)} .. {figure(max(row.figures), work.unit)}",
                f"{to_limit:.3g}" if to_limit else "", f"{to_ours:.3g}" if to_ours else "", self.extra(work, row)]

    def extra(self, work: Work, row: Row) -> str:
        answer = row.answers[len(row.answers) // 2] if row.answers else {}
        times = answer.get("more_times") if work.key.startswith(("latency", "loan", "touch", "blocking")) else \
            answer.get("times")
        said = []
        if times:
            said = [f"{name} {figure(times[name], 'ns')}" for name in ("p50", "p99", "p99.9", "p99.99")
                    if name in times and (name != "p50" or work.key.startswith(("open", "half")))]
        if answer.get("held_rate") and answer["held_rate"] < 0.98 * work.arguments.get("rate", 0):
            said.append(f"only {number(answer['held_rate'])}/s were sent")
        if "cpu_ns_per_message" in answer:
            said.append(f"cpu {answer['cpu_ns_per_message']:.0f} ns/message")
        if work.unit == "messages/s" and work.arguments.get("size", 0) >= 1024:
            said.append(f"{row.median * work.arguments['size'] / 1e9:.3g} GB/s")
        if row.repeated:
            said.append(f"{row.repeated} rounds repeated")
        return ", ".join(said)

    def header(self, work: Work) -> list[str]:
        return ["", "median", "spread of the rounds", "of the limit" if work.limit else "",
                "shmq / it", ""]

    def short(self, work: Work) -> list[str]:
        """A table of one line as that line."""
        row = self.rows[work.key][0]
        _, median, spread, _, _, extra = self.line(work, row)
        unit = "" if work.unit == "ns" else f" {work.unit}"
        return [work.title, row.subject, median if row.failed else f"{median}{unit}",
                spread if len(row.figures) > 1 else "", extra]

    def text(self, work: Work) -> str:
        if len(self.rows[work.key]) == 1:
            title, _, *rest = self.short(work)
            return f"  {title}: {'  '.join(part for part in rest if part)}"
        table = [self.header(work)] + [self.line(work, row) for row in self.rows[work.key]]
        widths = [max(len(line[column]) for line in table if not (column == 1 and not line[2] and line[0]))
                  for column in range(6)]
        lines = [f"\n{work.title} ({work.unit})"]
        for cells in table:
            if cells[0] and not cells[2]:
                lines.append(f"  {cells[0]:{widths[0]}}  {cells[1]}")
                continue
            lines.append("  " + f"{cells[0]:{widths[0]}}  " +
                         "  ".join(f"{cell:>{width}}" for cell, width in zip(cells[1:5], widths[1:5])) +
                         f"  {cells[5]}")
        return "\n".join(line.rstrip() for line in lines)

    def text_of_subjects(self) -> str:
        lines = ["\nWho was measured"]
        for name, subject in self.subjects.items():
            lines += [f"  {name} {self.versions[name]}".rstrip(), f"      used: {subject.setting}"]
            if subject.guarantees:
                lines.append(f"      guarantees: {subject.guarantees}")
        return "\n".join(lines)

    def text_of_targets(self) -> str:
        lines = ["\nTargets"]
        for one in judge(self.rows):
            lines.append(f"  {one['verdict']:18} {one['measured']:>8} ({one['bound']})  {one['target']}")
            if one["bounded_by"]:
                lines.append(f"      bounded by {one['bounded_by']}")
        return "\n".join(lines)

    def disturbed(self) -> str:
        rows = [row for rows in self.rows.values() for row in rows if row.figures]
        rounds = sum(len(row.figures) for row in rows)
        if not rounds:
            return "nothing was measured"
        stolen = sum(sum(share > 0.02 for share in row.stolen) for row in rows)
        foreign = sum(sum(share > 0.1 for share in row.foreign) for row in rows)
        return (f"{rounds} rounds; {sum(row.repeated for row in rows)} repeated because the host took time; "
                f"{stolen} spoilt by it even so; in {foreign} other programs of this machine had more "
                f"than a tenth of its time")

    def as_json(self) -> dict:
        return {
            "format": 1, "machine": self.machine, "arguments": self.arguments,
            "disturbance": self.disturbed(),
            "subjects": [{**asdict(subject), "version": self.versions.get(name, "")}
                         for name, subject in self.subjects.items()],
            "works": [{"key": work.key, "title": work.title, "unit": work.unit, "limit": work.limit,
                       "lower_is_better": work.lower_is_better,
                       "rows": [{**row.as_json(),
                                 "of_limit": ratio(self.rows[key], row.subject, work.limit),
                                 "of_shmq": ratio(self.rows[key], row.subject, self.best_of_ours(work))}
                                for row in self.rows[key]]}
                      for key, work in self.works.items()],
            "targets": judge(self.rows), "notes": self.notes}

    def write_json(self, path: Path) -> None:
        path.write_text(json.dumps(self.as_json(), indent=1) + "\n")


def compare(old: dict, new: dict) -> str:
    """What has changed beyond the spread of both runs' rounds."""
    before = {(work["key"], row["subject"]): row for work in old["works"] for row in work["rows"] if row["figures"]}
    lines = ["\nCompared with the older report: now / then; * where the rounds of the two do not overlap"]
    for work in new["works"]:
        for row in work["rows"]:
            then = before.get((work["key"], row["subject"]))
            if not then or not row["figures"]:
                continue
            apart = row["low"] > then["high"] or row["high"] < then["low"]
            change = row["median"] / then["median"] if then["median"] else 0
            limits = [one for one in (row["of_limit"], then["of_limit"]) if one]
            relative = f", of the limit {limits[0]:.3g} / {limits[1]:.3g}" if len(limits) == 2 else ""
            lines.append(f"  {'*' if apart else ' '} {work['key']:22} {row['subject']:26} "
                         f"{figure(row['median'], work['unit']):>9} / {figure(then['median'], work['unit']):>9} "
                         f"= {change:.2f}{relative}")
    return "\n".join(lines)
