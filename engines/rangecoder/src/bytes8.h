// Shuffles of 8 bytes by an 8-bit mask, for processors without compress and expand.
#ifndef SPLITWATT_BYTES8_H
#define SPLITWATT_BYTES8_H

#include <stdint.h>

namespace sw {

struct Shuffles8 {
  uint8_t pack[256][8];    // the chosen bytes, in order, moved to the back
  uint8_t spread[256][8];  // the first bytes, in order, moved to the chosen places; 0x80 elsewhere
  uint8_t count[256];

  constexpr Shuffles8() : pack(), spread(), count() {
    for (int mask = 0; mask < 256; ++mask) {
      int chosen = 0;
      for (int i = 0; i < 8; ++i) chosen += mask >> i & 1;
      count[mask] = uint8_t(chosen);
      int next = 0;
      for (int i = 0; i < 8; ++i) {
        spread[mask][i] = 0x80;
        if (!(mask >> i & 1)) continue;
        spread[mask][i] = uint8_t(next);
        pack[mask][8 - chosen + next] = uint8_t(i);
        ++next;
      }
    }
  }
};

}  // namespace sw

#endif
