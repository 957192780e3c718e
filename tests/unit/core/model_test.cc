// SPDX-License-Identifier: BSD-3-Clause
//
// Goal: a snapshot reads what the origin held when it was made, whatever happens in whatever order. Three
// clients write, copy out and read one volume in steps that a seed interleaves with lost connections, pauses
// beyond the lease, deaths, creates, deletes, restarts of the server and records that are durable late. After
// each step the index itself is compared with the model; each completed read is compared by its client.
#include "tests/unit/core/model_client.h"

#include <catch2/catch.hpp>

#include <stdexcept>

using namespace csnap;
using namespace csnap::test;

namespace {

const volume_id volume{1};

class history {
 public:
  history(std::uint64_t seed, std::vector<std::string> planted)
      : random_(seed), server_(std::move(planted), 3, 6u << 20) {
    for (auto &c : clients_) c = new_client();
    server_.durable_at_once = false;
    for (const auto c : world_.chunks) world_.origin[c] = 0;
  }

  void run(std::size_t steps) {
    for (std::size_t i = 0; i < steps; ++i) {
      step();
      if (!server_.serves()) throw std::runtime_error("the server stopped: " + server_.stopped[0].text);
      note_snapshots();
      check_index();
    }
  }
  const model_world &world() const { return world_; }

 private:
  void step() {
    auto &chosen = clients_[random_() % clients_.size()];
    auto &client = *chosen;
    const auto dice = random_() % 10000;
    if (dice < 3500) client.step();
    else if (dice < 6000) client.deliver_one();
    else if (dice < 8500) client.receive_one();
    else if (dice < 9500) server_.make_durable();
    else if (dice < 9800) server_.advance(static_cast<std::int64_t>(random_() % 100));
    else if (dice < 9860) create();
    else if (dice < 9890) remove();
    else if (dice < 9910) client.disconnect();
    else if (dice < 9930) client.paused = !client.paused;
    else if (dice < 9945) server_.advance(3000);
    else if (dice < 9955) client.die(), chosen = new_client();
    else if (dice < 9960) server_.restart();
    else if (dice < 9975) client.deaf = true;
    else
      for (auto &c : clients_) c->paused = c->deaf = false;
  }
  std::unique_ptr<model_client> new_client() {
    return std::make_unique<model_client>(server_, world_, ++last_pid_, random_);
  }
  void administer(wire::message what) {
    wire::envelope hello{1, {}, wire::hello{}};
    const auto connection = server_.connect();
    server_.deliver(connection, hello);
    server_.make_durable();
    server_.deliver(connection, {2, {}, std::move(what)});
  }
  void create() { administer(create_of("a", "s" + std::to_string(++names_))); }
  void remove() {
    const auto &snapshots = server_.engine->snapshots(volume);
    if (snapshots.empty()) return;
    auto which = snapshots.begin();
    std::advance(which, static_cast<std::int64_t>(random_() % snapshots.size()));
    administer(remove_of("a", which->second.name));
  }

  // A snapshot's instant is when its record is queued; a restart may lose records again.
  void note_snapshots() {
    const auto last = server_.engine->last_snapshot_number();
    if (last > newest_) {
      world_.truth[last] = world_.origin;
      ++world_.creates;
    }
    newest_ = last;
    std::erase_if(world_.truth, [&](const auto &t) { return t.first > last; });
  }
  void check_index() {
    for (const auto &[number, snapshot] : server_.engine->snapshots(volume)) {
      if (snapshot.state != store::snapshot_state::live) continue;
      for (const auto c : world_.chunks) {
        const auto e = server_.engine->find_exception(volume, chunk_no{c}, number);
        const auto content = *e ? world_.store[(*e)->place.value] : world_.origin[c];
        if (content != world_.truth.at(number).at(c))
          throw std::runtime_error("the index of snapshot " + std::to_string(number.value) + " is wrong");
      }
    }
  }

  std::mt19937_64 random_;
  model_world world_;
  test_server server_;
  std::array<std::unique_ptr<model_client>, 3> clients_;
  std::uint32_t last_pid_ = 0;
  std::uint64_t names_ = 0;
  snapshot_number newest_;
};

constexpr std::size_t steps = 10000;

// The first seed of `count` that finds something wrong.
std::optional<std::uint64_t> first_failure(const std::vector<std::string> &planted, std::uint64_t count) {
  for (std::uint64_t seed = 1; seed <= count; ++seed) {
    try {
      history(seed, planted).run(steps);
    } catch (const std::runtime_error &e) {
      UNSCOPED_INFO("seed " << seed << ": " << e.what());
      return seed;
    }
  }
  return {};
}

}  // namespace

TEST_CASE("model: in any history each snapshot reads what the origin held", "[model]") {
  CHECK_FALSE(first_failure({}, 50));
}

TEST_CASE("model: the histories do what they are for", "[model]") {
  model_world sum;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    history h(seed, {});
    h.run(steps);
    sum.writes += h.world().writes;
    sum.copies += h.world().copies;
    sum.reads += h.world().reads;
    sum.recalls += h.world().recalls;
    sum.creates += h.world().creates;
  }
  CAPTURE(sum.writes, sum.copies, sum.reads, sum.recalls, sum.creates);
  CHECK(sum.writes > 300);
  CHECK(sum.copies > 100);
  CHECK(sum.reads > 300);
  CHECK(sum.recalls > 30);
  CHECK(sum.creates > 20);
}

TEST_CASE("model: the planted mistakes are found by some history", "[model]") {
  // The others need a race so narrow that only their scripted scenarios find them for sure.
  for (const char *mistake : {"no_recall_wait", "renew_expired", "old_epoch_ok", "join_in_barrier",
                              "free_at_once", "answer_before_durable"}) {
    INFO(mistake);
    CHECK(first_failure({mistake}, 200));
  }
}
