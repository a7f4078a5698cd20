// The device's harness with one function more, for a host that hears of a reply some time after its last byte.
#include "device.cpp"

extern "C" {

// Runs until a zero byte arrives, `room` bytes are there, or the clock has come to `clock`. Returns the bytes received.
int64_t device_until(void* handle, uint8_t* out, int64_t room, uint64_t clock) {
    auto& device = *static_cast<Device*>(handle);
    int64_t count = 0;
    while (device.clocks < clock && count < room) {
        const int got = device.drive_and_tick();
        if (got < 0) continue;
        out[count++] = static_cast<uint8_t>(got);
        if (got == 0) break;
    }
    return count;
}
}
