// Added to core.cpp or device.cpp in a build with coverage: writes the counters; low levels on the serial line.
#include "verilated_cov.h"

extern "C" {

void coverage_write(const char* path) { Verilated::threadContextp()->coveragep()->write(path); }

#ifdef TOGGLE_DEVICE
// Holds the line to the device low for some clocks and then high for as many: noise, framing errors, a break.
void device_low(void* handle, int64_t clocks) {
    auto& device = *static_cast<Device*>(handle);
    for (int64_t i = 0; i < 2 * clocks; ++i) {
        device.top.rx = i >= clocks;
        device.tick();
        device.sample();
    }
}
#endif
}
