// SPDX-License-Identifier: BSD-3-Clause
//
// Faults of certain weathers only: each makes some rare things meet that seldom do by chance.
#pragma once

#include "tests/simulation/prng.h"

namespace csnap::simulation {

class cluster;

// What the servers tell one node, or hear of it, or both, takes long for a while; now and then its connection or
// another's is lost in that time.
void slow_link_of_a_node(cluster &c, prng &chance);
// The answer to the next commit takes long, and then is lost with its connection.
void lose_answer_to_a_commit(cluster &c, prng &chance);
// A node stands still for longer than its lease, mostly in the middle of its writes.
void sleep_past_a_lease(cluster &c, prng &chance);
// Another master is elected, stands still in the middle of taking over, and one more is elected meanwhile.
void elect_during_a_takeover(cluster &c, prng &chance);

}  // namespace csnap::simulation
