// Harness around any verilated design: one row of input words per clock, chosen output words back. Words have at most
// 64 bits; config.h, which the caller writes, names the ports: INPUT_PORTS(X) and OUTPUT_PORTS(X) with
// X(index, port, width, is_signed).
#include <cstdint>

#include "Vtop.h"
#include "config.h"

double sc_time_stamp() { return 0; }

namespace {

struct Rows {
    Vtop top;
};

template <typename Port>
void put(Port& port, int64_t value, int width) {
    const uint64_t mask = width < 64 ? (uint64_t{1} << width) - 1 : ~uint64_t{0};
    port = static_cast<Port>(static_cast<uint64_t>(value) & mask);
}

int64_t extended(uint64_t value, int width, bool is_signed) {
    if (is_signed && width < 64 && (value >> (width - 1) & 1)) value |= ~uint64_t{0} << width;
    return static_cast<int64_t>(value);
}

void set(Vtop& top, int index, int64_t value) {
    switch (index) {
#define PORT(number, name, width, is_signed) \
    case number:                             \
        put(top.name, value, width);         \
        break;
        INPUT_PORTS(PORT)
#undef PORT
    }
}

int64_t get(Vtop& top, int index) {
    switch (index) {
#define PORT(number, name, width, is_signed) \
    case number:                             \
        return extended(top.name, width, is_signed);
        OUTPUT_PORTS(PORT)
#undef PORT
    }
    return 0;
}

}  // namespace

extern "C" {

void* rows_new() {
    auto* rows = new Rows;
    rows->top.rst = 1;
    for (int i = 0; i < 4; ++i) {
        rows->top.clk = 0;
        rows->top.eval();
        rows->top.clk = 1;
        rows->top.eval();
    }
    rows->top.rst = 0;
    return rows;
}

void rows_delete(void* handle) { delete static_cast<Rows*>(handle); }

void rows_set(void* handle, int index, int64_t value) { set(static_cast<Rows*>(handle)->top, index, value); }

// Runs `count` clocks. Column i of `in` holds the words of input in_index[i]; outputs are taken before the clock's edge.
void rows_run(void* handle, int64_t count, int columns, const int* in_index, const int64_t* const* in, int results,
              const int* out_index, int64_t* const* out) {
    auto& top = static_cast<Rows*>(handle)->top;
    for (int64_t row = 0; row < count; ++row) {
        for (int i = 0; i < columns; ++i) set(top, in_index[i], in[i][row]);
        top.clk = 0;
        top.eval();
        for (int i = 0; i < results; ++i) out[i][row] = get(top, out_index[i]);
        top.clk = 1;
        top.eval();
    }
}
}
