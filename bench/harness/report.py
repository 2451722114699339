"""Medians, ratios and goals, as a table or as JSON."""

from dataclasses import asdict, dataclass, field
from math import sqrt
from statistics import median, quantiles

from .scenarios import Column, Goal, Options, Scenario

NOTES = [
    "One worker each, pinned to one core; the origin and the load share another.",
    "Tollgate runs with routing, metrics and a JSON access log on; the others run with logs off.",
    "A ratio is the median of each round's ratio, and holds; absolute figures are this machine's.",
]


@dataclass
class Result:
    """The rounds of one scenario: for each round, each subject's figures by column."""

    scenario: Scenario
    rounds: list[dict[str, dict[str, float]]] = field(default_factory=list)
    # The first failure of each subject that had one.
    failures: dict[str, str] = field(default_factory=dict)

    def subjects(self) -> list[str]:
        """Those measured at least once, in the order of the first round."""
        return list(dict.fromkeys(subject for figures in self.rounds for subject in figures))

    def values(self, subject: str, key: str) -> list[float]:
        """Of the rounds in which the subject has that figure."""
        found = (each.get(subject, {}).get(key) for each in self.rounds)
        return [value for value in found if value is not None]

    def median(self, subject: str, key: str) -> float | None:
        return median_or_none(self.values(subject, key))

    def cell(self, subject: str, column: Column) -> str:
        values = self.values(subject, column.key)
        value = spread(values) if column.is_spread else median_or_none(values)
        return "-" if value is None else f"{value:,.{column.digits}f}"

    def ratio(self, subject: str, baseline: str, key: str) -> float | None:
        """Of the pairs that shared a round, and so whatever else the machine did in it."""
        pairs = [
            (each[subject][key], each[baseline][key])
            for each in self.rounds
            if key in each.get(subject, {}) and key in each.get(baseline, {})
        ]
        return median_or_none([value / base for value, base in pairs if base > 0])

    def baselines(self) -> list[str]:
        if self.scenario.cost is None:
            return []
        return [name for name in self.scenario.baselines if name in self.subjects()]


def median_or_none(values: list[float]) -> float | None:
    return median(values) if values else None


def spread(values: list[float]) -> float | None:
    """How far the median of such values may be off, in either direction, 19 times of 20."""
    if len(values) < 4:
        return None
    first, _, third = quantiles(values, n=4)
    return 1.57 * (third - first) / sqrt(len(values))


@dataclass(frozen=True)
class Verdict:
    """A goal beside the figure that was measured."""

    scenario: str
    what: str
    value: float
    limit: float

    @property
    def met(self) -> bool:
        return self.value <= self.limit


def verdicts(results: list[Result]) -> list[Verdict]:
    """On Tollgate's goals, as far as these results can judge them."""
    found = []
    for result in results:
        for goal in result.scenario.goals:
            subjects = [goal.subject] if goal.subject else result.scenario.judged()
            for subject in subjects:
                if (value := goal_value(result, goal, subject)) is not None:
                    what = describe(goal, result, subject)
                    found.append(Verdict(result.scenario.name, what, value, goal.limit))
    return found


def goal_value(result: Result, goal: Goal, subject: str) -> float | None:
    if goal.baseline is None:
        return result.median(subject, goal.key)
    return result.ratio(subject, goal.baseline, goal.key)


def describe(goal: Goal, result: Result, subject: str) -> str:
    [title] = [
        column.title
        for column in result.scenario.columns
        if column.key == goal.key and not column.is_spread
    ]
    is_one_of_several = goal.subject or len(result.scenario.judged()) > 1
    what = f"{subject}: {title}" if is_one_of_several else title
    return f"{what} / {goal.baseline}" if goal.baseline else what


def heading(machine: dict[str, str], versions: dict[str, str], options: Options) -> str:
    return "\n".join(
        [
            f"machine: {machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}",
            "targets: " + ", ".join(f"{name} {version}" for name, version in versions.items()),
            f"{options.rounds} rounds of {options.seconds} s",
            *NOTES,
        ]
    )


def table(result: Result) -> str:
    """One scenario: a line for each subject, medians first, ratios of the cost last."""
    scenario, baselines = result.scenario, result.baselines()
    header = ["", *(column.title for column in scenario.columns)]
    header += [f"/ {name}" for name in baselines]
    lines = [header]
    for subject in result.subjects():
        cells = [result.cell(subject, column) for column in scenario.columns]
        ratios = [result.ratio(subject, name, scenario.cost) for name in baselines]
        cells += ["-" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
        lines.append([subject, *cells])
    text = [f"{scenario.name}: {scenario.summary}", *align(lines)]
    text += [f"  {subject} FAILED: {why}" for subject, why in result.failures.items()]
    return "\n".join(text)


def align(lines: list[list[str]]) -> list[str]:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def goals_table(judged: list[Verdict]) -> str:
    lines = [["", "figure", "measured", "at most", ""]]
    for verdict in judged:
        word = "met" if verdict.met else "MISSED"
        measured, limit = f"{verdict.value:.2f}", f"{verdict.limit:g}"
        lines.append([verdict.scenario, verdict.what, measured, limit, word])
    return "\n".join(["goals of Tollgate:", *align(lines)])


def as_json(
    machine: dict[str, str], versions: dict[str, str], options: Options, results: list[Result]
) -> dict:
    """Everything the tables show, and each round's figures."""
    return {
        "machine": machine,
        "versions": versions,
        "options": asdict(options),
        "notes": NOTES,
        "scenarios": {result.scenario.name: result_as_json(result) for result in results},
        "goals": [asdict(verdict) | {"met": verdict.met} for verdict in verdicts(results)],
    }


def result_as_json(result: Result) -> dict:
    scenario = result.scenario
    return {
        "summary": scenario.summary,
        "cost": scenario.cost,
        "medians": {
            subject: {column.key: result.median(subject, column.key) for column in scenario.columns}
            for subject in result.subjects()
        },
        "ratios": {
            subject: {
                baseline: result.ratio(subject, baseline, scenario.cost)
                for baseline in result.baselines()
            }
            for subject in result.subjects()
        },
        "rounds": result.rounds,
        "failures": result.failures,
    }
