// The endpoint in its clock, and its CPU's bus.
// SPDX-License-Identifier: BSD-2-Clause
#include "endpoint.h"

#include <cstring>

#include "Vtop.h"
#include "svdpi.h"

namespace {

constexpr uint64_t PERIOD = 4;  // of the clock, in units of time

Endpoint* running;

}  // namespace

Endpoint::Endpoint() : context(new VerilatedContext), top(new Vtop(context.get())) {
    drive[DRIVE_cpu_axil_bready] = drive[DRIVE_cpu_axil_rready] = 1;
    drive[DRIVE_m_axis_cc_tready] = drive[DRIVE_m_axis_rq_tready] = (1 << READY_BITS) - 1;
    drive[DRIVE_cfg_function_status] = 7;  // memory space and bus mastering are enabled
}

Endpoint::~Endpoint() { top->final(); }

bool Endpoint::pass(uint64_t clocks) {
    running = this;
    Verilated::threadContextp(context.get());
    for (uint64_t end = context->time() + PERIOD * clocks; context->time() < end;) {
        top->eval();
        if (!top->eventsPending()) return false;
        context->time(top->nextTimeSlot());
    }
    return true;
}

extern "C" void epbell_clock(const svBitVecVal* seen, svBitVecVal* drive, svBitVecVal* alone) {
    running->clock(seen);
    memcpy(drive, running->drive, sizeof running->drive);
    *alone = running->alone;
    running->alone = 0;
}

bool Cpu::clock(const uint32_t* seen, uint32_t* drive) {
    bool answered = false;
    began = handed = false;
    if (busy) {
        Access& access = program.front();
        bool waited = aw || w || ar;
        aw &= !seen[SEEN_cpu_axil_awready], w &= !seen[SEEN_cpu_axil_wready], ar &= !seen[SEEN_cpu_axil_arready];
        handed = waited && !(aw || w || ar);
        bool asked = !(aw || w || ar);  // an answer to what was not taken is none: the access never ends
        if (asked && seen[access.write ? SEEN_cpu_axil_bvalid : SEEN_cpu_axil_rvalid]) {
            access.response = seen[access.write ? SEEN_cpu_axil_bresp : SEEN_cpu_axil_rresp];
            if (!access.write) access.data = seen[SEEN_cpu_axil_rdata];
            done = access;
            program.pop_front();
            busy = false;
            answered = true;
        }
    }
    if (!busy && !program.empty() && !(program.front().gap && program.front().gap--)) {
        const Access& access = program.front();
        busy = began = true;
        aw = w = access.write, ar = !access.write;
        drive[DRIVE_cpu_axil_awaddr] = drive[DRIVE_cpu_axil_araddr] = access.address;
        drive[DRIVE_cpu_axil_wdata] = access.data;
        drive[DRIVE_cpu_axil_wstrb] = access.strobes;
    }
    drive[DRIVE_cpu_axil_awvalid] = aw, drive[DRIVE_cpu_axil_wvalid] = w, drive[DRIVE_cpu_axil_arvalid] = ar;
    return answered;
}
