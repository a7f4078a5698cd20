// Harness around the verilated core: bus accesses and time steps with a loop in C++, and a record of every word that the
// observation port retires. Constants come from config.h, which sim/compiled.py writes from the configuration.
#include <cstdint>
#include <cstring>

#include "Vtop.h"
#include "config.h"

double sc_time_stamp() { return 0; }

namespace {

// Bits [low, low + width) of a port, whatever type verilator gave it.
template <typename Port>
int64_t bits(const Port& port, int low, int width, bool is_signed) {
    uint64_t value = 0;
    if constexpr (std::is_integral_v<Port>) {
        value = static_cast<uint64_t>(port) >> low;
    } else {
        for (int got = 0; got < width;) {
            const int at = low + got, offset = at % 32;
            value |= static_cast<uint64_t>(port[at / 32] >> offset) << got;
            got += 32 - offset;
        }
    }
    if (width < 64) value &= (uint64_t{1} << width) - 1;
    if (is_signed && (value >> (width - 1) & 1)) value |= ~uint64_t{0} << (width - 1);
    return static_cast<int64_t>(value);
}

enum Kind { TRACE, WEIGHT, FILTER, CURRENT, MEMBRANE, SPIKE, SURROGATE, GAIN, FILTER_TRACE, ADAPT_TRACE, DELTA, RATE_STEP,
            SCORE, CONSTANT, RNG, UPDATES, MEAN_ERROR };

struct Record {
    int32_t kind, layer, post, pre;
    int64_t value;
};

constexpr int LIMIT = 200'000'000;  // clocks after which a step counts as hung

struct Core {
    Vtop top;
    uint64_t clocks = 0, step_clocks = 0;
    Record* out = nullptr;
    int64_t count = 0, room = 0;

    void tick() {
        top.clk = 0;
        top.eval();
        top.clk = 1;
        top.eval();
        ++clocks;
    }
    // Inputs that change after the rising edge need one more evaluation before outputs are read.
    void settle() { top.eval(); }

    void put(int kind, int layer, int post, int pre, int64_t value) {
        if (count < room) out[count] = Record{kind, layer, post, pre, value};
        ++count;
    }

    void observe() {
        if (top.observe___05Ftrace || top.observe___05Fupdate) {
            const int layer = top.observe___05Flayer, block = top.observe___05Fblock, pre = top.observe___05Fpre;
            for (int lane = 0; lane < LANES; ++lane) {
                const int post = block * LANES + lane, low = lane * (WEIGHT_BITS + TRACE_BITS);
                if (post >= POSTS[layer]) break;
                if (top.observe___05Ftrace)
                    put(TRACE, layer, post, pre, bits(top.observe___05Fwords, low + WEIGHT_BITS, TRACE_BITS, true));
                else
                    put(WEIGHT, layer, post, pre, bits(top.observe___05Fwords, low, WEIGHT_BITS, true));
            }
        }
        if (top.observe___05Ffilter) {
            const int layer = top.observe___05Ffilter_layer;
            for (int bank = 0; bank < FILTER_BANKS; ++bank) {
                const int group = top.observe___05Ffilter_block * FILTER_BANKS + bank;
                if (group < GROUPS && group < POSTS[layer])
                    put(FILTER, layer, group, top.observe___05Ffilter_pre,
                        bits(top.observe___05Ffilter_words, bank * TRACE_BITS, TRACE_BITS, true));
            }
        }
        if (top.observe___05Fneuron) {
            int low = 0;
            for (int field = 0; field < 7; ++field) {
                put(CURRENT + field, top.observe___05Fneuron_layer, top.observe___05Fneuron_post, 0,
                    bits(top.observe___05Fneuron_word, low, NEURON_BITS[field], NEURON_SIGNED[field]));
                low += NEURON_BITS[field];
            }
        }
        if (top.observe___05Ferror) {
            const int layer = top.observe___05Ferror_layer, post = top.observe___05Ferror_post;
            put(DELTA, layer, post, 0, bits(top.observe___05Fdelta, 0, DELTA_BITS, true));
            put(RATE_STEP, layer, post, 0, bits(top.observe___05Frate_step, 0, RATE_STEP_BITS, true));
        }
        if (top.observe___05Fmean)
            put(MEAN_ERROR, top.observe___05Ferror_layer, top.observe___05Ferror_post, 0,
                bits(top.observe___05Fmean_error, 0, MEAN_ERROR_BITS, false));
        if (top.observe___05Fscore)
            put(SCORE, DEPTH - 1, top.observe___05Fscore_post, 0, bits(top.observe___05Fscore_value, 0, SCORE_BITS, true));
        if (top.observe___05Fadapt)
            put(CONSTANT, top.observe___05Fadapt_index / GROUPS, top.observe___05Fadapt_index % GROUPS, 0,
                top.observe___05Fadapt_value);
        if (top.observe___05Fstep) {
            put(RNG, 0, 0, 0, top.observe___05Frng);
            put(UPDATES, 0, 0, 0, top.observe___05Fupdates);
        }
    }
};

}  // namespace

