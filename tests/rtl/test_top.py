"""The device through its pins on Amaranth's simulator: it answers, and shows when a step is under way."""

from __future__ import annotations

from typing import Any

import pytest
from amaranth.hdl import Module
from streams import Bench, encode

from solsa.contract import NetworkConfig, Register
from solsa.contract.wire import RUN_HEADER, Opcode, Request, Status, pack_request, space_header, unpack_reply
from solsa.rtl.top import ByteDevice, Device
from solsa.rtl.uart import UartReceiver, UartTransmitter

CONFIG = NetworkConfig(layers=(1, 1), lanes=1, groups=1, max_steps=2, surrogate_entries=4, frame_bytes=64)
DIVISOR = 4


@pytest.mark.parametrize("pins", [True, False], ids=["pins", "bytes"])
def test_busy_is_high_during_steps_only(pins: bool) -> None:
    m = Module()
    dut: Any
    if pins:
        dut, outgoing, incoming = Device(CONFIG, divisor=DIVISOR), UartTransmitter(DIVISOR), UartReceiver(DIVISOR)
        m.submodules += [dut, outgoing, incoming]
        m.d.comb += [dut.rx.eq(outgoing.tx), incoming.rx.eq(dut.tx)]
        to_device, from_device = outgoing.i, incoming.o
    else:
        m.submodules.dut = dut = ByteDevice(CONFIG)
        to_device, from_device = dut.i, dut.o
    bench = Bench(m, clocks=20_000)
    rises = 0

    async def count(ctx: Any) -> None:
        nonlocal rises
        before = 0
        while True:
            *_, now = await ctx.tick().sample(dut.busy)
            rises, before = rises + (now and not before), now

    async def host(ctx: Any) -> None:
        requests = [
            (Opcode.READ, space_header(0, Register.STEP) + b"\1", 0, [0]),
            (Opcode.RUN, RUN_HEADER.pack(1, 0, 3) + bytes([5, 0, 251]), 3, []),
            (Opcode.READ, space_header(0, Register.STEP) + b"\1", 3, [2]),
        ]
        for number, (opcode, payload, steps, words) in enumerate(requests, 1):
            await bench.put(ctx, to_device, encode(pack_request(Request(number, opcode, payload))), name="request")
            reply = unpack_reply(await bench.get_frame(ctx, from_device, name=f"reply {number}"))
            assert (reply.sequence, reply.status) == (number, Status.OK)
            assert reply.payload == b"".join(word.to_bytes(4, "little") for word in words)
            assert rises == steps
            assert not ctx.get(dut.busy)

    bench.run(host, background=[count])
