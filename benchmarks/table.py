"""The measurements as tables in Markdown: first the ratios, with their bounds."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from benchmarks.builds import VARIANTS
from benchmarks.markdown import markdown

Values = Sequence[float]
SPREAD = ["Median", "Least", "Most"]
PEERS = "stock", "jupyter-book", "nbsphinx"


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return the tables of a run."""
    return {
        "ratios": ratios(results),
        "seconds": seconds(results),
        "seeds": seeds(results),
        "machine": markdown(["Measured on", ""], results["machine"].items()),
    }


def ratios(results: dict[str, Any]) -> str:
    """Return the table of ratios, each taken round by round."""
    rows: list[list[str]] = []

    def cost(variant: str, step: str = "cold", what: str = "cpu") -> Values:
        return series(results["builds"].get(variant, {}).get(step, []), what)

    def row(what: str, values: Values, goal: str = "", bound: float = 0) -> None:
        said = ["", ""]
        if goal and values:
            middle = median(values)
            same = all(value == bound for value in values)
            met = {"≤": middle <= bound, "≥": middle >= bound, "=": same}[goal]
            said = [f"{goal} {bound}", "yes" if met else "no"]
        rows.append([what, *spread(values), *said])

    def over(what: str, values: Values, others: Values, goal: str = "", bound: float = 0) -> None:
        row(what, [a / b for a, b in zip(values, others, strict=False)], goal, bound)

    ours = cost("ours")
    limit = [a + b for a, b in zip(cost("off"), cost("cells"), strict=True)]
    over("cold build / the limit", ours, limit, "≤", 1.15)
    for name in PEERS:
        over(f"cold build / {VARIANTS[name].title}", ours, cost(name), "≤", 0.4)
    for name in PEERS:
        over(f"the limit itself / {VARIANTS[name].title}", limit, cost(name))
    over("two jobs / one job", cost("two jobs"), ours)
    over("two jobs / one job, wall", cost("two jobs", what="wall"), cost("ours", what="wall"))
    over("no-op / with execution off", cost("ours", "no-op"), cost("off", "no-op"), "≤", 1.1)
    row("no-op: cells run", cost("ours", "no-op", "cells"), "=", 0)
    row("prose edit: cells run", cost("ours", "prose edit", "cells"), "=", 0)
    for step, pages in results["users"].items():
        row(f"{step}: pages run", cost("ours", step, "pages"), "=", pages)
    saves, ensemble = results["saves"], results["ensemble"]
    row("prose saved: seconds until it shows", series(saves, "prose"), "≤", 1.5)
    beyond = [save["cell"] - save["cells"] for save in saves]
    row("cell saved: seconds until it shows, less those of its page's cells", beyond, "≤", 2)
    many, loop = series(ensemble["256"], "speed"), series(ensemble["loop"], "speed")
    over("256 seeds at once / in a loop, steps in a second", many, loop, "≥", 12)
    if "jax" in results:
        each = series(ensemble["each"], "speed")
        over("train / a loop by hand, steps in a second", each, loop, "≥", 2)
        for name, least in (("16", 1), ("256", 2), ("4096", 2)):
            of_jax, ours_of_it = results["jax"][name], ensemble[name]
            fast = series(ours_of_it, "speed"), series(of_jax, "speed")
            over(
                f"{name} seeds at once / in JAX once compiled, steps in a second", *fast, "≥", least
            )
            large = series(ours_of_it, "megabytes"), series(of_jax, "megabytes")
            over(f"{name} seeds at once / in JAX, rise of memory", *large, "≤", 1)
    for name, taken in results.get("replays", {}).items():
        row(f"{name} seeds of other networks, replayed / computed anew", series(taken, "ratio"))
    for name, taken in results.get("audits", {}).items():
        row(f"audit of {name} / its steps", series(taken, "ratio"), "≤", 1.2)
        row(f"audit of {name} / all steps", series(taken, "ratio of all steps"))
        row(f"audit of {name}: memory, in copies", series(taken, "audit"))
        row(f"steps of {name}: memory, in copies", series(taken, "steps"))
    if "imports" in results:
        package, torch = (series(results["imports"][what], "cpu") for what in ("zeroinit", "torch"))
        over("import of all names of zeroinit / import of torch", package, torch, "≤", 1.02)
    lab = results["lab"]
    row("lab: CPU seconds to compile its steps anew", series(lab, "cpu"), "≤", 60)
    row("lab: steps in a second in Chromium, two layers of 16", series(lab, "steps"), "≥", 1000)
    return markdown(["Ratio of CPU seconds, or as said", *SPREAD, "To reach", "Reached"], rows)


def seconds(results: dict[str, Any]) -> str:
    """Return the table of the costs of builds."""
    rows = []
    for name, variant in VARIANTS.items():
        if name in results["failed"]:
            rows.append([variant.title, f"failed: {results['failed'][name]}", *[""] * 5])
        for step, taken in results["builds"].get(name, {}).items():
            pages = str(taken[-1]["pages"]) if variant.kernels else ""
            if name == "stock" and step in results["users"]:
                pages += ": stale"
            wall = f"{median(series(taken, 'wall')):.1f}"
            rows.append([variant.title, step, *spread(series(taken, "cpu")), wall, pages])
    return markdown(["Seconds", "Step", *SPREAD, "Wall", "Pages run"], rows)


def seeds(results: dict[str, Any]) -> str:
    """Return the table of throughput and memory by the number of seeds."""
    rows = []
    in_jax = {f"{name}, JAX": taken for name, taken in results.get("jax", {}).items()}
    for name, taken in (results["ensemble"] | in_jax).items():
        speed = [f"{value:,.0f}" for value in of(series(taken, "speed"))]
        rows.append([name, *speed, f"{median(series(taken, 'megabytes')):.0f}"])
    return markdown(["Seeds at once", *SPREAD, "Rise of memory, MB"], rows)


def series(rounds: Iterable[dict[str, float]], what: str) -> Values:
    """Return one figure of all rounds."""
    return [one[what] for one in rounds]


def of(values: Values) -> Values:
    """Return median, least and most."""
    return median(values), min(values), max(values)


def spread(values: Values) -> list[str]:
    """Return median, least and most as text, and dashes if there is nothing."""
    form = "g" if all(isinstance(value, int) for value in values) else ".2f"
    return [format(value, form) for value in of(values)] if values else ["–"] * 3
