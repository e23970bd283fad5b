"""How the architectures of other libraries start: each made small, and audited.

``python -m atlas.architectures`` audits each class that it finds in the registries of the
libraries (``networks.py``), and writes a row of each to ``architectures.json`` and the tables of
the page. What has a row of the installed version is not measured again, so a run that was stopped
goes on; a library that is missing keeps its rows. Names of libraries have the others left out; a
row that is named, such as ``transformers:GPT2LMHeadModel``, is measured again, and shown.
``make atlas`` installs the versions of ``architectures.txt`` and runs it.
"""

import os

os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
os.environ["TORCHDYNAMO_DISABLE"] = "1"  # what is compiled runs as it is written

import json
import re
import resource
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib import import_module, metadata
from pathlib import Path

import torch
from torch import nn

from atlas.forks import Row, forked
from atlas.networks import LIBRARIES, Way, loss_of, stand_in
from atlas.rows import write
from benchmarks.markdown import markdown
from zeroinit.auditing import audit
from zeroinit.report import Audit

#: Where the rows are kept.
RESULT, PINS = (Path(__file__).with_suffix(end) for end in (".json", ".txt"))
SECONDS, GIGABYTES, MILLIONS = 90, 8, 40  # the most of a processor, of memory, of parameters
BATCHES = 3  # in turn, so that what one batch leaves out another may reach
SHOWN = 3  # patterns of names in a row
QUIET = ("fine", "frozen")


class TooLargeError(Exception):
    """A network has more parameters than are audited."""


def built(way: Way) -> nn.Module:
    """Build a network, unless it is too large."""

    def check(model: nn.Module) -> nn.Module:
        count = sum(p.numel() for p in model.parameters() if not nn.parameter.is_lazy(p))
        if count > MILLIONS * 1e6:
            raise TooLargeError(f"{count / 1e6:.0f} million parameters")
        return model

    try:
        with torch.device("meta"):
            check(way.build())
    except TooLargeError:
        raise
    except Exception:
        pass  # what cannot be counted so is counted after it is built
    torch.manual_seed(0)
    return check(way.build()).train()


def said(error: BaseException) -> str:
    """Return the first sentence of an error."""
    text = re.sub(r"\s+", " ", str(error)).strip()
    if "allocate memory" in text or isinstance(error, MemoryError):
        return f"out of memory, of {GIGABYTES} GB"
    name = "" if isinstance(error, TooLargeError) else f"{type(error).__name__}: "
    return name + (text[:160] + "…" if len(text) > 160 else text)


def examine(library: str, name: str) -> Row:
    """Audit a network in the first of its ways that runs; return its row, or its error."""
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_DATA, (GIGABYTES << 30,) * 2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    error, inputs = "", ""
    try:
        for way in LIBRARIES[library].ways(name):
            try:
                model = built(way)
            except Exception as problem:
                error = error or said(problem)
                continue
            if not any(p.requires_grad for p in model.parameters()):
                return {"error": "no parameters"}
            for call in way.calls(model):
                try:
                    value = loss_of(call, 0)(model)
                    value.backward()
                except Exception as problem:
                    inputs = inputs or f"inputs: {said(problem)}"
                    continue
                torch.manual_seed(0)
                model = built(way)
                found = audit(model, [loss_of(call, seed) for seed in range(BATCHES)])
                given = [key for key in call if not key.startswith("*")]
                return {"how": way.how, "inputs": given} | row_of(model, found)
    except Exception as problem:
        return {"error": said(problem)}
    return {"error": inputs or error}


def measured(library: str, name: str) -> Row:
    """Return the row of a network; a crash and a hang are rows too."""
    begin = time.perf_counter()
    try:
        row = forked(examine, library, name, seconds=5 * SECONDS)
    except TimeoutError:
        row = {"error": f"no end in {SECONDS} seconds"}
    except ChildProcessError as error:
        slow = str(error).endswith("-24")  # the signal of the limit
        row = {"error": f"no end in {SECONDS} seconds" if slow else str(error)}
    return row | {"seconds": round(time.perf_counter() - begin, 1)}


# of a parameter or a function, in a cause
NAME = re.compile(r"[\w*]+(?:[._][\w*]+)+(?:\(\))?|\w+\(\)")


def pattern(text: str) -> str:
    """Return a text with a star for each number that is a part of a name."""
    return re.sub(r"(?<=[\w*]\.)\d+(?=[.\s,)]|$)|(?<![\w.*])\d+(?=\.\w)", "*", text)


