"""How a table of measurements is kept: a row a line, below where and when they were made."""

import datetime
import json
import platform
from collections.abc import Iterable
from pathlib import Path

from atlas.forks import Row


def write(result: Path, rows: Iterable[Row], about: Row) -> None:
    """Write rows as JSON, below the date, the machine and what else is told about them."""
    today = datetime.date.today().isoformat()
    head = {"date": today, "machine": f"{platform.system()} {platform.machine()}"} | about
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    text = json.dumps(head, ensure_ascii=False)[:-1] + f', "rows": [\n{lines}\n]}}\n'
    result.write_text(text, "utf-8")
