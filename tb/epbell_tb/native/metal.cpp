// Host, CPU and scoreboard of the metal tier.
//
// The host sends rings and reads over the CQ stream without ever waiting for anything but the stream and its own reads.
// The CPU answers interrupts as Linux's handlers do, and re-targets windows while rings are under way. The scoreboard
// looks at the pins and at what the CPU reads, never into the design:
//
// - The words of the Messaging Unit are numbers that only grow. The word that the CPU takes tells which rings came before
//   it: those between two taken words have been merged, and no other word can ever be taken.
// - A line is up within LATE clocks of a ring, or of the clock in which it was up last, and down that long after everything has been taken.
// - When all is quiet: every ring has reached one of the targets, RUNG + EDMA_RUNG + WRITES_REFUSED; each has been merged
//   or delivered; and the endpoint's counters say so, too.
//
// SPDX-License-Identifier: BSD-2-Clause
#include "metal.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <memory>
#include <string>

#include "endpoint.h"

namespace {

// Clocks within which a ring is seen, and a write to a window is in force: the stages of the way in, all places of its
// FIFO and the turns that the CPU has meanwhile take less.
constexpr uint64_t LATE = 64;
constexpr uint64_t DEAD = 100000;      // clocks without progress after which the endpoint is given up
constexpr unsigned VECTORS = 4;

enum class Aim { HOME, MOVING, AWAY };

enum What { PLAIN, FLAGS, WORD, ACK, MOVE, COUNTER };

struct Ring {
    uint32_t number;
    bool sure;  // false: a re-target was under way, it may have gone to the other target
};

struct Window {
    Aim aim = Aim::HOME;
    bool away = false;        // where it is, or moves to
    uint64_t settled = 0;     // clock from which on a move is over
    uint64_t accepted = 0;    // rings to it
    uint64_t sure = 0;        // of these, rings that must have reached the block
    uint64_t next_move = 0;   // accepted rings at which it is moved next
};

struct Metal : Endpoint {
    MetalSetup setup;
    MetalCounts counts{};
    std::string complaint;
    uint64_t progress = 0;  // clock of the last handshake

    void clock(const uint32_t* seen) override;

    // Host.
    const MetalOp* ops = nullptr;
    uint64_t left = 0;
    uint32_t gap = 0;
    bool fetched = false;       // the gap of the next operation is running
    MetalOp current = 0;
    bool sending = false, waiting = false;
    uint32_t packet[8];
    unsigned words = 0, sent = 0;
    uint32_t number = 0;
    uint64_t passed = 0;        // rings since the last one that a planted defect has swallowed

    // CPU.
    Cpu cpu;
    uint64_t handler_at = 0;    // clock at which the handler begins, 0: not called
    uint32_t random;
    uint64_t counter_values[24] = {};

    // Scoreboard.
    std::deque<Ring> open[VECTORS];
    Window mu, edma;
    uint64_t taken[VECTORS] = {};
    uint64_t high_at = 0;                // clock in which irq_mu was high last
    uint64_t sure_since[VECTORS] = {};   // clock of the oldest ring that must be on its way to the CPU; 0: none
    bool irq = false, irq_edma = false;
    uint64_t quiet_since = 0;            // clock since which nothing could raise irq_mu
    uint64_t kicked_at = 0, acked_at = 0;
    bool checking = false;               // the counters are being read

    // Keep the first complaint.
    void complain(const char* format, ...) {
        if (!complaint.empty()) return;
        char text[300];
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        complaint = "clock " + std::to_string(counts.clocks) + ": " + text;
    }

    template <typename... Arguments>
    void wrong(const char* format, Arguments... arguments) {
        counts.wrong++;
        complain(format, arguments...);
    }