def reason(cause: str) -> str:
    """Return a cause without the name of what it is about."""
    return re.sub(r"^\S+ is never called", "it is never called", pattern(cause))


def row_of(model: nn.Module, found: Audit) -> Row:
    """Return what a row holds of an audit: counts, and groups of names by kind and cause."""
    groups: dict[tuple[str, str, str], Counter[str]] = {}
    for finding in found:
        if finding.kind not in QUIET:
            detail = finding.verdict.removeprefix(finding.kind).strip(" ()")
            key = finding.kind, detail, reason(finding.cause)
            groups.setdefault(key, Counter())[pattern(finding.name)] += 1
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "counts": dict(Counter(finding.kind for finding in found)),
        "found": [
            dict(zip(("kind", "detail", "cause"), key, strict=True))
            | {"count": names.total(), "names": shortened(names)}
            for key, names in groups.items()
        ],
        "remarks": [
            {"kind": r.kind, "text": pattern(r.text), "count": len(r.names)}
            | {"names": shortened(dict.fromkeys(map(pattern, r.names)))}
            for r in found.remarks
        ],
        **({"note": found.note} if found.note else {}),
    }


def shortened(names: Iterable[str]) -> list[str]:
    """Return the first of some names, and how many there are beside them."""
    names = [*names]
    return names[:SHOWN] + [f"{len(names) - SHOWN} more"] * (len(names) > SHOWN)


# --- the tables of the page ----------------------------------------------------------------------


def cancels(group: Row) -> bool:
    """Whether a group has no gradient but for rounding, as a bias before a BatchNorm."""
    return group["kind"] == "not used by this loss" and "cancel" in group["cause"]


def named(group: Row, most: int = 2) -> str:
    """Return the first names of a group as code, and how many parameters it has."""
    names = [f"`{name}`" for name in group["names"][:most] if not name.endswith(" more")]
    more = " and more" if len(group["names"]) > len(names) else ""
    count = f" ({group['count']})" if group["count"] > len(names) else ""
    return ", ".join(names) + more + count


def cells(row: Row) -> tuple[str, str]:
    """Return what a row of the page says: what is zero on purpose, and the faults and remarks."""
    zero: dict[str, list[str]] = {}
    other: dict[str, list[str]] = {}
    for group in row["found"]:
        said, cause = named(group), NAME.sub(r"`\g<0>`", group["cause"])
        if group["kind"] == "zero on purpose":
            zero.setdefault(group["detail"].replace("wakes at ", ""), []).append(said)
        elif group["kind"] == "unreached" or cancels(group):
            continue
        elif group["kind"] == "not used by this loss":
            plain = "no way leads" in cause or "never called" in cause
            unused = named(group, 1) + ("" if plain or not cause else f", {cause}")
            other.setdefault("not used", []).append(unused)
        else:
            detail = f", {group['detail']}" if group["detail"] else ""
            why = f": {cause}" if cause and group["kind"] == "dead" else ""
            other.setdefault(group["kind"] + detail, []).append(said + why)
    for remark in row["remarks"]:
        if remark["kind"] in ("equal at the start", "equal parameters"):
            other.setdefault(remark["kind"], []).append(named(remark))
    order = sorted(other, key=lambda kind: kind == "not used")
    return (
        "; ".join(f"{step}: {', '.join(said)}" for step, said in zero.items()),
        "; ".join(f"**{kind}** {'; '.join(other[kind])}" for kind in order),
    )


