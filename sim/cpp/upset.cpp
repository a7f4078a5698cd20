// The device with its memories within reach: bits that a particle would flip.
#include <cstring>

#include "Vtop___024root.h"
#include "device.cpp"

namespace {

struct Named {
    const char* name;
    void* words;
    uint64_t word_bytes, depth;
};

// Flips a bit of a word; whether there is such a bit.
bool flip(const Named& memory, uint64_t address, uint64_t bit) {
    if (address >= memory.depth || bit >= 8 * memory.word_bytes) return false;
    static_cast<uint8_t*>(memory.words)[address * memory.word_bytes + bit / 8] ^= 1 << bit % 8;
    return true;
}

}  // namespace

extern "C" {

int device_flip(void* handle, const char* name, uint64_t address, uint64_t bit) {
    auto& root = *static_cast<Device*>(handle)->top.rootp;
    // A line per memory of the design, from sim/build.py: its name, its words, their size and number.
    const Named memories[] = {
#include "memories.h"
    };
    for (const auto& memory : memories)
        if (!std::strcmp(memory.name, name)) return flip(memory, address, bit);
    return false;
}
}
