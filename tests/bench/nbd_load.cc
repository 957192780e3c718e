// SPDX-License-Identifier: BSD-3-Clause
//
// A load on one NBD export for scripts/bench: one connection, a fixed queue depth, each offset once.
//
//   nbd_load URI first-writes STRIDE DEPTH SEED    one 4 KiB write at a random place in each STRIDE, in random order
//   nbd_load URI fill BYTES DEPTH SEED             sequential writes of BYTES over the whole export
//
// Prints one line of JSON: {"requests":N,"seconds":S}. The writes are acknowledged, not flushed.
#include <libnbd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace {

[[noreturn]] void fail(const char *what) {
  std::fprintf(stderr, "nbd_load: %s: %s\n", what, nbd_get_error() ? nbd_get_error() : "");
  std::exit(1);
}

struct request {
  std::uint64_t offset;
  std::uint32_t length;
};

int count_completion(void *data, int *error) {
  if (*error != 0) {
    std::fprintf(stderr, "nbd_load: a write failed: %s\n", std::strerror(*error));
    std::exit(1);
  }
  ++*static_cast<std::uint64_t *>(data);
  return 1;
}

std::vector<request> first_writes(std::uint64_t size, std::uint64_t stride, unsigned seed) {
  std::mt19937_64 random(seed);
  std::vector<request> out;
  for (std::uint64_t at = 0; at + stride <= size; at += stride)
    out.push_back({at + random() % (stride / 4096) * 4096, 4096});
  std::shuffle(out.begin(), out.end(), random);
  return out;
}

std::vector<request> fill(std::uint64_t size, std::uint64_t bytes) {
  std::vector<request> out;
  for (std::uint64_t at = 0; at < size; at += bytes)
    out.push_back({at, static_cast<std::uint32_t>(std::min(bytes, size - at))});
  return out;
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: nbd_load URI first-writes|fill BYTES DEPTH SEED\n");
    return 2;
  }
  const std::string pattern = argv[2];
  const std::uint64_t bytes = std::strtoull(argv[3], nullptr, 10);
  const std::uint64_t depth = std::strtoull(argv[4], nullptr, 10);
  const unsigned seed = static_cast<unsigned>(std::strtoul(argv[5], nullptr, 10));

  nbd_handle *nbd = nbd_create();
  if (nbd == nullptr || nbd_connect_uri(nbd, argv[1]) == -1) fail("connect");
  const std::uint64_t size = static_cast<std::uint64_t>(nbd_get_size(nbd));
  const auto requests = pattern == "fill" ? fill(size, bytes) : first_writes(size, bytes, seed);
  std::vector<char> content(pattern == "fill" ? bytes : 4096);
  std::mt19937_64 random(seed);
  std::generate(content.begin(), content.end(), [&] { return static_cast<char>(random()); });

  std::uint64_t completed = 0;
  std::uint64_t sent = 0;
  const auto begin = std::chrono::steady_clock::now();
  while (completed < requests.size()) {
    while (sent < requests.size() && sent - completed < depth) {
      const auto &r = requests[sent++];
      const nbd_completion_callback done = {
          .callback = count_completion, .user_data = &completed, .free = nullptr};
      if (nbd_aio_pwrite(nbd, content.data(), r.length, r.offset, done, 0) == -1) fail("write");
    }
    if (nbd_poll(nbd, -1) == -1) fail("poll");
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf("{\"requests\":%zu,\"seconds\":%.4f}\n", requests.size(), seconds);
  nbd_shutdown(nbd, 0);
  nbd_close(nbd);
}