def tables(kept: Row) -> str:
    """Return the page's tables: the counts, then for each library what its classes are."""
    columns = ("audited", "zero on purpose", "dead", "twins", "equal at the start", "not used",
               "not audited")  # fmt: skip
    lines, parts = [], []
    for library in LIBRARIES:
        rows = [row for row in kept["rows"] if row["library"] == library]
        if not rows:
            continue
        told = {row["class"]: cells(row) for row in rows if "error" not in row}
        counts = [len(told), sum(bool(zero) for zero, _ in told.values())]
        counts += [
            sum(f"**{word.rstrip('s')}" in text for _, text in told.values())
            for word in columns[2:-1]
        ]
        title = f"{library} {rows[0]['version'].split('+')[0]}"
        lines.append([title, *map(str, counts), str(len(rows) - len(told))])
        table = [f"| `{name}` | {' | '.join(both)} |" for name, both in told.items() if any(both)]
        head = ["| class | zero on purpose | faults and remarks |", "| --- | --- | --- |"]
        parts += [f"### {title}", "\n".join(head + table)][: 1 + bool(table)]
        folded = {"Audited, with nothing to tell": [n for n, both in told.items() if not any(both)]}
        for row in rows:
            if "error" in row:
                why = f"Not audited, as {sort_of(row['error'])}"
                folded.setdefault(why, []).append(row["class"])
        parts += [
            f":::{{dropdown}} {why}: {len(names)}\n{', '.join(f'`{name}`' for name in names)}\n:::"
            for why, names in folded.items()
        ]
    for library, why in kept.get("left_out", {}).items():
        parts.append(f"The last run left out {library}: `{why}`")
    sums = [str(sum(int(line[k]) for line in lines)) for k in range(1, len(columns) + 1)]
    return (
        markdown(["library", *columns], [*lines, ["all", *sums]])
        + "\n\n:::{div} filter-rows\n:::\n\n"
        + "\n\n".join(parts)
        + "\n"
    )


def sort_of(error: str) -> str:
    """Return in a few words why a network was not audited; the row has the first sentence."""
    sorts = {
        "million parameters": f"it has more than {MILLIONS} million parameters",
        "no end": f"it does not end in {SECONDS} seconds", "out of memory": "it runs out of memory",
        "requires '": "it needs another package", "No module named": "it needs another package",
        "ImportError": "it needs another package", "torchvision::": "it needs compiled operators",
        "inputs: ": "the rules make no inputs for it", "the process ended": "the process ended",
    }  # fmt: skip
    return next((why for word, why in sorts.items() if word in error), "it is not built so small")


def read() -> Row:
    """Return the table, empty if there is none."""
    kept: Row = json.loads(RESULT.read_text("utf-8")) if RESULT.exists() else {"rows": []}
    return kept


def keep(rows: Iterable[Row], versions: Row, left_out: Row) -> None:
    """Write the rows, by library and name, and the tables of the page."""
    rows = sorted(rows, key=lambda row: (row["library"], row["class"]))
    write(RESULT, rows, {"versions": versions, "left_out": left_out})
    text = tables({"rows": rows, "left_out": left_out})
    RESULT.with_suffix(".md").write_text(text, "utf-8")


def main(chosen: Sequence[str]) -> None:
    """Measure what is not measured yet, and write it after each row."""
    torch.set_num_threads(1)
    pins = dict(line.split("==") for line in PINS.read_text().split()) if PINS.exists() else {}
    kept = read()
    rows = {f"{row['library']}:{row['class']}": row for row in kept["rows"]}
    versions, left_out = kept.get("versions", {}), {}
    stand_in()
    for name, library in LIBRARIES.items():
        if chosen and not any(one.split(":")[0] == name for one in chosen):
            continue
        try:
            import_module(library.package)
            version = versions[library.package] = metadata.version(library.package)
            found = library.names()
            next(library.ways(found[0]), None)  # imports what each fork needs
            gone = [k for k, r in rows.items() if r["library"] == name and r["class"] not in found]
            rows = {key: row for key, row in rows.items() if key not in gone}
        except (Exception, SystemExit) as error:
            left_out[name] = said(error)
            print(f"left out: {name}, as {said(error)}", flush=True)
            continue
        if pins.get(library.package, version.split("+")[0]) != version.split("+")[0]:
            pinned = pins[library.package]
            print(f"{library.package} is {version} here, and {pinned} in {PINS.name}")
        for cls in found:
            key = f"{name}:{cls}"
            known = rows.get(key, {}).get("version") == version
            if key not in chosen and (known or (chosen and name not in chosen)):
                continue
            row = {"library": name, "version": version, "class": cls}
            row |= measured(name, cls)
            if row.get("error") == "no parameters":
                rows.pop(key, None)
                continue
            rows[key] = row
            shown = rows[key].get("error") or rows[key]["counts"]
            print(key, shown, rows[key]["seconds"], sep="  ", flush=True)
            if key in chosen:
                print(json.dumps(rows[key], indent=1, ensure_ascii=False))
            keep(rows.values(), versions, left_out)
    keep(rows.values(), versions, left_out)


if __name__ == "__main__":
    main(sys.argv[1:])
