// The wire tier: plays beats and accesses, and writes down what happens at the pins. It has no opinions.
// SPDX-License-Identifier: BSD-2-Clause
#include "wire.h"

#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "endpoint.h"

namespace {

constexpr uint64_t CHUNK = 8;  // clocks between two looks at the end of a run
constexpr size_t LONG = 1 << 16;  // events of the log after which a run ends

static_assert(LANES <= 16 && CQ_USER_WORDS <= 6 && RC_USER_WORDS <= 6 && CC_USER_WORDS <= 6 && RQ_USER_WORDS <= 6,
              "a beat has its place in WireBeat and WireEvent");

// Where a stream's pins are, and how its events are called.
struct Place {
    unsigned valid, ready, data, keep, user, last, user_words;
    WireKind beat, pause;
};

#define SOURCE(name, stream)                                                                                         \
    {DRIVE_##name##_tvalid, SEEN_##name##_tready, DRIVE_##name##_tdata, DRIVE_##name##_tkeep, DRIVE_##name##_tuser,  \
     DRIVE_##name##_tlast,  stream##_USER_WORDS,  WIRE_##stream,        WIRE_##stream}
#define SINK(name, stream)                                                                                           \
    {SEEN_##name##_tvalid, DRIVE_##name##_tready, SEEN_##name##_tdata, SEEN_##name##_tkeep, SEEN_##name##_tuser,     \
     SEEN_##name##_tlast,  stream##_USER_WORDS,   WIRE_##stream,       WIRE_##stream##_PAUSE}

constexpr Place CQ = SOURCE(s_axis_cq, CQ), RC = SOURCE(s_axis_rc, RC);
constexpr Place CC = SINK(m_axis_cc, CC), RQ = SINK(m_axis_rq, RQ);

// Beats that the bench sends.
struct Source {
    const Place& place;
    std::deque<WireBeat> beats;
    bool offered = false;
    uint64_t since = 0;

    bool idle() const { return beats.empty() && !offered; }
};

// Packets that the endpoint sends.
struct Sink {
    const Place& place;
    bool ready = false;  // on the pins
    bool inside = false, waits = false;
    uint64_t since = 0, packets = 0;
};

struct Wire : Endpoint {
    uint64_t now = 0;
    uint32_t last_seen[SEEN] = {};
    Source cq{CQ}, rc{RC};
    Sink cc{CC}, rq{RQ};
    Cpu cpu;
    uint64_t handed = 0;  // clock in which the CPU's access was
    std::vector<WireEvent> log;
    uint32_t irq_mu = 0, irq_edma = 0;
    uint32_t random = 1, stall = 0;
    uint64_t until = 0;
    bool met = false;

    void clock(const uint32_t* seen) override;

    WireEvent& note(WireKind kind, uint64_t since = 0) {
        WireEvent& event = log.emplace_back();
        event.clock = now;
        event.since = since;
        event.kind = kind;
        return event;
    }

    void note_access(WireKind kind, const Access& access, uint32_t value) {
        WireEvent& event = note(kind, handed);
        event.value[0] = access.address, event.value[1] = access.data, event.value[2] = value;
    }

    void note_beat(const Place& place, const uint32_t* pins, uint64_t since) {
        WireEvent& event = note(place.beat, since);
        memcpy(event.data, pins + place.data, 4 * LANES);
        memcpy(event.user, pins + place.user, 4 * place.user_words);
        event.keep = pins[place.keep];
        event.last = pins[place.last];
    }

    bool draw() {
        random ^= random << 13, random ^= random >> 17, random ^= random << 5;
        return (random >> 8 & 0xFF) < stall;
    }

    bool happened() const {
        return (until & WIRE_PLAYED && cq.idle() && rc.idle() && cpu.idle()) || (until & WIRE_ANSWERED && cpu.idle()) ||
               (until & WIRE_ON_MU && irq_mu) || (until & WIRE_ON_EDMA && irq_edma) ||
               (until & WIRE_ASKED && rq.packets) || (until >> 8 && cc.packets >= until >> 8);
    }
};

void play(Wire& wire, const uint32_t* seen, Source& source) {
    const Place& place = source.place;
    uint32_t* drive = wire.drive;
    if (source.offered) {
        if (!seen[place.ready]) return;
        wire.note_beat(place, drive, source.since);
        source.offered = false;
    }
    drive[place.valid] = 0;
    if (source.beats.empty()) return;
    WireBeat& beat = source.beats.front();
    if (beat.gap) {
        beat.gap--;
        return;
    }
    memcpy(drive + place.data, beat.data, 4 * LANES);
    memcpy(drive + place.user, beat.user, 4 * place.user_words);
    drive[place.keep] = beat.keep;
    drive[place.last] = beat.last;
    drive[place.valid] = 1;
    source.offered = true;
    source.since = wire.now + 1;
    source.beats.pop_front();
}

void listen(Wire& wire, const uint32_t* seen, Sink& sink) {
    const Place& place = sink.place;
    if (seen[place.valid]) {
        if (!sink.waits) sink.since = wire.now;
        sink.waits = !sink.ready;
        if (!sink.waits) {
            wire.note_beat(place, seen, sink.since);
            sink.inside = !seen[place.last];
            sink.packets += !sink.inside;
        }
    } else if (sink.inside) {
        wire.note(place.pause);
    }
    if (wire.stall) wire.drive[place.ready] = wire.draw() ? 0 : (1 << READY_BITS) - 1;
    sink.ready = wire.drive[place.ready];
}

void follow(Wire& wire, uint32_t& line, uint32_t level, WireKind kind) {
    if (line != level) wire.note(kind).value[0] = level;
    line = level;
}

void Wire::clock(const uint32_t* seen) {
    now++;
    memcpy(last_seen, seen, sizeof last_seen);
    follow(*this, irq_mu, seen[SEEN_irq_mu], WIRE_IRQ_MU);
    follow(*this, irq_edma, seen[SEEN_irq_edma], WIRE_IRQ_EDMA);
    play(*this, seen, cq);
    listen(*this, seen, cc);
    bool answered = cpu.clock(seen, drive);
    if (cpu.handed) {
        const Access& access = answered ? cpu.done : cpu.next();
        handed = now;
        note_access(access.write ? WIRE_WRITE : WIRE_READ, access, access.strobes);
    }
    if (answered) note_access(cpu.done.write ? WIRE_WRITTEN : WIRE_DATA, cpu.done, cpu.done.response);
    listen(*this, seen, rq);
    play(*this, seen, rc);
    if (!met && until) met = happened();
}

Wire& of(void* wire) { return *static_cast<Wire*>(wire); }

}  // namespace

extern "C" {

void* wire_new(void) {
    auto wire = std::make_unique<Wire>();
    return wire->pass(64) ? wire.release() : nullptr;
}

void wire_free(void* wire) { delete &of(wire); }

void wire_get(void* wire, uint32_t word, uint32_t* values, uint32_t words) {
    memcpy(values, of(wire).last_seen + word, 4 * words);
}

void wire_send(void* wire, uint32_t kind, const WireBeat* beats, uint64_t count) {
    Source& source = kind == WIRE_CQ ? of(wire).cq : of(wire).rc;
    source.beats.insert(source.beats.end(), beats, beats + count);
}

void wire_ask(void* wire, const WireAccess* accesses, uint64_t count) {
    for (const WireAccess* access = accesses; access < accesses + count; access++)
        of(wire).cpu.ask(
            {access->write != 0, access->address, access->data, 0, 0, access->strobes, access->gap});
}

void wire_stall(void* wire, uint32_t seed, uint32_t of_256) {
    of(wire).random = seed ? seed : 1;
    of(wire).stall = of_256;
    if (!of_256) of(wire).drive[CC.ready] = of(wire).drive[RQ.ready] = (1 << READY_BITS) - 1;
}

int wire_run(void* which, uint64_t clocks, uint64_t until) {
    Wire& wire = of(which);
    uint64_t end = wire.now + clocks;
    wire.until = until, wire.met = false, wire.cc.packets = wire.rq.packets = 0;
    while (wire.now < end && !wire.met && wire.log.size() < LONG) {
        uint64_t left = end - wire.now;
        if (!wire.pass(left > CHUNK ? CHUNK : left)) return 2;
    }
    return wire.met;
}

uint64_t wire_clock(void* wire) { return of(wire).now; }

uint64_t wire_log(void* wire, const WireEvent** events) {
    *events = of(wire).log.data();
    return of(wire).log.size();
}

void wire_forget(void* wire) { of(wire).log.clear(); }
}
