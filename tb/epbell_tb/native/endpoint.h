// The endpoint in its clock: pins as words, and who is called for them in each clock.
// SPDX-License-Identifier: BSD-2-Clause
#ifndef EPBELL_ENDPOINT_H
#define EPBELL_ENDPOINT_H

#include <cstdint>
#include <deque>
#include <memory>

#include "pins.h"  // written by top.py: SEEN_<output>, DRIVE_<input>: the first word of each pin; SEEN, DRIVE, LANES
#include "verilated.h"

class Vtop;

// Somebody who drives the endpoint's inputs and looks at its outputs.
class Endpoint {
public:
    Endpoint();
    virtual ~Endpoint();
    // Called in each clock after the reset, with what the flip-flops take at its end. What it writes to `drive` is on
    // the inputs in the next one.
    virtual void clock(const uint32_t* seen) = 0;
    // Let clocks pass; false if the clock has stopped.
    bool pass(uint64_t clocks);

    uint32_t drive[DRIVE] = {};
    uint32_t alone = 0;  // clocks for which nobody is called, from the next one on

private:
    std::unique_ptr<VerilatedContext> context;
    std::unique_ptr<Vtop> top;
};

// An access of the endpoint's CPU.
struct Access {
    bool write;
    uint32_t address, data;
    int what;        // for whoever has asked for it
    unsigned index;  // likewise
    uint32_t strobes = 0xF, gap = 0;  // of a write: its bytes; clocks before it
    uint32_t response = 0;
};

// The CPU's bus: accesses one after the other.
class Cpu {
public:
    bool idle() const { return program.empty(); }
    bool waits() const { return busy; }  // for an answer
    void ask(const Access& access) { program.push_back(access); }
    // In each clock; true if an access has been answered, which is then in `done`.
    bool clock(const uint32_t* seen, uint32_t* drive);

    Access done{};
    bool began = false;   // the access `next()` is on the pins for the first time in the next clock
    bool handed = false;  // in this clock the endpoint has taken the access, `done` if it has been answered, else `next()`
    const Access& next() const { return program.front(); }

private:
    std::deque<Access> program;
    bool busy = false, aw = false, w = false, ar = false;
};

#endif
