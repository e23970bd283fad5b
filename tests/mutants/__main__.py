"""Change the package in thousands of small ways, and see whether a test notices each change.

``python -m tests.mutants JOBS [MODULE ...]`` lets mutmut think of the changes. mutmut itself makes
them only in functions without a decorator; here tables, decorated functions and class bodies are
changed as well. Left out are imports, docstrings, what speaks to type checkers alone (annotations,
``cast``, ``TypeVar``), ``strict`` in ``zip``, which guards what is so already, and what stands in
``raise``: the wording of errors.

The tests run once, to learn which of them run which line, and how long each takes. A mutant then
meets those that run its lines, until one fails: first those that run most of its function, then
those of its module's own test files, and the fast before the slow. It does so in a fork of a
process that has imported PyTorch and collected the tests: there the changed function gets its new
code. Where a change is in no function, the fork comes before the tests are collected, and collects
the files that have most to do with it. Processes that a test starts find the mutant first on their
path.

A mutant that no test catches must stand in ``survivors.txt``, below the reason why none could. What
stands there is not tried again, and counts as one that survives.
"""

import difflib
import gc
import json
import os
import resource
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.machinery import SourceFileLoader
from itertools import accumulate, starmap
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NoReturn, cast

import libcst as cst
import pytest
from coverage import Coverage
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.file_mutation import Mutation, MutationVisitor, OuterFunctionProvider
from mutmut.mutation.mutators import mutation_operators
from mutmut.mutation.pragma_handling import IgnoredCode

from bookbuild.tools.progress import Progress

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src/zeroinit"
TESTS = ["tests/zeroinit", "src/zeroinit"]
LISTED = Path(__file__).with_name("survivors.txt")
LEARNT = ROOT / "_build/mutants.json"
ENOUGH = 0.95  # of the mutants are to be caught
PATIENCE = 20  # seconds of tests for one mutant, beside the tests of its module's name


class Everywhere(MutationVisitor):
    """mutmut's changes, in decorated functions too, and not in imports and errors."""

    def _skip_node_and_children(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.FunctionDef):
            return False
        if isinstance(node, cst.Raise | cst.Import | cst.ImportFrom):
            return True
        if isinstance(node, cst.Arg) and node.keyword and node.keyword.value == "strict":
            return True
        if isinstance(node, cst.Assign) and called(node.value) == "TypeVar":
            return True
        return super()._skip_node_and_children(node)

    def _create_mutations(self, node: cst.CSTNode) -> None:
        if called(node) not in ("cast", "zip"):
            super()._create_mutations(node)


def called(node: cst.CSTNode) -> str:
    """Return the name of the function that an expression calls, or nothing."""
    function = node.func if isinstance(node, cst.Call) else None
    return function.value if isinstance(function, cst.Name) else ""


@dataclass(frozen=True, eq=False)
class Mutant:
    """A module with one change."""

    module: str
    tree: cst.Module
    change: Mutation
    function: str  # the one around, by its qualified name, or nothing
    lines: range
    around: range  # the lines of the function, or of the module

    @property
    def path(self) -> str:
        """The file of the module."""
        return str(source(self.module))

    @property
    def place(self) -> str:
        """The function, or its module."""
        return f"{self.module}.{self.function}"

    def code(self) -> CodeType:
        """Return the changed module, compiled."""
        return compile(self.text(), self.path, "exec")

    def __str__(self) -> str:
        """Return a name that stays when other lines move."""
        texts = (self.tree.code.split("\n"), self.text().split("\n"))
        lines = list(difflib.unified_diff(*texts, n=0))[2:]
        old, new = (" ".join(d[1:].strip() for d in lines if d[0] == sign) for sign in "-+")
        return f"{self.place}: {old}  ->  {new}"

    def text(self) -> str:
        """Return the changed module."""
        changed = self.tree.deep_replace(self.change.original_node, self.change.mutated_node)
        return cast(cst.Module, changed).code


def source(module: str) -> Path:
    """Return the file of a module, such as ``figures.film``."""
    return PACKAGE.joinpath(*module.split(".")).with_suffix(".py")


def name(file: Path) -> str:
    """Return the module of a file."""
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts)


