"""What yosys is told about memories and copied registers, between reading the design and synthesis."""

from __future__ import annotations

#: Registers named copy_* are equal on purpose, one per cluster of lanes (rtl/lanes.py): keep them apart.
KEEP_COPIES = "setattr -set keep 1 w:copy_* %a %ci t:$dff %i"
#: No word is used that was read while it was written (tests/integration/test_collisions.py): the content of such a read
#: may be anything, and yosys need not add the logic that makes it the old word. Transparent ports are as they say.
COLLISIONS = "setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2 r:TRANSPARENCY_MASK=1'0 %i"
#: Arrays of Amaranth have names such as a[3], which abc9 takes for bit 3 of a; of different widths, yosys 0.70 dies.
HIDE_INDICES = "rename -hide w:*[* x:* %d"

SCRIPT = f"{KEEP_COPIES}\n{COLLISIONS}\n{HIDE_INDICES}"