    uint32_t draw(uint32_t most) {
        random ^= random << 13, random ^= random >> 17, random ^= random << 5;
        return most ? random % (most + 1) : 0;
    }
};

// ---------------------------------------------------------------------------------------------------------- scoreboard

void accepted(Metal& m, MetalOp op) {
    m.counts.requests++;
    if (op & 8) {
        m.waiting = true;
        return;
    }
    Window& window = op & 4 ? m.edma : m.mu;
    window.accepted++;
    if (window.aim == Aim::MOVING) m.counts.moving++;
    if (window.aim == Aim::AWAY) return;
    bool sure = window.aim == Aim::HOME;
    window.sure += sure;
    if (op & 4) {
        if (sure && !m.kicked_at) m.kicked_at = m.counts.clocks;
        return;
    }
    unsigned vector = op & 3;
    m.open[vector].push_back({m.number, sure});
    if (sure && !m.sure_since[vector]) m.sure_since[vector] = m.counts.clocks;
}

void took(Metal& m, unsigned vector, uint32_t word) {
    auto& open = m.open[vector];
    m.sure_since[vector] = 0;
    while (!open.empty()) {
        Ring ring = open.front();
        open.pop_front();
        if (ring.number == word) {
            m.taken[vector]++;
            for (const Ring& later : open)
                if (later.sure) {
                    m.sure_since[vector] = m.counts.clocks;
                    break;
                }
            return;
        }
    }
    m.counts.invented++;
    m.complain("the CPU has taken the word %u of vector %u, which was not rung", word, vector);
}

void watch_lines(Metal& m, bool irq, bool irq_edma) {
    uint64_t now = m.counts.clocks;
    m.counts.interrupts += irq && !m.irq;
    m.counts.edma_interrupts += irq_edma && !m.irq_edma;
    m.irq = irq, m.irq_edma = irq_edma;
    if (irq) m.high_at = now;
    bool possible = false;
    for (unsigned vector = 0; vector < VECTORS; vector++) {
        possible |= !m.open[vector].empty();
        // A read that has taken the word lets the line fall before its answer is there.
        if (m.sure_since[vector] && now > std::max(m.sure_since[vector], m.high_at) + LATE) {
            m.counts.late++;
            m.complain("irq_mu is low %u clocks after a ring of vector %u", unsigned(LATE), vector);
            m.sure_since[vector] = 0;
        }
    }
    if (possible || m.cpu.waits()) m.quiet_since = now;
    if (irq && now > m.quiet_since + LATE) {
        m.counts.late++;
        m.complain("irq_mu is high although every word has been taken");
        m.quiet_since = now;
    }
    if (irq_edma) m.kicked_at = 0;
    if (m.kicked_at && now > m.kicked_at + LATE) {
        if (now > m.acked_at + 2 * LATE) {  // else an acknowledge may have come with it
            m.counts.late++;
            m.complain("irq_edma is low %u clocks after a ring", unsigned(LATE));
        }
        m.kicked_at = 0;
    }
}

void compare(Metal& m) {
    const uint64_t* value = m.counter_values;
    uint64_t rung = 0, merged = 0;
    for (unsigned vector = 0; vector < VECTORS; vector++) {
        uint64_t r = value[vector], g = value[4 + vector], d = value[8 + vector];
        rung += r, merged += g;
        if (d != m.taken[vector])
            m.wrong("vector %u: DELIVERED is %llu, the CPU has taken %llu words", vector,
                       (unsigned long long)d, (unsigned long long)m.taken[vector]);
        if (r != g + d)
            m.wrong("vector %u: RUNG is %llu, but MERGED %llu and DELIVERED %llu", vector,
                       (unsigned long long)r, (unsigned long long)g, (unsigned long long)d);
        for (const Ring& ring : m.open[vector])
            if (ring.sure)
                m.wrong("vector %u: the word %u was never seen", vector, ring.number);
        m.open[vector].clear();
    }
    uint64_t kicked = value[12], edma_merged = value[13], acknowledged = value[14], refused = value[15];
    if (kicked != edma_merged + acknowledged)
        m.wrong("eDMA: RUNG is %llu, but MERGED %llu and DELIVERED %llu",
                   (unsigned long long)kicked, (unsigned long long)edma_merged, (unsigned long long)acknowledged);
    uint64_t all = m.mu.accepted + m.edma.accepted, seen = rung + kicked + refused;
    if (seen != all) {
        m.complain("%llu rings were accepted, the targets have seen %llu", (unsigned long long)all,
                   (unsigned long long)seen);
        if (seen < all) m.counts.lost = all - seen;
        else m.counts.invented += seen - all;
    }
    if (rung < m.mu.sure || kicked < m.edma.sure)
        m.wrong("%llu and %llu rings reached their blocks, of %llu and %llu that had to",
                   (unsigned long long)rung, (unsigned long long)kicked, (unsigned long long)m.mu.sure,
                   (unsigned long long)m.edma.sure);
    if (m.counts.edma_interrupts > acknowledged)
        m.wrong("irq_edma rose %llu times for %llu rings that were not merged",
                   (unsigned long long)m.counts.edma_interrupts, (unsigned long long)acknowledged);
    for (unsigned index = 0; index < 4; index++)
        if (value[16 + index])
            m.wrong("the counter at %#x is %llu, not 0", m.setup.silent[index],
                       (unsigned long long)value[16 + index]);
    m.counts.rung = rung, m.counts.kicked = kicked, m.counts.refused = refused;
    m.counts.merged = merged, m.counts.edma_merged = edma_merged, m.counts.acknowledged = acknowledged;
    m.counts.delivered = 0;
    for (uint64_t words : m.taken) m.counts.delivered += words;
}

// ----------------------------------------------------------------------------------------------------------------- CPU

void ask(Metal& m, bool write, uint32_t address, uint32_t data, What what, unsigned index = 0) {
    m.cpu.ask({write, address, data, what, index});
}

void answered(Metal& m, const Access& access) {
    uint32_t data = access.data;
    switch (access.what) {
    case FLAGS:
        for (unsigned vector = 0; vector < VECTORS; vector++)
            if (data >> vector & 1) ask(m, false, m.setup.rr[vector], 0, WORD, vector);
        break;
    case WORD: took(m, access.index, data); break;
    case ACK: m.acked_at = m.counts.clocks; break;
    case MOVE: (access.index ? m.edma : m.mu).settled = m.counts.clocks + LATE; break;
    case COUNTER: m.counter_values[access.index] = data; break;
    case PLAIN: break;
    }
}

void move(Metal& m, Window& window, bool edma) {
    const MetalSetup& s = m.setup;
    window.away = !window.away;
    window.next_move = window.accepted + (window.away ? s.away_for : s.aim_every);
    m.counts.retargets++;
    const uint32_t* registers = edma ? s.edma_aim : s.mu_aim;
    ask(m, true, registers[0], window.away ? s.nowhere : edma ? s.edma_home : s.mu_home, PLAIN);
    ask(m, true, registers[1], edma ? s.edma_ctrl2 : s.mu_ctrl2, MOVE, edma);
}

void think(Metal& m) {
    uint64_t now = m.counts.clocks;
    for (Window* window : {&m.mu, &m.edma})
        if (window->settled && now >= window->settled) {
            window->settled = 0;
            window->aim = window->away ? Aim::AWAY : Aim::HOME;
        }
    if (!m.cpu.idle() || m.checking) return;
    if (m.setup.aim_every && m.left)
        for (Window* window : {&m.mu, &m.edma})
            if (window->aim != Aim::MOVING && window->accepted >= window->next_move) {
                move(m, *window, window == &m.edma);
                return;
            }
    if (!m.irq && !m.irq_edma) {
        m.handler_at = 0;
        return;
    }
    if (!m.handler_at) m.handler_at = now + 1 + m.draw(m.setup.ack_delay);
    if (now < m.handler_at) return;
    m.handler_at = 0;
    if (m.irq_edma)
        for (uint32_t address : m.setup.edma_clear) ask(m, true, address, 0, ACK);
    if (m.irq) ask(m, false, m.setup.rsr, 0, FLAGS);
}

// ---------------------------------------------------------------------------------------------------------------- host

void pack(Metal& m, MetalOp op) {
    const MetalSetup& s = m.setup;
    bool read = op & 8, edma = op & 4;
    uint32_t offset = read ? s.read_offset : edma ? s.edma_bell[op & 1] : s.tr[op & 3];
    uint32_t bar = edma && !read ? s.edma_bar : s.mu_bar;
    uint32_t base = edma && !read ? s.edma_bar_base : s.mu_bar_base;
    m.packet[0] = base + offset;
    m.packet[1] = 0;
    m.packet[2] = 1 | (read ? 0 : 1) << 11 | 0x0100u << 16;  // one dword; requester 01:00.0
    m.packet[3] = bar << 16;
    m.packet[4] = read ? 0 : ++m.number;
    m.words = read ? 4 : 5;
    m.sent = 0;
    m.sending = true;
}

void fetch(Metal& m) {
    if (!m.left || m.waiting) return;
    if (!m.fetched) {
        m.current = *m.ops++;
        m.gap = m.current >> 8;
        m.fetched = true;
    }
    if (m.gap) {
        m.gap--;
        return;
    }
    m.fetched = false;
    m.left--;
    pack(m, m.current);
#ifdef EPBELL_LOSE
    // A defect, to see that it is found: every so many rings one is taken for sent.
    if (!(m.current & 8) && ++m.passed == EPBELL_LOSE) {
        m.passed = 0;
        m.sending = false;
        accepted(m, m.current);
    }
#endif
}

// Put bits into the stream's user bits, from bit `at` on.
void set_bits(uint32_t* user, unsigned at, uint64_t bits) {
    bits <<= at % 32;
    user[at / 32] |= uint32_t(bits);
    if (bits >> 32) user[at / 32 + 1] |= uint32_t(bits >> 32);
}

void drive_beat(Metal& m) {
    uint32_t *data = m.drive + DRIVE_s_axis_cq_tdata, *user = m.drive + DRIVE_s_axis_cq_tuser;
    unsigned count = m.words - m.sent < LANES ? m.words - m.sent : LANES;
    bool wide = LANES == 16, ends = m.sent + count == m.words;
    for (unsigned lane = 0; lane < LANES; lane++) data[lane] = lane < count ? m.packet[m.sent + lane] : 0;
    for (unsigned word = 0; word < CQ_USER_WORDS; word++) user[word] = 0;
    if (m.sent == 0) set_bits(user, 0, 0xF), set_bits(user, wide ? 80 : 40, 1);
    for (unsigned lane = 0; lane < count; lane++)
        if (m.sent + lane >= 4) set_bits(user, (wide ? 16 : 8) + 4 * lane, 0xF);
    if (wide && ends) set_bits(user, 86, 1), set_bits(user, 88, count - 1);
    m.drive[DRIVE_s_axis_cq_tkeep] = (1u << count) - 1;
    m.drive[DRIVE_s_axis_cq_tlast] = ends;
}

}  // namespace

