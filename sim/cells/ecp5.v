// Simulation models of the ECP5 cells that yosys knows as black boxes only; all others are yosys' own models.
//
// Written from Lattice's usage guides of ECP5 memory (FPGA-TN-02204) and sysDSP (FPGA-TN-02205). Only what synth_ecp5
// uses is modelled: for another mode elaboration stops at a module that does not exist. tests/integration/test_cells.py
// compares memories and products made of these cells with the RTL that they were made from.

// 18 kbit block RAM with two ports, each 1, 2, 4, 9, 18 or 36 bits wide. A port of 36 bits takes the data pins of both.
//
// What a port reads of a word that the other port writes in the same clock is not defined. The bits that are being
// written read inverted here, so that a design that uses them is found out.
module DP16KD (
  input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9,
  input DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0,
  input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
  input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
  output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9,
  output DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0,
  input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9,
  input DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0,
  input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
  input CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
  output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9,
  output DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0
);
  parameter integer DATA_WIDTH_A = 18, DATA_WIDTH_B = 18;
  parameter REGMODE_A = "NOREG", REGMODE_B = "NOREG", RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC";
  parameter CSDECODE_A = "0b000", CSDECODE_B = "0b000", WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL";
  parameter CLKAMUX = "CLKA", CLKBMUX = "CLKB", GSR = "ENABLED";
  parameter [319:0] INITVAL_00 = 0, INITVAL_01 = 0, INITVAL_02 = 0, INITVAL_03 = 0;
  parameter [319:0] INITVAL_04 = 0, INITVAL_05 = 0, INITVAL_06 = 0, INITVAL_07 = 0;
  parameter [319:0] INITVAL_08 = 0, INITVAL_09 = 0, INITVAL_0A = 0, INITVAL_0B = 0;
  parameter [319:0] INITVAL_0C = 0, INITVAL_0D = 0, INITVAL_0E = 0, INITVAL_0F = 0;
  parameter [319:0] INITVAL_10 = 0, INITVAL_11 = 0, INITVAL_12 = 0, INITVAL_13 = 0;
  parameter [319:0] INITVAL_14 = 0, INITVAL_15 = 0, INITVAL_16 = 0, INITVAL_17 = 0;
  parameter [319:0] INITVAL_18 = 0, INITVAL_19 = 0, INITVAL_1A = 0, INITVAL_1B = 0;
  parameter [319:0] INITVAL_1C = 0, INITVAL_1D = 0, INITVAL_1E = 0, INITVAL_1F = 0;
  parameter [319:0] INITVAL_20 = 0, INITVAL_21 = 0, INITVAL_22 = 0, INITVAL_23 = 0;
  parameter [319:0] INITVAL_24 = 0, INITVAL_25 = 0, INITVAL_26 = 0, INITVAL_27 = 0;
  parameter [319:0] INITVAL_28 = 0, INITVAL_29 = 0, INITVAL_2A = 0, INITVAL_2B = 0;
  parameter [319:0] INITVAL_2C = 0, INITVAL_2D = 0, INITVAL_2E = 0, INITVAL_2F = 0;
  parameter [319:0] INITVAL_30 = 0, INITVAL_31 = 0, INITVAL_32 = 0, INITVAL_33 = 0;
  parameter [319:0] INITVAL_34 = 0, INITVAL_35 = 0, INITVAL_36 = 0, INITVAL_37 = 0;
  parameter [319:0] INITVAL_38 = 0, INITVAL_39 = 0, INITVAL_3A = 0, INITVAL_3B = 0;
  parameter [319:0] INITVAL_3C = 0, INITVAL_3D = 0, INITVAL_3E = 0, INITVAL_3F = 0;

  generate
    if (CSDECODE_A != "0b000" || CSDECODE_B != "0b000" ||
        WRITEMODE_A == "WRITETHROUGH" || WRITEMODE_B == "WRITETHROUGH" || CLKAMUX != "CLKA" || CLKBMUX != "CLKB")
      DP16KD_MODE_IS_NOT_MODELLED unknown ();
  endgenerate

  // Bytes of nine bits; widths below 9 see the lower eight of each.
  reg [8:0] bytes [0:2047];
  localparam [64*320-1:0] INIT = {
    INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39, INITVAL_38,
    INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32, INITVAL_31, INITVAL_30,
    INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C, INITVAL_2B, INITVAL_2A, INITVAL_29, INITVAL_28,
    INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24, INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20,
    INITVAL_1F, INITVAL_1E, INITVAL_1D, INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18,
    INITVAL_17, INITVAL_16, INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10,
    INITVAL_0F, INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08,
    INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01, INITVAL_00
  };
  integer i;
  initial
    for (i = 0; i < 1024; i = i + 1) begin
      bytes[2*i] = INIT[20*i +: 9];
      bytes[2*i + 1] = INIT[20*i + 9 +: 9];
    end

  wire [13:0] ada = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
  wire [13:0] adb = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};
  wire [17:0] dia = {
    DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9,
    DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0
  };
  wire [17:0] dib = {
    DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9,
    DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0
  };

  // First of the up to four bytes of a word.
  function [10:0] start(input integer width, input [13:0] address);
    start = width == 36 ? {address[13:5], 2'd0} : width == 18 ? {address[13:4], 1'd0} : address[13:3];
  endfunction

  // Bit of a word narrower than a byte in its byte.
  function [2:0] offset(input integer width, input [13:0] address);
    offset = width == 4 ? {address[2], 2'd0} : width == 2 ? {address[2:1], 1'd0} : width == 1 ? address[2:0] : 3'd0;
  endfunction

  // Bits that a write changes. Where a word has several bytes, the unused address bits select them.
  function [35:0] selected(input integer width, input [13:0] address);
    case (width)
      36: selected = {{9{address[3]}}, {9{address[2]}}, {9{address[1]}}, {9{address[0]}}};
      18: selected = {18'd0, {9{address[1]}}, {9{address[0]}}};
      default: selected = ((36'd1 << width) - 36'd1) << offset(width, address);
    endcase
  endfunction

  wire [10:0] start_a = start(DATA_WIDTH_A, ada), start_b = start(DATA_WIDTH_B, adb);
  wire [2:0] offset_a = offset(DATA_WIDTH_A, ada), offset_b = offset(DATA_WIDTH_B, adb);
  wire [35:0] data_a = (DATA_WIDTH_A == 36 ? {dib, dia} : {18'd0, dia}) << offset_a;
  wire [35:0] data_b = (DATA_WIDTH_B == 36 ? {dib, dia} : {18'd0, dib}) << offset_b;
  wire [35:0] mask_a = CEA & WEA & ~RSTA ? selected(DATA_WIDTH_A, ada) : 36'd0;
  wire [35:0] mask_b = CEB & WEB & ~RSTB ? selected(DATA_WIDTH_B, adb) : 36'd0;

  // A byte as a port reads it while the other port writes the bits of `mask`, from byte `other` on.
  function [8:0] seen(input [10:0] at, input [10:0] other, input [35:0] mask);
    reg [10:0] distance;
    begin
      distance = at - other;
      seen = bytes[at];
      if (distance < 4) seen = seen ^ mask[9*distance[1:0] +: 9];
    end
  endfunction

  function [35:0] read(input integer width, input [10:0] at, input [2:0] shift, input [10:0] other, input [35:0] mask);
    begin
      read = 36'd0;
      read[8:0] = seen(at, other, mask);
      if (width >= 18) read[17:9] = seen(at + 11'd1, other, mask);
      if (width == 36) read[35:18] = {seen(at + 11'd3, other, mask), seen(at + 11'd2, other, mask)};
      if (width < 9) read = (read >> shift) & ((36'd1 << width) - 36'd1);
    end
  endfunction

  reg [35:0] a = 36'd0, b = 36'd0;
  integer j, k;
  // RESETMODE does not matter: synth_ecp5 ties a reset to 0 or resets in the clock.
  always @(posedge CLKA) begin
    if (RSTA) a <= 36'd0;
    else if (CEA && (!WEA || WRITEMODE_A == "READBEFOREWRITE"))
      a <= read(DATA_WIDTH_A, start_a, offset_a, start_b, mask_b);
    for (j = 0; j < 4; j = j + 1)
      if (mask_a[9*j +: 9] != 9'd0)
        bytes[start_a + j] <= (bytes[start_a + j] & ~mask_a[9*j +: 9]) | (data_a[9*j +: 9] & mask_a[9*j +: 9]);
  end
  always @(posedge CLKB) begin
    if (RSTB) b <= 36'd0;
    else if (CEB && (!WEB || WRITEMODE_B == "READBEFOREWRITE"))
      b <= read(DATA_WIDTH_B, start_b, offset_b, start_a, mask_a);
    for (k = 0; k < 4; k = k + 1)
      if (mask_b[9*k +: 9] != 9'd0)
        bytes[start_b + k] <= (bytes[start_b + k] & ~mask_b[9*k +: 9]) | (data_b[9*k +: 9] & mask_b[9*k +: 9]);
  end

  // Output registers, which boards/hard_registers.py takes into use.
  reg [35:0] a_late = 36'd0, b_late = 36'd0;
  always @(posedge CLKA) if (RSTA) a_late <= 36'd0; else if (OCEA) a_late <= a;
  always @(posedge CLKB) if (RSTB) b_late <= 36'd0; else if (OCEB) b_late <= b;
  wire [35:0] out_a = REGMODE_A == "OUTREG" ? a_late : a;
  wire [35:0] out_b = REGMODE_B == "OUTREG" ? b_late : b;

  assign {
    DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9,
    DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0
  } = DATA_WIDTH_B == 36 ? out_b[17:0] : out_a[17:0];
  assign {
    DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9,
    DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0
  } = DATA_WIDTH_A == 36 && DATA_WIDTH_B == 36 ? out_b[35:18] : out_b[17:0];
endmodule

// Multiplier of 18 x 18 bits, each operand signed or unsigned; registers of both operands and of the product as
// boards/hard_registers.py takes them into use, all with clock CLK0, CE0 and RST0.
module MULT18X18D (
  input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
  input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
  input C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
  input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, RST0,
  output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24,
  output P23, P22, P21, P20, P19, P18, P17, P16, P15, P14, P13, P12,
  output P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
  parameter REG_INPUTA_CLK = "NONE", REG_INPUTA_CE = "CE0", REG_INPUTA_RST = "RST0";
  parameter REG_INPUTB_CLK = "NONE", REG_INPUTB_CE = "CE0", REG_INPUTB_RST = "RST0";
  parameter REG_OUTPUT_CLK = "NONE", REG_OUTPUT_CE = "CE0", REG_OUTPUT_RST = "RST0", RESETMODE = "SYNC";
  generate
    if ((REG_INPUTA_CLK != "NONE" && REG_INPUTA_CLK != "CLK0") || (REG_INPUTB_CLK != "NONE" && REG_INPUTB_CLK != "CLK0") ||
        (REG_OUTPUT_CLK != "NONE" && REG_OUTPUT_CLK != "CLK0") || RESETMODE != "SYNC")
      MULT18X18D_MODE_IS_NOT_MODELLED unknown ();
  endgenerate

  wire [18:0] a = {
    SIGNEDA & A17,
    A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0
  };
  wire [18:0] b = {
    SIGNEDB & B17,
    B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0
  };
  reg [18:0] a_late = 19'd0, b_late = 19'd0;
  always @(posedge CLK0) if (RST0) a_late <= 19'd0; else if (CE0) a_late <= a;
  always @(posedge CLK0) if (RST0) b_late <= 19'd0; else if (CE0) b_late <= b;
  wire signed [18:0] left = REG_INPUTA_CLK == "NONE" ? a : a_late;
  wire signed [18:0] right = REG_INPUTB_CLK == "NONE" ? b : b_late;
  wire signed [37:0] product = left * right;
  reg [35:0] product_late = 36'd0;
  always @(posedge CLK0) if (RST0) product_late <= 36'd0; else if (CE0) product_late <= product[35:0];
  assign {
    P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24,
    P23, P22, P21, P20, P19, P18, P17, P16, P15, P14, P13, P12,
    P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
  } = REG_OUTPUT_CLK == "NONE" ? product[35:0] : product_late;
endmodule

// Global reset after configuration: flip-flops begin with their initial value in simulation anyway.
module SGSR (input GSR, CLK);
endmodule

// Pads. Verilator has no three-state drivers inside a design, so sim/netlist.py renames the pads by their direction.
module TRELLIS_IO_IN #(parameter DIR = "INPUT") (input B, output O);
  assign O = B;
endmodule

module TRELLIS_IO_OUT #(parameter DIR = "OUTPUT") (output B, input I, T);
  assign B = I;
endmodule
