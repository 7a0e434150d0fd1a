// What Python and the metal tier have in common; metal.py has the same layout.
// SPDX-License-Identifier: BSD-2-Clause
#ifndef EPBELL_METAL_H
#define EPBELL_METAL_H

#include <cstdint>

extern "C" {

// Addresses and times; all clocks are those of the endpoint.
struct MetalSetup {
    uint32_t mu_bar, mu_bar_base, edma_bar, edma_bar_base;  // BARs and their addresses on the PCI bus
    uint32_t tr[4], rr[4], rsr;                             // doorbell words (offset in the BAR), words and flags (CPU)
    uint32_t edma_bell[2], edma_clear[2];                   // doorbell words (offset in the BAR), acknowledges (CPU)
    uint32_t mu_aim[2], edma_aim[2];                        // registers LOWER_TARGET and CTRL2 of the windows
    uint32_t mu_home, edma_home, nowhere;                   // targets: the blocks, and an address with nothing behind it
    uint32_t mu_ctrl2, edma_ctrl2;                          // values of CTRL2
    uint32_t rung[4], merged[4], delivered[4];              // counters
    uint32_t edma_rung, edma_merged, edma_delivered;        // counters
    uint32_t refused, silent[4];                            // counters; the last ones must stay zero
    uint32_t read_offset;                                   // word in the BAR of the Messaging Unit for reads
    uint32_t seed;                                          // of the delays below
    uint32_t ack_delay;                                     // clocks from an interrupt to its handler, 0 to this
    uint32_t aim_every;                                     // rings between two re-targets; 0: never
    uint32_t away_for;                                      // rings for which a window is aimed at nothing
};

// What has been counted since the beginning.
struct MetalCounts {
    uint64_t clocks, requests, reads;
    uint64_t rung, kicked, refused;        // rings that reached the Messaging Unit, the eDMA, and nothing
    uint64_t delivered, acknowledged;      // words that the CPU took, eDMA doorbells that it acknowledged
    uint64_t merged, edma_merged;          // rings that another one followed before the CPU came
    uint64_t interrupts, edma_interrupts;  // rising edges
    uint64_t retargets, moving;            // re-targets; rings that were on their way meanwhile
    uint64_t lost, invented;               // rings that no target has seen, rings or words that nobody sent; must be 0
    uint64_t late, wrong;                  // lines that did not follow in time, other differences; must be 0
};

// 32 bits of a batch: bits 1:0 doorbell, bit 2 eDMA, bit 3 a read instead, bits 31:8 idle clocks before it.
typedef uint32_t MetalOp;

void* metal_new(const MetalSetup* setup);
void metal_free(void* metal);
// Run CPU writes, address and data in turn, one after the other.
int metal_write(void* metal, const uint32_t* pairs, uint64_t writes);
// Run a batch to its end, until everything is quiet; then compare the endpoint's counters with what was counted here.
// Returns 0, or 1 if the endpoint stopped answering.
int metal_run(void* metal, const MetalOp* ops, uint64_t count);
// Let clocks pass with nothing to do.
int metal_idle(void* metal, uint64_t clocks);
// Let clocks pass in which nobody calls the model, with one ring in each of them or with none: what the design itself
// can do. Nothing is checked, and what has been counted before is worth nothing afterwards.
int metal_alone(void* metal, uint64_t clocks, int ring);
void metal_counts(void* metal, MetalCounts* counts);
// The first complaint, or an empty text.
const char* metal_complaint(void* metal);
}

#endif