def mutants(module: str) -> Iterator[Mutant]:
    """Yield every mutant of a module."""
    tree = MetadataWrapper(cst.parse_module(source(module).read_text()))
    visitor = Everywhere(mutation_operators, IgnoredCode(set(), set(), set()))
    tree.visit(visitor)
    names: dict[cst.CSTNode, str] = {}
    for node in tree.module.body:
        if isinstance(node, cst.FunctionDef):
            names[node] = node.name.value
        elif isinstance(node, cst.ClassDef):
            methods = [m for m in node.body.body if isinstance(m, cst.FunctionDef)]
            names |= {m: f"{node.name.value}.{m.name.value}" for m in methods}
    places = tree.resolve(PositionProvider)
    around = tree.resolve(OuterFunctionProvider)
    for change in visitor.mutations:
        outer = around.get(change.original_node) or tree.module
        ends = [places[change.original_node], places[outer if outer in names else tree.module]]
        lines, near = (range(end.start.line, end.end.line + 1) for end in ends)
        yield Mutant(module, tree.module, change, names.get(outer, ""), lines, near)


@contextmanager
def given_to_children(mutant: Mutant) -> Iterator[None]:
    """Let a process that a test starts import the mutant, too."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, PACKAGE.name)
        shutil.copytree(PACKAGE, copy, copy_function=os.symlink)
        file = copy / Path(mutant.path).relative_to(PACKAGE)
        file.unlink()
        file.write_text(mutant.text())
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
        yield


def functions() -> Iterator[FunctionType]:
    """Yield the functions of the package that were made since the last ``gc.freeze``."""
    for one in gc.get_objects():
        # Not isinstance, to which objects of PyTorch answer with a warning.
        if type(one) is FunctionType and one.__code__.co_filename.startswith(str(PACKAGE)):
            yield one


def place(function: FunctionType) -> tuple[str, str, int]:
    """Return the file, the qualified name and the first line of a function."""
    code = function.__code__
    return code.co_filename, code.co_qualname, code.co_firstlineno


class Rounds:
    """A pytest plugin: instead of one round of tests, one in a fork for every mutant."""

    def __init__(self, jobs: int, modules: Iterable[str], listed: Collection[str]) -> None:
        self.jobs, self.listed = jobs, listed
        self.mutants = [mutant for module in modules for mutant in mutants(module)]
        self.survivors: dict[Mutant, str] = {}
        self.seconds: dict[str, float] = {}  # of each test
        self.runs: dict[str, dict[str, list[str]]] = {}  # by module and line the tests that run it
        self.parents: list[str] = []  # the tests that start processes, whose lines are not learnt

    def pytest_collection(self, session: pytest.Session) -> bool:
        """Import what takes long, learn, then try the mutants, and leave pytest nothing to do."""
        import hypothesis
        import matplotlib.pyplot  # noqa: F401
        import torch.func  # noqa: F401

        # Shrinking a failure costs seconds, and that there is one is enough. A deadline is one of
        # the clock, and would count what a busy machine holds up as caught.
        short = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
        settings = hypothesis.settings(phases=short, deadline=None)
        hypothesis.settings.register_profile("short", settings)
        hypothesis.settings.load_profile("short")
        sources = [file for folder in TESTS for file in Path(folder).rglob("*.py")]
        if not LEARNT.exists() or LEARNT.stat().st_mtime < max(f.stat().st_mtime for f in sources):
            if os.fork() == 0:
                told = os.dup(2)
                quiet()
                learn(session, told)
            if os.wait()[1]:
                raise pytest.UsageError("a test fails without any change")
        self.seconds, self.runs, self.parents = json.loads(LEARNT.read_text())
        outside = [mutant for mutant in self.mutants if not mutant.function]
        self._try("outside functions", outside, lambda mutant: self._passes_anew(mutant, session))
        items, alive = session.perform_collect(), [*functions()]
        gc.freeze()
        inside = [mutant for mutant in self.mutants if mutant.function]
        self._try(
            "in functions",
            inside,
            lambda mutant: self._passes_swapped(mutant, session, items, alive),
        )
        session.items = []
        return True

    def _try(self, where: str, mutants: Sequence[Mutant], passes: Callable[[Mutant], bool]) -> None:
        """Add the mutants that pass their tests, each in a fork, to the survivors."""
        running: dict[int, Mutant] = {}

        def wait() -> None:
            pid, status = os.wait()
            mutant = running.pop(pid)
            progress.tell(mutant.place, None)
            if status == 0:
                self.survivors[mutant] = told = str(mutant)
                if told not in self.listed:
                    print(told, flush=True)

        with Progress(f"Mutants {where}", len(mutants)) as progress:
            for mutant in mutants:
                if len(running) == self.jobs:
                    wait()
                progress.tell(mutant.place)
                pid = os.fork()
                if pid == 0:
                    self._end(mutant, passes)
                running[pid] = mutant
            while running:
                wait()

    def _end(self, mutant: Mutant, passes: Callable[[Mutant], bool]) -> NoReturn:
        """End this fork, with status 0 if the mutant is listed or passes its tests."""
        survives = False
        try:
            own = sum(self.seconds[test] for test in self._own(mutant))
            most = 3 * int(PATIENCE + own)
            resource.setrlimit(resource.RLIMIT_CPU, (most, most))
            quiet()
            with given_to_children(mutant):
                survives = str(mutant) in self.listed or passes(mutant)
        finally:  # also where the change ends pytest itself
            os._exit(not survives)

    def _passes_anew(self, mutant: Mutant, session: pytest.Session) -> bool:
        """Return whether the tests pass if the import of the module gives the mutant."""
        get_code = SourceFileLoader.get_code

        def changed(loader: Any, name: str) -> CodeType | None:
            return mutant.code() if loader.path == mutant.path else get_code(loader, name)

        SourceFileLoader.get_code = changed  # type: ignore[assignment, method-assign]
        for module in [m for m in sys.modules if m.partition(".")[0] == PACKAGE.name]:
            del sys.modules[module]  # which came with the package's plugin of pytest
        return self._passes(mutant, session, session.perform_collect(self._near(mutant)))

    def _passes_swapped(
        self,
        mutant: Mutant,
        session: pytest.Session,
        items: Sequence[pytest.Item],
        alive: Sequence[FunctionType],
    ) -> bool:
        """Return whether the tests pass if the function has the code of the mutant."""
        namespace: dict[str, Any] = {"__name__": f"zeroinit.{mutant.module}"}
        exec(mutant.code(), namespace)
        new = {place(function): function for function in functions()}
        for old in alive:
            if place(old)[:2] == (mutant.path, mutant.function):
                changed = new[place(old)]
                old.__code__ = changed.__code__
                old.__defaults__, old.__kwdefaults__ = changed.__defaults__, changed.__kwdefaults__
        return self._passes(mutant, session, items)

    def _passes(
        self, mutant: Mutant, session: pytest.Session, items: Sequence[pytest.Item]
    ) -> bool:
        """Run the tests of a mutant among these, until one fails."""
        tests, near = self._tests(mutant), self._near(mutant)
        # A test that reads a table may run no line of the module; one that is not known has
        # parameters that the mutant gave it.
        known = self.seconds.keys() - tests if mutant.function else ()
        some = [one for one in items if one.nodeid not in known]
        times = {item: self.seconds.get(item.nodeid, 0) for item in some}
        lines = self._of_lines(mutant, mutant.around)

        def order(item: pytest.Item) -> tuple[int, bool, float]:
            return -lines[item.nodeid], item.nodeid.split("::")[0] not in near, times[item]

        some.sort(key=order)
        spent, own = accumulate(times[item] for item in some), self._own(mutant)
        tried = [
            item
            for item, sum_ in zip(some, spent, strict=True)
            if sum_ < PATIENCE or item.nodeid in own
        ]
        return not session.testsfailed and all(starmap(partial(passes, session), followed(tried)))

    def _near(self, mutant: Mutant) -> list[str]:
        """Return four test files: of the module's name, or that have the most to do with it."""
        hits = Counter(test.split("::")[0] for test in self._tests(mutant))
        end = source(mutant.module).name  # as test_audit_graph.py of _graph.py
        return sorted(hits, key=lambda file: (file.endswith(end), hits[file]))[-4:]

    def _tests(self, mutant: Mutant) -> set[str]:
        """Return the tests that run the changed lines; if none does, those that run the rest.

        A module of which no test runs a line is one for processes of its own.
        """
        for lines in (mutant.lines, mutant.around):
            if found := self._of_lines(mutant, lines):
                return self._own(mutant).union(found)
        return {*self.seconds} if mutant.function else {*self.parents}

    def _of_lines(self, mutant: Mutant, lines: range) -> Counter[str]:
        """Return the tests that run some lines in this process, and how many of them each runs."""
        runs = self.runs.get(mutant.module, {})
        return Counter(test for line in lines for test in runs.get(str(line), []))

    def _own(self, mutant: Mutant) -> set[str]:
        """Return the tests that may run the lines in a process that they start.

        These are those in the files of the module's name, and, if no test is seen to run the
        lines, all that start processes. Lines outside functions run at every import, unseen.
        """
        end = source(mutant.module).name
        own = {test for test in self.seconds if test.split("::")[0].endswith(end)}
        seen = not mutant.function or self._of_lines(mutant, mutant.lines)
        return own if seen else own.union(self.parents)


