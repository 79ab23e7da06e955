/* A host that packs all of its structs. Prints the sizes of those that the library writes or reads. */
#ifdef PACKED
#pragma pack(1)
#endif
#include "../../../include/signal.h"

#include <stdio.h>

struct of_the_hosts_own {
  char first;
  double second;
};

#define SIZE(type) printf(#type " %zu\n", sizeof(type))

int main(void) {
  SIZE(signal_instrument_t);
  SIZE(signal_egress_t);
  SIZE(signal_result_t);
  SIZE(signal_stats_t);
  SIZE(signal_hop_t);
  SIZE(signal_lane_t);
  SIZE(signal_ring_t);
  SIZE(struct of_the_hosts_own);
  return 0;
}
