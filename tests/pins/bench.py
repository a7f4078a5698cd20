"""cocotb tests of the complete device; they run inside the simulator and see its pins only."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np
from cobs import cobs
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, SimTimeoutError, Timer, with_timeout
from cocotb.utils import get_sim_time

from solsa.contract import Register, Space
from solsa.contract.wire import NAK, Opcode, Request, RunFlag, Status, pack_request, space_header, unpack_reply
from solsa.host.golden_device import GoldenDevice

from .case import PinCase
from .plan import Exchange, explain, make_plan, without_clocks
from .uart import BYTE_BITS, UartDriver, UartMonitor

#: Clock period in ps; any, the device counts clocks.
PERIOD = 10_000
RESET_CLOCKS = 8
#: Clocks that the device may think about a request before its reply begins: the longest RUN here takes some 500.
THINKING = 5_000
CASE = PinCase.from_environment()
CONFIG = CASE.config
BIT = CASE.divisor * PERIOD
_END = b"\0"


def encoded(body: bytes) -> bytes:
    """A frame as it goes over the line."""
    return cobs.encode(body) + _END


class Bench:
    """The device after reset, a line to it, and a golden device that hears the same."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.rng = np.random.default_rng(CASE.seed)
        self.golden = GoldenDevice(CONFIG)
        self.names: dict[tuple[int, int], str] = {}
        self.started = 0

    @classmethod
    async def start(cls, dut: Any) -> Bench:
        """Reset the device. The clock begins low; memory ports of Icarus are X until some clocks of reset."""
        bench = cls(dut)
        dut.rx.value, dut.rst.value = 1, 1
        Clock(dut.clk, PERIOD, unit="ps").start(start_high=False)
        await ClockCycles(dut.clk, RESET_CLOCKS)
        dut.rst.value = 0
        bench.started = get_sim_time("step")
        # Off the clock's edges: the line is asynchronous.
        await Timer(2 * PERIOD + int(bench.rng.integers(PERIOD)), "ps")
        bit = round(BIT * (1 + CASE.skew))
        bench.driver = UartDriver(dut.rx, bit, int(CASE.gap * bit), bench.rng)
        bench.monitor = UartMonitor(dut.tx, BIT)
        return bench

    def clocks(self) -> float:
        """Clocks since reset."""
        return (get_sim_time("step") - self.started) / PERIOD

    async def reply(self, about: str) -> bytes:
        """The next frame; AssertionError if the device stays silent."""
        longest = BYTE_BITS * CASE.divisor * (CONFIG.frame_bytes + 4) + THINKING
        try:
            return await with_timeout(self.monitor.frames.get(), longest * PERIOD, "ps")
        except SimTimeoutError:
            raise AssertionError(f"no reply to {about} within {longest} clocks") from None

    async def exchange(self, frame: bytes, *, about: str = "", **line: int) -> bytes:
        """Send a frame to both devices, compare the replies, return the device's."""
        self.golden.send(frame)
        await self.driver.send(frame, **line)
        wanted = self.golden.receive(0)
        got = await self.reply(about or frame.hex(" "))
        assert got == wanted, explain(Exchange(frame, wanted), got, self.names)
        return got

    async def request(self, sequence: int, opcode: int, payload: bytes = b"") -> Status:
        """Exchange a whole request; returns its status."""
        reply = await self.exchange(encoded(pack_request(Request(sequence, opcode, payload))))
        return Status(unpack_reply(cobs.decode(reply[:-1])).status)

    async def damaged(self, sent: bytes, about: str) -> None:
        """Send bytes that end a damaged frame: the answer is the NAK of the contract, and nothing else."""
        await self.driver.send(sent)
        got = await self.reply(about)
        assert got == encoded(NAK), f"{about}: {got.hex(' ')} instead of the NAK"

    async def silence(self, about: str) -> None:
        """Nothing comes for the time of two NAKs."""
        before = self.monitor.edges
        await Timer(2 * BYTE_BITS * len(encoded(NAK)) * BIT, "ps")
        assert self.monitor.edges == before, f"{about}: the device speaks"

    async def read_register(self, sequence: int, register: int) -> int:
        """A register, which must equal golden's."""
        payload = space_header(Space.REGISTER, register) + b"\x01"
        reply = await self.exchange(encoded(pack_request(Request(sequence, Opcode.READ, payload))))
        return int.from_bytes(unpack_reply(cobs.decode(reply[:-1])).payload, "little")


@cocotb.test()
async def boot(dut: Any) -> None:
    """After reset: line idle, INFO as the contract says, a clock counter that counts the clocks."""
    bench = await Bench.start(dut)
    assert str(dut.tx.value) == "1"
    assert str(dut.busy.value) == "0"
    info = encoded(pack_request(Request(0, Opcode.INFO, b"")))
    bench.golden.send(info)
    await bench.driver.send(info)
    got = without_clocks(await bench.reply("INFO"))
    assert got == without_clocks(bench.golden.receive(0))
    assert got[Register.CONFIG_HASH] & 0xFFFFFFFF == int(CONFIG.config_hash, 16)
    header = space_header(Space.REGISTER, Register.CYCLES_LOW)
    earliest = bench.clocks()
    await bench.driver.send(encoded(pack_request(Request(1, Opcode.READ, header + b"\x02"))))
    reply = await bench.reply("READ of the clock counter")
    counted = int.from_bytes(unpack_reply(cobs.decode(reply[:-1])).payload, "little")
    assert earliest < counted < bench.clocks(), f"{counted} clocks counted, {earliest} to {bench.clocks()} were there"


