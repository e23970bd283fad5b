"""Audit networks of other libraries, as they start and with one fault after another.

``python -m evidence`` writes what it finds to ``faults.json`` and ``starts.json``, and tables of
it to ``faults.md`` and ``starts.md``.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.markdown import markdown
from evidence.architectures import Architecture, architectures
from evidence.faults import FAULTS, Fault, Loss
from evidence.starts import STARTS, TRUE_FAULTS, start
from zeroinit.auditing import audit
from zeroinit.report import Audit

HERE = Path(__file__).parent


def examine(architecture: Architecture) -> dict[str, Any]:
    """Return the row of an architecture: its alarms without a fault, and with each fault."""
    torch.manual_seed(0)
    healthy = architecture.build().train()
    return {
        "name": architecture.name,
        "parameters": sum(p.numel() for p in healthy.parameters()),
        "healthy_alarms": alarms(audit(healthy, architecture.loss)),
        "faults": {
            name: put_in(architecture, fault) for name, fault in architecture.faults.items()
        },
    }


def alarms(found: Audit) -> dict[str, str]:
    """Return the faulty verdicts by the names of their parameters."""
    return {finding.name: finding.verdict for finding in found.faults}


def put_in(architecture: Architecture, fault: Fault) -> dict[str, Any]:
    """Return what the audit says of a network with a fault, beside what it must say."""
    torch.manual_seed(0)
    model = architecture.build(**fault.config).train(fault.training)
    fault.inject(model)
    loss = fault.loss or architecture.loss
    if fault.error:
        return {"expected": {"error": fault.error}} | stopped(model, loss, fault.error)
    found = audit(model, loss)
    expected = {f.name: fault.expected.get(f.name, fault.rest) for f in found}
    expected = {name: verdict for name, verdict in expected.items() if verdict}
    wrong = {
        name: found[name].verdict
        for name, verdict in expected.items()
        if verdict not in (found[name].verdict, found[name].kind)
    } | {name: "no such parameter" for name in fault.expected if name not in found}
    judged = [found[name] for name, verdict in expected.items() if verdict != "fine"]
    return {
        "expected": expected,
        "wrong": wrong,
        "also": {n: v for n, v in alarms(found).items() if n not in expected},
        "causes": sorted({f.cause for f in judged if f.cause}),
        "remedies": sorted({f.remedy for f in judged if f.remedy}),
        "named": all(any(c in f.cause for c in fault.cause or [""]) for f in judged),
    }


def stopped(model: nn.Module, loss: Loss, error: str) -> dict[str, Any]:
    """Return the row of a network that cannot be audited: whether the reason is said."""
    try:
        said = f"no error: {alarms(audit(model, loss))}"
    except ValueError as stop:
        said = str(stop)
    wrong = {} if error in said else {"error": said}
    return {"wrong": wrong, "also": {}, "causes": [said], "remedies": [], "named": not wrong}


def fault_table(networks: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of the faults that audits found in networks, and the counts."""
    rows, counts = [], [0, 0, 0, 0]
    for fault in FAULTS:
        met = {n["name"]: n["faults"][fault] for n in networks if fault in n["faults"]}
        missed = [name for name, row in met.items() if row["wrong"]]
        more = [name for name, row in met.items() if row["also"]]
        unnamed = [name for name, row in met.items() if not row["named"] and not row["wrong"]]
        verdicts = dict.fromkeys(
            "stops" if place == "error" else verdict.partition(" (")[0]
            for row in met.values()
            for place, verdict in row["expected"].items()
            if verdict != "fine"
        )
        short = {"missed": missed, "more": more, "cause": unnamed}
        wrong = "; ".join(f"{word}: {', '.join(names)}" for word, names in short.items() if names)
        rows.append([f"{fault}: *{', '.join(verdicts)}*", str(len(met)), wrong])
        for k, some in enumerate((met, missed, more, unnamed)):
            counts[k] += len(some)
    head = ["Fault: *verdict*", "Networks", "Not so"]
    said = [n["name"] for n in networks if n["healthy_alarms"]]
    sizes = [n["parameters"] for n in networks]
    return (
        f"{markdown(head, rows)}\n\n"
        f"Faults: {counts[0]}, in {len(networks)} networks of {min(sizes):,} to {max(sizes):,} "
        f"parameters. Missed: {counts[1]}. Found, with more reported: {counts[2]}. Found without "
        f"the cause: {counts[3]}. Networks with an alarm as they are: "
        f"{', '.join(said) or 'none'}.\n"
    )


def begin(name: str) -> dict[str, Any]:
    """Return what the audit says of a network as it starts."""
    model, loss = start(name)
    found = audit(model, loss)
    return {
        "name": name,
        "parameters": sum(p.numel() for p in model.parameters()),
        "alarms": alarms(found),
    }


def start_table(networks: Sequence[Mapping[str, Any]]) -> str:
    """Return the counts of the networks as they start, with the name of each that has an alarm."""
    false = [f"`{n['name']}`" for n in networks if n["alarms"] and n["name"] not in TRUE_FAULTS]
    true = [f"`{n['name']}` ({TRUE_FAULTS[n['name']]})" for n in networks
            if n["alarms"] and n["name"] in TRUE_FAULTS]  # fmt: skip
    return (
        f"Networks as they start: {len(networks)}. False alarms: {', '.join(false) or 'none'}. "
        f"True alarms: {'; '.join(true) or 'none'}.\n"
    )


def main() -> None:
    """Write the verdicts, and the tables of them."""
    starts = [begin(name) for name in STARTS]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in starts)
    (HERE / "starts.json").write_text(f"[\n{lines}\n]\n", "utf-8")
    (HERE / "starts.md").write_text(start_table(starts), "utf-8")
    rows = [examine(architecture) for architecture in architectures()]
    written = json.dumps({"architectures": rows}, indent=1, ensure_ascii=False)
    (HERE / "faults.json").write_text(written + "\n", "utf-8")
    (HERE / "faults.md").write_text(fault_table(rows), "utf-8")


if __name__ == "__main__":
    main()
