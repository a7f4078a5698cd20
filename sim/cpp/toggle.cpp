// Added to core.cpp or device.cpp in a build with coverage: writes the counters.
#include "verilated_cov.h"

extern "C" {

void coverage_write(const char* path) { Verilated::threadContextp()->coveragep()->write(path); }
}