@cocotb.test()
async def learn(dut: Any) -> None:
    """Load, learn, read everything back: every reply is golden's, to the byte."""
    bench = await Bench.start(dut)
    plan = make_plan(CASE)
    compared = 0
    for exchange in plan.exchanges:
        await bench.driver.send(exchange.request)
        got = await bench.reply(exchange.request.hex(" "))
        if cobs.decode(exchange.request[:-1])[1] == Opcode.INFO:
            assert without_clocks(got) == without_clocks(exchange.reply)
            continue
        assert got == exchange.reply, explain(exchange, got, plan.names)
        compared += len(unpack_reply(cobs.decode(got[:-1])).payload) // 4
    assert compared > len(plan.names)
    dut._log.info("%d words equal, %d bytes received, %d clocks", compared, bench.monitor.received, bench.clocks())


@cocotb.test()
async def noise(dut: Any) -> None:
    """Garbage, damaged frames and a disturbed line are answered as documented, and the next request is understood."""
    bench = await Bench.start(dut)
    rng, nak = bench.rng, encoded(NAK)
    good = encoded(pack_request(Request(7, Opcode.WRITE, space_header(Space.REGISTER, Register.RNG) + b"\1\2\3\4")))
    sequence = 10

    async def still_fine() -> None:
        nonlocal sequence
        sequence += 1
        assert await bench.read_register(sequence, Register.RNG) == rng_state

    rng_state = await bench.read_register(sequence, Register.RNG)
    garbage = bytes(int(v) for v in rng.integers(1, 256, 40))
    await bench.damaged(garbage + _END, "garbage")
    await still_fine()
    await bench.damaged(bytes(int(v) for v in rng.integers(1, 256, CONFIG.frame_bytes + 30)) + _END, "an endless frame")
    await still_fine()
    await bench.damaged(good[: len(good) // 2] + _END, "half a frame")
    body = bytearray(pack_request(Request(8, Opcode.WRITE, space_header(Space.REGISTER, Register.RNG) + b"\5\6\7\x08")))
    body[int(rng.integers(len(body)))] ^= 1 << int(rng.integers(8))
    assert await bench.exchange(encoded(bytes(body)), about="a wrong CRC") == nak
    await still_fine()
    await bench.driver.send(_END * 3)
    await bench.silence("empty frames")
    await still_fine()
    # The line itself: a byte without stop bit is dropped, so its frame is damaged.
    await bench.driver.send(good, bad_stop=4)
    assert await bench.reply("a missing stop bit") == nak
    await still_fine()
    await bench.driver.low(PERIOD)
    await bench.silence("a glitch")
    await still_fine()
    await bench.driver.low(25 * BIT)
    await bench.silence("a break")
    await still_fine()
    await bench.driver.send(garbage[:9])  # a host that went away, and another that opens a session
    await bench.damaged(_END, "a delimiter after garbage")
    assert await bench.request(0, Opcode.READ, space_header(Space.REGISTER, Register.FRESH) + b"\x08") is Status.OK


@cocotb.test()
async def protocol(dut: Any) -> None:
    """Refusals, repeated sequence numbers, and a request that arrives while a reply is being sent."""
    bench = await Bench.start(dut)
    step = bytes([RunFlag.RESET, 0, 0, 1, 0]) + bytes(CONFIG.step_bytes)
    register = space_header(Space.REGISTER, Register.RNG)
    expected = [
        (99, b"", Status.BAD_OPCODE),
        (Opcode.INFO, b"x", Status.BAD_LENGTH),
        (Opcode.STATE, space_header(Space.SCORE, CONFIG.outputs) + b"\1", Status.BAD_ADDRESS),
        (Opcode.LOAD, space_header(Space.NEURON, 0) + bytes(4), Status.BAD_ADDRESS),
        (Opcode.WRITE, register + bytes(4), Status.BAD_VALUE),
        (Opcode.RUN, b"\x10" + step[1:], Status.BAD_VALUE),
        (Opcode.STEP, step[:-1], Status.BAD_LENGTH),
    ]
    for sequence, (opcode, payload, status) in enumerate(expected, 1):
        assert await bench.request(sequence, opcode, payload) is status
    for _ in range(2):  # the same number: executed once, answered twice
        assert await bench.request(100, Opcode.STEP, step) is Status.OK
    assert await bench.read_register(101, Register.STEP) == 1
    for _ in range(2):  # number 0 always executes
        assert await bench.request(0, Opcode.STEP, bytes([0]) + step[1:]) is Status.OK
    assert await bench.read_register(102, Register.STEP) == 3
    # Both directions at once: a request is taken while the reply to the one before is still on the line.
    state = space_header(Space.REGISTER, 0x40) + b"\x10"
    for sequence in (110, 112, 114):
        frames = [encoded(pack_request(Request(sequence + i, Opcode.STATE, state))) for i in range(2)]
        await bench.driver.send(frames[0])
        await with_timeout(FallingEdge(dut.tx), THINKING * PERIOD, "ps")
        await bench.driver.send(frames[1])
        for frame in frames:
            bench.golden.send(frame)
            got, wanted = await bench.reply("overlapping requests"), bench.golden.receive(0)
            assert got == wanted, explain(Exchange(frame, wanted), got, {})
