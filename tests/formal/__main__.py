"""``python -m tests.formal [NAME ...] [--list] [--jobs N] [--slack N] [--json FILE]``."""

from __future__ import annotations

import argparse
import fnmatch
import sys
from pathlib import Path

from .proofs import CLAIMS
from .run import HEAD, PROOFS, timed, write
from .tools import ToolError


def main() -> int:
    """Run the proofs that were named, or all; 0 if every one is as it must be, 1 if not, 2 for a bad call."""
    parser = argparse.ArgumentParser(prog="python -m tests.formal", description="formal proofs over the RTL")
    parser.add_argument("names", nargs="*", metavar="NAME", help="proofs (with * and ?), all if none is given")
    parser.add_argument("--list", action="store_true", help="say what there is")
    parser.add_argument("--jobs", type=int, default=2, help="solver runs at a time (2)")
    parser.add_argument("--slack", type=int, default=1, help="factor on every time limit, for a busy machine (1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results")
    options = parser.parse_args()
    for name in ("jobs", "slack"):
        if getattr(options, name) < 1:
            print(f"formal: --{name} {getattr(options, name)}, allowed 1 or more", file=sys.stderr)
            return 2
    chosen = [p for p in PROOFS if not options.names or any(fnmatch.fnmatch(p.name, n) for n in options.names)]
    for name in options.names:
        if not fnmatch.filter([p.name for p in PROOFS], name):
            print(f"formal: no proof {name!r}, allowed {', '.join(p.name for p in PROOFS)}", file=sys.stderr)
            return 2
    if options.list:
        for number, claim in CLAIMS.items():
            print(f"{number}. {claim}")
            for p in (p for p in chosen if p.claim == number):
                print(f"   {p.name}: {p.unit}: {p.says}")
        return 0
    print(HEAD)
    try:
        verdicts, seconds = timed(
            chosen, jobs=options.jobs, slack=options.slack, say=lambda text: print(text, flush=True)
        )
    except ToolError as error:
        print(error, file=sys.stderr)
        return 2
    bad = [v for v in verdicts if not v.good]
    print(f"{len(verdicts) - len(bad)} of {len(verdicts)} proofs hold with their covers and controls, {seconds:.0f} s")
    for v in bad:
        print(f"formal: {v.proof.name} is not as expected, see {v.proved.folder}", file=sys.stderr)
    if options.json is not None:
        write(options.json, verdicts, seconds)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
