// Harness around the verilated device: bytes in and out, the clock loop in C++. The bytes go through the serial pins,
// or with BYTES through the byte streams below them.
#include <cstdint>
#include <deque>

#include "Vtop.h"
#include "config.h"

double sc_time_stamp() { return 0; }

namespace {

#ifdef BYTES

// A byte in each direction per clock, if the other end takes it.
struct Line {
    bool offered = false;

    // Without a reset: the design starts from its initial values.
    void start(Vtop& top, bool) {
        top.i___05Fvalid = 0;
        top.o___05Fready = 1;
    }

    // Before the edge of the clock: offer the next byte.
    void drive(Vtop& top, std::deque<uint8_t>& waiting) {
        offered = !waiting.empty();
        top.i___05Fvalid = offered;
        if (offered) top.i___05Fpayload = waiting.front();
    }

    // Before the edge, on which ready and valid do not depend: the byte that the device gives at the edge, or -1.
    int before(Vtop& top, std::deque<uint8_t>& waiting) {
        if (offered && top.i___05Fready) waiting.pop_front();
        return top.o___05Fvalid ? top.o___05Fpayload : -1;
    }

    int after(Vtop&) { return -1; }

    bool sending() const { return false; }

    void low(Vtop& top, bool) { top.i___05Fvalid = offered = false; }
};

#else

struct Line {
    // line to the device: frame of start bit, 8 data bits, stop bit
    uint32_t frame = 0;
    int bits_left = 0, send_phase = 0;
    // line from the device
    int receive_bit = -1, receive_phase = 0;
    uint8_t byte = 0;

    void start(Vtop& top, bool reset) {
        top.rx = 1;
        top.rst = reset;
    }

    void drive(Vtop& top, std::deque<uint8_t>& waiting) {
        if (send_phase > 0) {
            --send_phase;
            return;
        }
        if (bits_left == 0) {
            if (waiting.empty()) {
                top.rx = 1;
                return;
            }
            frame = uint32_t{waiting.front()} << 1 | 0x200;
            waiting.pop_front();
            bits_left = 10;
        }
        top.rx = frame & 1;
        frame >>= 1;
        --bits_left;
        send_phase = DIVISOR - 1;
    }

    int before(Vtop&, std::deque<uint8_t>&) { return -1; }

    // One received byte, or -1.
    int after(Vtop& top) {
        if (receive_bit < 0) {
            if (!top.tx) {
                receive_bit = 0;
                receive_phase = DIVISOR + DIVISOR / 2 - 1;
            }
            return -1;
        }
        if (receive_phase-- > 0) return -1;
        receive_phase = DIVISOR - 1;
        if (receive_bit < 8) {
            byte = static_cast<uint8_t>(byte >> 1 | (top.tx ? 0x80 : 0));
            ++receive_bit;
            return -1;
        }
        receive_bit = -1;
        return top.tx ? byte : -1;
    }

    bool sending() const { return bits_left != 0; }

    void low(Vtop& top, bool level) { top.rx = !level; }
};

#endif

struct Device {
    Vtop top;
    uint64_t clocks = 0;
    std::deque<uint8_t> waiting;
    Line line;

    // One clock; a received byte, or -1.
    int tick() {
        top.clk = 0;
        top.eval();
        const int early = line.before(top, waiting);
        top.clk = 1;
        top.eval();
        ++clocks;
        const int late = line.after(top);
        return early < 0 ? late : early;
    }

    int drive_and_tick() {
        line.drive(top, waiting);
        return tick();
    }
};

}  // namespace

extern "C" {

void* device_new() {
    auto* device = new Device;
    device->line.start(device->top, true);
    for (int i = 0; i < 4; ++i) device->tick();
    device->line.start(device->top, false);
    for (int i = 0; i < 2 * DIVISOR; ++i) device->tick();
    return device;
}

void device_delete(void* handle) { delete static_cast<Device*>(handle); }

uint64_t device_clocks(void* handle) { return static_cast<Device*>(handle)->clocks; }

void device_send(void* handle, const uint8_t* data, int64_t count) {
    auto& device = *static_cast<Device*>(handle);
    device.waiting.insert(device.waiting.end(), data, data + count);
}

// Holds the line to the device low for some clocks and then high for as many: noise, framing errors, a break.
void device_low(void* handle, int64_t clocks) {
    auto& device = *static_cast<Device*>(handle);
    for (int64_t i = 0; i < 2 * clocks; ++i) {
        device.line.low(device.top, i < clocks);
        device.tick();
    }
}

// Runs so many clocks; bytes from the device are lost.
void device_run(void* handle, int64_t clocks) {
    auto& device = *static_cast<Device*>(handle);
    for (int64_t i = 0; i < clocks; ++i) device.drive_and_tick();
}

// Runs until a zero byte (end of a frame) arrives, `room` bytes are there, or `limit` clocks passed without a byte in
// either direction. Returns the bytes received.
int64_t device_receive(void* handle, uint8_t* out, int64_t room, uint64_t limit) {
    auto& device = *static_cast<Device*>(handle);
    int64_t count = 0;
    for (uint64_t quiet = 0; quiet < limit && count < room; ++quiet) {
        const int got = device.drive_and_tick();
        if (!device.waiting.empty() || device.line.sending()) quiet = 0;
        if (got < 0) continue;
        out[count++] = static_cast<uint8_t>(got);
        quiet = 0;
        if (got == 0) break;
    }
    return count;
}
}
