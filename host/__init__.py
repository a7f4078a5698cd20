"""Host side of solsa: data sets, transports and the command line. Never imports amaranth or the RTL."""
