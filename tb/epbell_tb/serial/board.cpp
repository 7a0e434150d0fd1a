// A board in simulation: the design in its clock, its two wires, and a pseudo-terminal at their other end.
// SPDX-License-Identifier: BSD-2-Clause
//
// epbell-board CLOCKS FLIP DROP SEED: clocks of a bit; of so many bytes in each direction one has a bit flipped, one is
// lost (0: none); seed of both. The first line that is printed is the name of the terminal. It ends with its standard
// input.
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <deque>
#include <memory>
#include <random>
#include <vector>

#include "Vboard.h"
#include "verilated.h"

namespace {

constexpr uint64_t REST = 20000;  // clocks on silent wires after which the simulation waits for somebody to say something
constexpr uint64_t SLICE = 256;   // clocks between two looks at the terminal

// What a bad cable does to bytes.
class Trouble {
public:
    Trouble(unsigned flip, unsigned drop, unsigned seed) : flip(flip), drop(drop), random(seed) {}
    bool lost() { return drop && random() % drop == 0; }
    uint8_t spoilt(uint8_t byte) { return flip && random() % flip == 0 ? byte ^ 1 << random() % 8 : byte; }

private:
    unsigned flip, drop;
    std::mt19937 random;
};

// Puts bytes on a wire, bit by bit: a start bit, eight bits from the least significant one on, a stop bit.
class Sender {
public:
    explicit Sender(unsigned clocks) : clocks(clocks) {}
    bool idle() const { return !left && bytes.empty(); }
    void put(uint8_t byte) { bytes.push_back(byte); }
    size_t waiting() const { return bytes.size(); }
    bool clock() {
        if (!left && !bytes.empty()) {
            bits = 1u << 9 | bytes.front() << 1;
            bytes.pop_front();
            left = 10 * clocks;
        }
        if (!left) return true;
        bool level = bits >> (10 * clocks - left) / clocks & 1;
        --left;
        return level;
    }

private:
    unsigned clocks, left = 0, bits = 0;
    std::deque<uint8_t> bytes;
};

// Finds bytes on a wire: looks at the middle of each bit after a falling edge.
class Listener {
public:
    explicit Listener(unsigned clocks) : clocks(clocks) {}
    bool idle() const { return !busy; }
    // True if a byte has ended, which is then in `byte`.
    bool clock(bool level) {
        if (!busy) {
            if (level) return false;
            busy = true, at = 0, byte = 0;
        }
        unsigned now = at++;
        if (now % clocks != clocks / 2) return false;
        unsigned bit = now / clocks;
        if (bit == 0 && level) busy = false;
        if (bit >= 1 && bit <= 8) byte |= level << (bit - 1);
        if (bit < 9) return false;
        busy = false;
        return level;
    }

    uint8_t byte = 0;

private:
    unsigned clocks, at = 0;
    bool busy = false;
};

int terminal() {
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (master < 0 || grantpt(master) || unlockpt(master)) return -1;
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);  // stays open, so that nobody hangs up
    termios raw;
    if (slave < 0 || tcgetattr(slave, &raw)) return -1;
    cfmakeraw(&raw);
    tcsetattr(slave, TCSANOW, &raw);
    return master;
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 5) return 2;
    auto number = [&](int which) { return static_cast<unsigned>(strtoul(arguments[which], nullptr, 10)); };
    int master = terminal();
    if (master < 0) return perror("epbell-board: no pseudo-terminal"), 1;
    printf("%s\n", ptsname(master));
    fflush(stdout);
    auto context = std::make_unique<VerilatedContext>();
    auto top = std::make_unique<Vboard>(context.get());
    Sender to(number(1));
    Listener from(number(1));
    Trouble there(number(2), number(3), number(4)), back(number(2), number(3), number(4) + 1);
    std::vector<uint8_t> out;
    uint64_t silent = 0;
    top->rst = 1, top->rx = 1, top->clk = 0;
    for (uint64_t clock = 0;; ++clock) {
        if (clock == 16) top->rst = 0;
        top->clk = 1;
        top->eval();
        top->rx = to.clock();
        top->clk = 0;
        top->eval();
        if (from.clock(top->tx) && !back.lost()) out.push_back(back.spoilt(from.byte));
        silent = to.idle() && from.idle() && top->tx ? silent + 1 : 0;
        if (clock % SLICE) continue;
        if (!out.empty()) {
            ssize_t done = write(master, out.data(), out.size());
            if (done > 0) out.erase(out.begin(), out.begin() + done);
        }
        pollfd looks[] = {{master, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
        if (poll(looks, 2, silent > REST && out.empty() ? 1 : 0) <= 0) continue;
        if (looks[1].revents) break;  // who started this has gone
        uint8_t bytes[256];
        ssize_t found = to.waiting() < sizeof bytes ? read(master, bytes, sizeof bytes) : 0;
        for (ssize_t index = 0; index < found; ++index)
            if (!there.lost()) to.put(there.spoilt(bytes[index]));
    }
    top->final();
    return 0;
}
