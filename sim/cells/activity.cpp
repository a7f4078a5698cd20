// Added to device.cpp for a netlist that counts what it does, see sim/activity.py.

extern "C" {

// The counters count while `on`; the clock in which they are turned on is not counted.
void activity_count(void* handle, int on) { static_cast<Device*>(handle)->top.counting = on; }

// 64 bits per counter. They are driven by registers: settled after every clock.
void activity_read(void* handle, uint64_t* out, int counters) {
    auto& counts = static_cast<Device*>(handle)->top.counts;
    for (int i = 0; i < counters; ++i) out[i] = uint64_t{counts[2 * i + 1]} << 32 | counts[2 * i];
}
}
