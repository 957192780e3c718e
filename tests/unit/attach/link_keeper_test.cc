// SPDX-License-Identifier: BSD-3-Clause
//
// What a supervisor does on which event.
#include "metaserver/attach/link_keeper.h"

#include <linux/nbd.h>
#include <catch2/catch.hpp>

#include <vector>

using namespace csnap;
using namespace csnap::attach;
using ms = link_keeper::ms;
using deed = link_keeper::deed;

namespace {

struct kept {
  std::vector<std::string> said;
  export_facts facts{64 << 20, NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH, "origin volume"};
  link_keeper keeper{facts, ms(20000), ms(100000), [this](const std::string &line) { said.push_back(line); }};

  bool last_said(const std::string &part) const {
    return !said.empty() && said.back().find(part) != std::string::npos;
  }
};

}  // namespace

TEST_CASE("a living link needs nothing") {
  kept k;
  CHECK(k.keeper.next(ms(200000)) == deed::wait);
  CHECK(k.keeper.due() == ms::max());
  CHECK(k.said.empty());
}

TEST_CASE("a dead link is connected again at once, then ever later, at least once a second") {
  kept k;
  ms now(200000);
  k.keeper.link_died(now);
  CHECK(k.last_said("died"));
  std::vector<ms::rep> pauses;
  for (int i = 0; i < 8; ++i) {
    CHECK(k.keeper.next(now) == deed::connect);
    k.keeper.not_connected("connection refused", now);
    CHECK(k.keeper.next(now) == deed::wait);
    pauses.push_back((k.keeper.due() - now).count());
    now = k.keeper.due();
  }
  CHECK(pauses == std::vector<ms::rep>{100, 200, 400, 800, 1000, 1000, 1000, 1000});
  CHECK(k.said.size() == 2);  // one complaint, not eight
  k.keeper.connected(now);
  CHECK(k.last_said("connected again after 5.5 s"));
  CHECK(k.keeper.next(now) == deed::wait);
}

TEST_CASE("another complaint is told, and the same one after another death too") {
  kept k;
  k.keeper.link_died(ms(200000));
  k.keeper.not_connected("refused", ms(200000));
  k.keeper.not_connected("no such file", ms(200100));
  CHECK(k.last_said("no such file"));
  k.keeper.connected(ms(201000));
  k.keeper.link_died(ms(300000));
  k.keeper.not_connected("no such file", ms(300000));
  CHECK(k.last_said("no such file"));
  CHECK(k.said.size() == 6);
}

TEST_CASE("a server that ends at once makes no hot loop") {
  kept k;
  int attempts = 0;
  for (ms now(200000); now < ms(210000); now += ms(10)) {
    k.keeper.link_died(now);
    if (k.keeper.next(now) != deed::connect) continue;
    ++attempts;
    k.keeper.connected(now);
  }
  CHECK(attempts > 8);
  CHECK(attempts < 16);
}

TEST_CASE("when I/O begins to fail, that is told once, and connecting goes on") {
  kept k;
  k.keeper.link_died(ms(200000));
  k.keeper.not_connected("refused", ms(200000));
  (void)k.keeper.next(ms(219999));
  CHECK(k.last_said("refused"));
  CHECK(k.keeper.next(ms(220000)) == deed::connect);
  CHECK(k.last_said("the kernel fails I/O"));
  (void)k.keeper.next(ms(230000));
  CHECK(k.said.size() == 3);
  k.keeper.connected(ms(230000));
  CHECK(k.keeper.next(ms(230000)) == deed::wait);
}

TEST_CASE("an export that changed is refused with a line, and one that is right again is taken") {
  kept k;
  k.keeper.link_died(ms(200000));
  export_facts other = k.facts;
  other.size_bytes /= 2;
  CHECK(!k.keeper.may_go_on(other, ms(200000)));
  CHECK(k.last_said("refused to go on: it has 33554432 bytes now"));
  CHECK(k.keeper.next(ms(200000)) == deed::wait);
  CHECK(k.keeper.next(ms(200100)) == deed::connect);
  CHECK(k.keeper.may_go_on(k.facts, ms(200100)));
}

TEST_CASE("asked to end, it gives a device back that nobody uses, and stays with one in use") {
  kept k;
  k.keeper.asked_to_end("mounted at /mnt");
  CHECK(k.last_said("mounted at /mnt"));
  CHECK(k.keeper.next(ms(200000)) == deed::wait);
  k.keeper.asked_to_end("");
  CHECK(k.keeper.next(ms(200000)) == deed::disconnect);
  k.keeper.device_gone();
  CHECK(k.keeper.next(ms(200000)) == deed::end);
}

TEST_CASE("a device that is gone ends it, also while it connects") {
  kept k;
  k.keeper.link_died(ms(200000));
  k.keeper.device_gone();
  CHECK(k.last_said("detached"));
  k.keeper.not_connected("refused", ms(200100));
  k.keeper.link_died(ms(200200));
  k.keeper.asked_to_end("");
  CHECK(k.keeper.next(ms(200300)) == deed::end);
  CHECK(k.said.size() == 2);
}
