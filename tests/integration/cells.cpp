// Drives the module `top` of test_cells.py with random inputs; returns the clocks in which cells and RTL differed.
#include <cstdint>
#include <random>

#include "Vtop.h"
#include "config.h"

double sc_time_stamp() { return 0; }

extern "C" int64_t cells_differ(int64_t clocks) {
    std::mt19937_64 random;
    Vtop top;
    int64_t differ = 0;
    for (int64_t clock = 0; clock < clocks; ++clock) {
        top.clk = 0;
        top.rst = clock < 4;
        top.x = random();
        top.eval();
        differ += clock >= 8 && top.differ;
        top.clk = 1;
        top.eval();
    }
    return differ;
}