def quiet() -> None:
    """Let this process print nothing."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)


def followed(items: Sequence[pytest.Item]) -> Iterator[tuple[pytest.Item, pytest.Item | None]]:
    """Yield each test with the next, for which pytest keeps what the two share."""
    return zip(items, [*items[1:], None], strict=True)


def passes(session: pytest.Session, item: pytest.Item, following: pytest.Item | None) -> bool:
    """Run a test and return whether all has gone well so far."""
    session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
    return not session.testsfailed


def clocks() -> tuple[float, float]:
    """Return the seconds of a processor that this process used, and those that it started."""
    times = os.times()
    return sum(times[:2]), sum(times[2:4])


def learn(session: pytest.Session, told: int) -> NoReturn:
    """Run every test, write down its lines and its time, and end this fork.

    Of a test that fails the name goes to the file ``told``.
    """
    seconds, parents = {}, []
    watch = Coverage(data_file=None, include=[f"{PACKAGE}/*"], messages=False)
    watch.start()
    for item, following in followed(session.perform_collect()):
        watch.switch_context(item.nodeid)
        here, below = clocks()
        if not passes(session, item, following):
            os.write(told, f"{item.nodeid} fails\n".encode())
            os._exit(1)
        seconds[item.nodeid] = sum(clocks()) - here - below
        if clocks()[1] > below:
            parents.append(item.nodeid)
    watch.stop()
    data = watch.get_data()
    runs = {}
    for file in data.measured_files():
        lines = data.contexts_by_lineno(file).items()
        runs[name(Path(file))] = {line: [test for test in tests if test] for line, tests in lines}
    LEARNT.parent.mkdir(exist_ok=True)
    LEARNT.write_text(json.dumps([seconds, runs, parents]))
    os._exit(0)


def main(jobs: int, modules: Sequence[str]) -> str | None:
    """Try every mutant of the modules, print the scores, and return what is wrong with them."""
    listed = {line for line in LISTED.read_text().splitlines() if line[:1] not in ("", "#")}
    rounds = Rounds(jobs, modules or sorted(map(name, PACKAGE.rglob("*.py"))), listed)
    # Where pytest rewrites assertions, it does not ask for the code that a mutant gives.
    options = ["-q", "-s", "--tb=no", "-p", "no:cacheprovider", "--assert=plain"]
    stopped = (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.INTERNAL_ERROR)
    if pytest.main([*options, *TESTS], [rounds]) in stopped:
        return "No mutant was tried."
    tried = Counter(mutant.module for mutant in rounds.mutants)
    alive = Counter(mutant.module for mutant in rounds.survivors)
    tried["all"], alive["all"] = tried.total(), alive.total()
    for module, count in tried.items():
        share = 1 - alive[module] / count
        print(f"{module:<18}{count:>6} mutants{alive[module]:>6} survive{share:>8.1%} are caught")
    left = {*rounds.survivors.values()}
    own = {line for line in listed if line.startswith(tuple(f"{module}." for module in tried))}
    for lines, what in (
        (left - listed, "Not caught, and not in survivors.txt:"),
        (own - left, "In survivors.txt, and no change of the package:"),
    ):
        if lines:
            return "\n".join([what, *sorted(lines)])
    return None if share >= ENOUGH else f"Fewer than {ENOUGH:.0%} are caught."


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