void Metal::clock(const uint32_t* seen) {
    Metal& m = *this;
    uint64_t now = ++counts.clocks;
    if (cpu.clock(seen, drive)) {
        if (cpu.done.response) wrong("the CPU's access of %#x was answered with an error", cpu.done.address);
        progress = now;
        answered(m, cpu.done);
    }
    if (cpu.began && cpu.next().what == MOVE) (cpu.next().index ? edma : mu).aim = Aim::MOVING;
    if (sending && seen[SEEN_s_axis_cq_tready]) {
        sent = sent + LANES < words ? sent + LANES : words;
        progress = now;
        if (sent == words) {
            sending = false;
            accepted(m, current);
        }
    }
    if (waiting && seen[SEEN_m_axis_cc_tvalid] && seen[SEEN_m_axis_cc_tlast])
        waiting = false, counts.reads++, progress = now;
    watch_lines(m, seen[SEEN_irq_mu], seen[SEEN_irq_edma] != 0);
    if (!sending) fetch(m);
    think(m);
    drive[DRIVE_s_axis_cq_tvalid] = sending;
    if (sending) drive_beat(m);
}

namespace {

// Let clocks pass until all is done that has been asked for; false if nothing moves any more.
bool settle(Metal& m) {
    m.progress = m.counts.clocks;
    while (m.left || m.fetched || m.sending || m.waiting || !m.cpu.idle() || m.irq || m.irq_edma ||
           m.mu.aim == Aim::MOVING || m.edma.aim == Aim::MOVING) {
        if (!m.pass(64)) return false;
        if (m.gap) m.progress = m.counts.clocks;
        if (m.counts.clocks > m.progress + DEAD) {
            m.wrong("nothing has moved for %u clocks", unsigned(DEAD));
            return false;
        }
    }
    return m.pass(2 * LATE);
}

}  // namespace

