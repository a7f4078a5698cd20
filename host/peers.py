"""Other open learning cores on the same FPGA, beside ours: what place and route of the same tools gave for each.

Their figures were taken once and stand in the project's specification, section 4; building them is no part of this
repository. They are upper estimates: every multiplier works in every clock.
"""

from __future__ import annotations

from typing import Any

#: Where the figures are from, and what made them.
SOURCE = "SPEC section 4: LFE5U-85F, speed 6, yosys 0.70, nextpnr 0.11.1; taken once, upper estimates"
#: (core, rule, updates/s, updates/s/LUT4, remark).
ANCHORS = (
    ("ReckOn", "e-prop, 256-256-16", 315e6, 4.7e3, "one lane routed at 20.3 MHz; 176 multipliers of 156"),
    ("ODIN", "SDSP", 7.5e6, 0.55e3, "15 MHz"),
    ("tinyODIN", "no learning", 15e6, 4.8e3, "30 MHz"),
)
#: The chip of these figures: its multipliers, the MHz that they reach, and how many a lane takes.
CHIP, MULTIPLIERS, MULTIPLIER_MHZ, PER_LANE = "LFE5U-85F", 156, 140, 2


def peers(builds: list[dict[str, Any]]) -> dict[str, Any]:
    """Anchors with the ratios to our kept builds on their chip.

    Parameters
    ----------
    builds : list of dict
        From :func:`solsa.host.bench_core.throughput`.

    Returns
    -------
    dict
        ``source``; ``chip_limit``: updates/s if all multipliers of the chip worked; ``ours``: the builds; ``rows``: a
        dictionary per anchor with, for each build, how many times as many updates/s and updates/s/LUT it does.
    """
    limit = MULTIPLIERS // PER_LANE * MULTIPLIER_MHZ * 1e6
    ours = [build for build in builds if CHIP in build["device"] and not build["problem"]]
    return {
        "source": SOURCE,
        "chip": CHIP,
        "chip_limit": round(limit),
        "chip_limit_how": f"{MULTIPLIERS} multipliers, {PER_LANE} per lane, at about {MULTIPLIER_MHZ} MHz",
        "ours": [
            {"build": build["build"], "of_chip_limit": round(build["peak_updates_per_second"] / limit, 3)}
            for build in ours
        ],
        "rows": [
            {
                "core": core, "rule": rule, "updates_per_second": rate, "per_lut": per_lut, "remark": remark,
                "ratios": {build["build"]: {"updates_per_second": round(build["peak_updates_per_second"] / rate, 2),
                                            "per_lut": round(build["peak_per_lut"] / per_lut, 2)} for build in ours},
            }
            for core, rule, rate, per_lut, remark in ANCHORS
        ],
    }  # fmt: skip
