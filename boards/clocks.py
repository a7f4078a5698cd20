"""The clock domain of the core: the crystal through a PLL, reset until the PLL has locked."""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Const, Instance, Module, ResetSignal, Signal
from amaranth.lib import io, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from .pll import PllKind, PllSettings

#: Seconds in reset after the lock. The block RAMs of an iCE40 read as zero for 3 us after configuration (see
#: amaranth.vendor, create_missing_domain, which waits as long where there is no PLL).
SETTLE = Fraction(15, 1_000_000)


class Ecp5Pll(wiring.Component):
    """EHXPLLL with internal feedback through CLKOP; the clock is CLKOS."""

    def __init__(self, settings: PllSettings) -> None:
        self.settings = settings
        super().__init__({"reference": In(1), "clock": Out(1), "locked": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        feedback = Signal()
        m.submodules.pll = Instance(
            PllKind.ECP5.value,
            # analogue settings as the vendor's tool writes them for every frequency
            a_ICP_CURRENT="12",
            a_LPF_RESISTOR="8",
            a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2",
            p_PLLRST_ENA="DISABLED",
            p_INTFB_WAKE="DISABLED",
            p_STDBY_ENABLE="DISABLED",
            p_DPHASE_SOURCE="DISABLED",
            p_OUTDIVIDER_MUXA="DIVA",
            p_OUTDIVIDER_MUXB="DIVB",
            p_FEEDBK_PATH="INT_OP",
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOS_ENABLE="ENABLED",
            p_CLKOP_FPHASE=0,
            p_CLKOS_FPHASE=0,
            **{f"p_{name}": value for name, value in self.settings.parameters().items()},
            i_CLKI=self.reference,
            i_CLKFB=feedback,
            i_RST=Const(0),
            i_STDBY=Const(0),
            i_PHASESEL0=Const(0),
            i_PHASESEL1=Const(0),
            i_PHASEDIR=Const(1),
            i_PHASESTEP=Const(1),
            i_PHASELOADREG=Const(1),
            i_PLLWAKESYNC=Const(0),
            i_ENCLKOP=Const(0),
            o_CLKINTFB=feedback,
            o_CLKOS=self.clock,
            o_LOCK=self.locked,
        )
        return m


class Ice40Pll(wiring.Component):
    """SB_PLL40_PAD: takes the pad of the crystal for itself, so it is given the pin, not a signal."""

    def __init__(self, settings: PllSettings, pin: Any) -> None:
        self.settings, self.pin = settings, pin
        super().__init__({"clock": Out(1), "locked": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        widths = {"DIVR": 4, "DIVF": 7, "DIVQ": 3, "FILTER_RANGE": 3}
        m.submodules.pll = Instance(
            PllKind.ICE40.value,
            p_FEEDBACK_PATH="SIMPLE",
            p_PLLOUT_SELECT="GENCLK",
            **{f"p_{name}": Const(int(value), widths[name]) for name, value in self.settings.parameters().items()},
            i_PACKAGEPIN=self.pin.io,
            i_RESETB=Const(1),
            i_BYPASS=Const(0),
            o_PLLOUTGLOBAL=self.clock,
            o_LOCK=self.locked,
        )
        return m


class GowinPll(wiring.Component):
    """rPLL of a Gowin chip, feedback inside."""

    def __init__(self, settings: PllSettings) -> None:
        self.settings = settings
        super().__init__({"reference": In(1), "clock": Out(1), "locked": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.pll = Instance(
            "rPLL",
            p_DYN_IDIV_SEL="false",
            p_DYN_FBDIV_SEL="false",
            p_DYN_ODIV_SEL="false",
            p_DYN_DA_EN="false",
            p_PSDA_SEL="0000",
            p_DUTYDA_SEL="1000",
            p_CLKFB_SEL="internal",
            p_CLKOUT_BYPASS="false",
            p_CLKOUTP_BYPASS="false",
            p_CLKOUTD_BYPASS="false",
            p_DYN_SDIV_SEL=2,
            p_CLKOUTD_SRC="CLKOUT",
            p_CLKOUTD3_SRC="CLKOUT",
            **{f"p_{name}": value for name, value in self.settings.parameters().items()},
            i_CLKIN=self.reference,
            i_CLKFB=Const(0),
            i_RESET=Const(0),
            i_RESET_P=Const(0),
            i_FBDSEL=Const(0, 6),
            i_IDSEL=Const(0, 6),
            i_ODSEL=Const(0, 6),
            i_PSDA=Const(0, 4),
            i_DUTYDA=Const(0, 4),
            i_FDLY=Const(0, 4),
            o_CLKOUT=self.clock,
            o_LOCK=self.locked,
        )
        return m


class PllDomain(wiring.Component):
    """Drives domain ``sync``, which a module above defines, from the platform's default clock through a PLL.

    Parameters
    ----------
    settings : PllSettings
        Dividers.
    """

    def __init__(self, settings: PllSettings) -> None:
        self.settings = settings
        super().__init__({})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        pin = platform.request(platform.default_clk, dir="-")
        pll: Any
        if self.settings.kind is PllKind.ICE40:
            m.submodules.pll = pll = Ice40Pll(self.settings, pin)
        else:
            m.submodules.buffer = buffer = io.Buffer("i", pin)
            primitive = Ecp5Pll if self.settings.kind is PllKind.ECP5 else GowinPll
            m.submodules.pll = pll = primitive(self.settings)
            m.d.comb += pll.reference.eq(buffer.i)
        stop = Signal()
        if platform.default_rst is not None:
            m.submodules.button = button = io.Buffer("i", platform.request(platform.default_rst, dir="-"))
            m.d.comb += stop.eq(button.i)

        # The counter has no reset from outside: it starts at its initial value, and again when the lock is lost. Its
        # top bit is the end, which costs no comparison.
        m.domains += ClockDomain("settle", reset_less=True, local=True)
        least = ceil(SETTLE * self.settings.output * 1_000_000)
        counter, locked = Signal(bits_for(least - 1) + 1), Signal()
        reset = Signal(init=1)  # thousands of flip-flops take it: no gate in front of that wire
        m.submodules.locked = FFSynchronizer(pll.locked & ~stop, locked, o_domain="settle")
        m.d.comb += [
            ClockSignal("settle").eq(pll.clock),
            ClockSignal("sync").eq(pll.clock),
            ResetSignal("sync").eq(reset),
        ]
        m.d.settle += reset.eq(~counter[-1])
        with m.If(~locked):
            m.d.settle += counter.eq(0)
        with m.Elif(~counter[-1]):
            m.d.settle += counter.eq(counter + 1)
        return m
