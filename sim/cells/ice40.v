// Simulation models of iCE40 pads; all other cells are yosys' own models. Verilator has no three-state drivers inside a
// design, so sim/netlist.py renames the pads by their direction.

module SB_IO_IN #(parameter PIN_TYPE = 0, PULLUP = 0, IO_STANDARD = "") (
  input PACKAGE_PIN, CLOCK_ENABLE, output D_IN_0
);
  assign D_IN_0 = PACKAGE_PIN;
endmodule

module SB_GB_IO_IN #(parameter PIN_TYPE = 0, PULLUP = 0, IO_STANDARD = "") (
  input PACKAGE_PIN, CLOCK_ENABLE, output GLOBAL_BUFFER_OUTPUT
);
  assign GLOBAL_BUFFER_OUTPUT = PACKAGE_PIN;
endmodule

module SB_IO_OUT #(parameter PIN_TYPE = 0, PULLUP = 0, IO_STANDARD = "") (
  output PACKAGE_PIN, input CLOCK_ENABLE, D_OUT_0, OUTPUT_ENABLE
);
  assign PACKAGE_PIN = D_OUT_0;
endmodule