extern "C" {

void* metal_new(const MetalSetup* setup) {
    auto m = std::make_unique<Metal>();
    m->setup = *setup;
    m->random = setup->seed ? setup->seed : 1;
    m->mu.next_move = setup->aim_every;
    m->edma.next_move = setup->aim_every + setup->aim_every / 2;
    if (!m->pass(64)) return nullptr;
    return m.release();
}

void metal_free(void* which) {
    delete static_cast<Metal*>(which);
}

int metal_write(void* which, const uint32_t* pairs, uint64_t writes) {
    auto& m = *static_cast<Metal*>(which);
    for (uint64_t index = 0; index < writes; index++) ask(m, true, pairs[2 * index], pairs[2 * index + 1], PLAIN);
    return !settle(m);
}

int metal_run(void* which, const MetalOp* ops, uint64_t count) {
    auto& m = *static_cast<Metal*>(which);
    const MetalSetup& s = m.setup;
    m.ops = ops, m.left = count;
    if (!settle(m)) return 1;
    m.checking = true;
    for (unsigned vector = 0; vector < VECTORS; vector++) {
        ask(m, false, s.rung[vector], 0, COUNTER, vector);
        ask(m, false, s.merged[vector], 0, COUNTER, 4 + vector);
        ask(m, false, s.delivered[vector], 0, COUNTER, 8 + vector);
        ask(m, false, s.silent[vector], 0, COUNTER, 16 + vector);
    }
    const uint32_t others[] = {s.edma_rung, s.edma_merged, s.edma_delivered, s.refused};
    for (unsigned index = 0; index < 4; index++) ask(m, false, others[index], 0, COUNTER, 12 + index);
    bool alive = settle(m);
    m.checking = false;
    if (!alive) return 1;
    compare(m);
    return 0;
}

int metal_idle(void* which, uint64_t clocks) { return !static_cast<Metal*>(which)->pass(clocks); }

int metal_alone(void* which, uint64_t clocks, int ring) {
    auto& m = *static_cast<Metal*>(which);
    if (ring) pack(m, 0);
    m.alone = uint32_t(clocks);
    return !m.pass(clocks);
}

void metal_counts(void* which, MetalCounts* counts) { *counts = static_cast<Metal*>(which)->counts; }

const char* metal_complaint(void* which) { return static_cast<Metal*>(which)->complaint.c_str(); }
}
