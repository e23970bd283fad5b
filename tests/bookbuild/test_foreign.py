"""The folder ``execution`` works in another Sphinx project, copied there under another name."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bookbuild.execution import warm

ROOT = Path(__file__).parents[2]
EXECUTION = ROOT / "src/bookbuild/execution"

CONF = """\
import sys
sys.path.insert(0, "extensions")
extensions = ["myst_nb", "borrowed.execution.warm", "borrowed.execution.cache"]
html_theme = "basic"
nb_execution_mode = "cache"
cache_root = ".."  # the package is beside the pages' folder
warm_modules = ["json"]
warm_reseed = ["gc.disable", "not_imported.seed"]
"""

PAGE = """\
---
file_format: mystnb
kernelspec:
  name: python3
---

# The page {name}

```{{code-cell}}
import gc, psutil, sys
sys.path.append("../package")
{code}
with open("../runs", "a") as runs:
    print("{name}", file=runs)
print("forked", "serve" in psutil.Process().parent().cmdline(), "hook", not gc.isenabled())
```
"""

# One process makes all builds, because its imports take longer than they do. It says of each which
# pages ran. MyST-NB's own cache, in the first, is asked before this folder takes its place.
BUILDS = """
import json
import sys
from pathlib import Path
from sphinx.cmd.build import main

def build(name, *extensions, **files):
    for file, text in files.items():
        Path("package", f"{file}.py").write_text(text)
    runs.write_text("")
    chosen = ",".join(["myst_nb", *(f"borrowed.execution.{one}" for one in extensions)])
    failed = main(["-q", "-W", "-D", f"extensions={chosen}", "docs", "build/html"])
    assert not failed, name
    shown[name] = [sorted(runs.read_text().split()), Path("build/html/uses.html").read_text()]

runs, shown = Path("runs"), {}
build("warm alone", "warm")
build("both", "warm", "cache")
build("again", "warm", "cache")
build("edited", "warm", "cache", part="VALUE = 2")
build("cache alone", "cache")
build("cache again", "cache")
assert "bookbuild" not in sys.modules
Path("shown.json").write_text(json.dumps(shown))
"""


def test_another_book_takes_one_extension_or_both(tmp_path: Path) -> None:
    shutil.copytree(EXECUTION, tmp_path / "extensions/borrowed/execution")
    (tmp_path / "extensions/borrowed/tools").mkdir()
    shutil.copy(EXECUTION.parent / "tools/store.py", tmp_path / "extensions/borrowed/tools")
    copied = [file for file in (tmp_path / "extensions").rglob("*.*") if file.suffix != ".pyc"]
    assert not [file for file in copied if "bookbuild" in file.read_text("utf-8")]
    client = tmp_path / "extensions/borrowed/execution/cache.py"
    text = client.read_text("utf-8")
    assert "\nKEPT = 10  #" in text
    client.write_text(text.replace("\nKEPT = 10  #", "\nKEPT = 1  #"), "utf-8")
    for name, code in (("uses", "import part; print('value', part.VALUE)"), ("other", "")):
        page = tmp_path / f"docs/{name}.md"
        page.parent.mkdir(exist_ok=True)
        page.write_text(PAGE.format(name=name, code=code), "utf-8")
    unnamed = page.read_text("utf-8").replace("kernelspec:\n  name: python3\n", "")
    page.write_text(unnamed, "utf-8")  # the page "other" names no kernel: it is stock
    (tmp_path / "docs/index.md").write_text("# Index\n\n```{toctree}\nuses\nother\n```\n", "utf-8")
    (tmp_path / "docs/conf.py").write_text(CONF, "utf-8")
    (tmp_path / "package").mkdir()
    (tmp_path / "package/part.py").write_text("VALUE = 1", "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("PYTHONPATH", "JUPYTER_PATH", warm.ADDRESS):
            patch.delenv(variable, raising=False)
        done = subprocess.run(
            [sys.executable, "-c", BUILDS], cwd=tmp_path, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stderr
    stock = "[IPKernelApp] WARNING | Kernel is running over TCP"  # a stock kernel always says so
    assert not [line for line in done.stderr.splitlines() if not line.startswith(stock)]
    shown = json.loads((tmp_path / "shown.json").read_text("utf-8"))
    ran = {name: pages for name, (pages, _) in shown.items()}
    assert ran == {
        "warm alone": ["other", "uses"],
        "both": ["other", "uses"],
        "again": [],
        "edited": ["uses"],
        "cache alone": ["uses"],
        "cache again": [],
    }
    printed = {
        name: re.findall(r"value (\d)|forked (\w+) hook (\w+)", html)
        for name, (_, html) in shown.items()
    }
    assert printed["warm alone"] == [("1", "", ""), ("", "True", "True")]
    assert printed["both"] == printed["again"] == printed["warm alone"]
    assert printed["edited"] == [("2", "", ""), ("", "True", "True")]
    assert printed["cache alone"] == [("2", "", ""), ("", "False", "False")]
    assert printed["cache again"] == printed["cache alone"]
    records = [file.parent.name for file in tmp_path.glob("build/.jupyter_cache/*/*")]
    assert {name: records.count(name) for name in ("uses", "other")} == {"uses": 1, "other": 1}


def test_its_readme_quotes_the_published_figures() -> None:
    published = json.loads((ROOT / "benchmarks/results.json").read_text("utf-8"))["tables"]
    rows = {re.sub(r" +", " ", row) for table in published.values() for row in table.splitlines()}
    text = (EXECUTION / "README.md").read_text("utf-8")
    quoted = re.findall(r"^\|.*\d\.\d.*\|$", text, re.M)
    assert len(quoted) > 3
    assert {re.sub(r" +", " ", row) for row in quoted} <= rows