extern "C" {

void* core_new() {
    auto* core = new Core;
    core->top.rst = 1;
    for (int i = 0; i < 4; ++i) core->tick();
    core->top.rst = 0;
    core->tick();
    return core;
}

void core_delete(void* handle) { delete static_cast<Core*>(handle); }

uint64_t core_clocks(void* handle) { return static_cast<Core*>(handle)->clocks; }

// Clocks of the last step, from the command to the end of busy.
uint64_t core_step_clocks(void* handle) { return static_cast<Core*>(handle)->step_clocks; }

// One bus access; returns the status, or -1 if it hangs.
int core_bus(void* handle, int write, int space, uint32_t index, uint32_t data, uint32_t* answer) {
    auto& core = *static_cast<Core*>(handle);
    auto& top = core.top;
    top.bus___05Fvalid = 1;
    top.bus___05Fwrite = write;
    top.bus___05Fspace = space;
    top.bus___05Findex = index;
    top.bus___05Fdata = data;
    for (int i = 0; i < 10000; ++i) {
        core.settle();
        if (top.bus___05Fdone) {
            *answer = top.bus___05Fanswer;
            const int status = top.bus___05Fstatus;
            core.tick();
            top.bus___05Fvalid = 0;
            core.tick();
            return status;
        }
        core.tick();
    }
    top.bus___05Fvalid = 0;
    return -1;
}

// One time step; returns the number of records, or -1 if the core hangs. Records beyond `room` are counted, not kept.
int64_t core_step(void* handle, const int8_t* inputs, const int16_t* targets, int reset, int learn, int adapt, int label,
                  Record* records, int64_t room) {
    auto& core = *static_cast<Core*>(handle);
    auto& top = core.top;
    core.out = records;
    core.room = room;
    core.count = 0;
    for (int i = 0; i < INPUTS; ++i) {
        top.inputs___05Fvalid = 1;
        top.inputs___05Fpayload = static_cast<uint8_t>(inputs[i]);
        core.tick();
    }
    top.inputs___05Fvalid = 0;
    if (targets)
        for (int i = 0; i < OUTPUTS; ++i) {
            top.targets___05Fvalid = 1;
            top.targets___05Fpayload = static_cast<uint16_t>(targets[i]);
            core.tick();
        }
    top.targets___05Fvalid = 0;
    top.command___05Fvalid = 1;
    top.command___05Fpayload = reset | learn << 1 | adapt << 2 | label << 3;
    core.tick();
    top.command___05Fvalid = 0;
    const uint64_t start = core.clocks;
    for (int i = 0; i < LIMIT; ++i) {
        core.settle();
        core.observe();
        if (!top.busy) {
            core.step_clocks = core.clocks - start;
            return core.count;
        }
        core.tick();
    }
    return -1;
}
}
