// Toggles of vectors of more than 64 bits. Verilator's own function counts a change of bit 3 as one of bits 35, 67, ...,
// too: for each word it goes on to the end of the vector, and so shifts a word by more than it has bits.
//
// The begin of the precompiled header; the name that is defined is the one that the generated code calls.

#include "verilated_cov.h"

static inline void epbell_toggle_wide(const int width, uint32_t* counters, WDataInP now, WDataInP before) {
    for (int bit = 0; bit < width; ++bit) {
        const int word = bit / VL_EDATASIZE, place = bit % VL_EDATASIZE;
        counters[2 * bit + ((now[word] >> place) & 1)] += ((now[word] ^ before[word]) >> place) & 1;
    }
}

#define VL_COV_TOGGLE_CHG_ST_W epbell_toggle_wide
