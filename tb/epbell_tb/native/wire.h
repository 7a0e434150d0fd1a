// What Python and the wire tier have in common; wire.py has the same layout.
// SPDX-License-Identifier: BSD-2-Clause
#ifndef EPBELL_WIRE_H
#define EPBELL_WIRE_H

#include <cstdint>

extern "C" {

// One beat for CQ or RC.
struct WireBeat {
    uint32_t gap;  // clocks without tvalid before it
    uint32_t keep, last;
    uint32_t user[6], data[16];
};
static_assert(sizeof(WireBeat) == 100, "wire.py has BEAT");

// One access of the CPU.
struct WireAccess {
    uint32_t write, address, data, strobes;
    uint32_t gap;  // clocks before it
};
static_assert(sizeof(WireAccess) == 20, "wire.py has five words");

// Kinds of events: a beat that was accepted, a clock without tvalid within a packet of CC or RQ, an access of the CPU that
// was handed over, one that was answered, an edge of an interrupt line.
enum WireKind {
    WIRE_CQ, WIRE_CC, WIRE_RQ, WIRE_RC, WIRE_CC_PAUSE, WIRE_RQ_PAUSE,
    WIRE_WRITE, WIRE_WRITTEN, WIRE_READ, WIRE_DATA, WIRE_IRQ_MU, WIRE_IRQ_EDMA
};

// What happened in a clock; the log is a row of these.
struct WireEvent {
    uint64_t clock;
    uint64_t since;     // of beats: the clock from which on it was offered; of answers: in which it was handed over
    uint32_t kind;
    uint32_t value[3];  // of accesses: address, data, strobes or response; of interrupts: the level of each line
    uint32_t keep, last;
    uint32_t user[6], data[16];
};
static_assert(sizeof(WireEvent) == 128, "wire.py has _EVENT");

// What ends a run: everything that was queued has been accepted and answered, the CPU has nothing to do, a line is high,
// a request has ended on RQ. From bit 8 on: so many packets that have ended on CC.
enum WireUntil { WIRE_PLAYED = 1, WIRE_ANSWERED = 2, WIRE_ON_MU = 4, WIRE_ON_EDMA = 8, WIRE_ASKED = 16 };

void* wire_new(void);
void wire_free(void* wire);
// Look at an output as it was in the last clock.
void wire_get(void* wire, uint32_t word, uint32_t* values, uint32_t words);
// Queue beats for CQ or RC, accesses.
void wire_send(void* wire, uint32_t kind, const WireBeat* beats, uint64_t count);
void wire_ask(void* wire, const WireAccess* accesses, uint64_t count);
// Let tready of CC and RQ fall at random: in so many clocks of 256.
void wire_stall(void* wire, uint32_t seed, uint32_t of_256);
// Let clocks pass, at most so many, and fewer when the log has become long: it is to be read then. Returns 0, 1 if what
// was asked for has happened, or 2 if the clock has stopped.
int wire_run(void* wire, uint64_t clocks, uint64_t until);
// The clock; the log, and forgetting it.
uint64_t wire_clock(void* wire);
uint64_t wire_log(void* wire, const WireEvent** events);
void wire_forget(void* wire);
}

#endif
