"""`python -m tests.bench [NAME ...] [--list] [--quick] [--json FILE]`; exit 1 when a limit is missed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from edge.errors import EXIT_CHECK_FAILED, EXIT_OK, EdgeError
from tests.bench import circuits, classify, deploy, forward, pcap
from tests.bench.report import Row, table, this_machine, write_json

Bench = Callable[[bool], Sequence[Row]]
"""Takes whether to be quick: sizes and samples so small that numbers mean little; to see that it runs."""

BENCHES: dict[str, Bench] = {
    "deploy": deploy.run,
    "circuits": circuits.run,
    "classify": classify.run,
    "forward": forward.run,
    "pcap": pcap.run,
}


def _summary(bench: Bench) -> str:
    return (sys.modules[bench.__module__].__doc__ or "").partition("\n")[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks asked for, all without a name."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which benchmarks; all when left out")
    parser.add_argument("--list", action="store_true", help="list the benchmarks")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, few samples: only to see that it runs"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as JSON, too")
    options = parser.parse_args(arguments)
    if options.list:
        for name, bench in BENCHES.items():
            print(f"{name}: {_summary(bench)}")
        return EXIT_OK
    if unknown := [name for name in options.names if name not in BENCHES]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are: {', '.join(BENCHES)}")
    machine = this_machine()
    try:
        rows = [row for name in options.names or BENCHES for row in BENCHES[name](options.quick)]
    except EdgeError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(table(rows, machine))
    if options.json:
        write_json(options.json, rows, machine)
    return EXIT_OK if options.quick or all(row.holds for row in rows) else EXIT_CHECK_FAILED


if __name__ == "__main__":
    sys.exit(main())
