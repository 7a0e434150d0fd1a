// Coverage counters of a simulator that forks: a fork hands its own on to its parent, which writes the records of all.
//
// Verilator has no call for that: it writes records at the end of a process, and only there. A parent waits for its fork
// and counts nothing meanwhile, so what it takes over is its own counts and those of the fork.

#include <cstdint>
#include <cstdio>

#include "Vtop__Syms.h"
#include "verilated_syms.h"

static Vtop__Syms* design() {
    for (const auto& scope : *Verilated::threadContextp()->scopeNameMap()) {
        return static_cast<Vtop__Syms*>(scope.second->symsp());
    }
    return nullptr;
}

static bool move(const char* path, const char* mode) {
    Vtop__Syms* const symbols = design();
    std::FILE* const file = symbols ? std::fopen(path, mode) : nullptr;
    if (!file) return false;
    auto& counters = symbols->__Vcoverage;
    const std::size_t moved = *mode == 'w' ? std::fwrite(counters, 1, sizeof counters, file)
                                           : std::fread(counters, 1, sizeof counters, file);
    return (std::fclose(file) == 0) && moved == sizeof counters;
}

extern "C" bool epbell_coverage_save(const char* path) { return move(path, "w"); }
extern "C" bool epbell_coverage_load(const char* path) { return move(path, "r"); }
