// SPDX-License-Identifier: BSD-3-Clause
//
// Compares one frame of every message of the agent's protocol with tests/golden/agent_v1/NAME.hex, byte for byte.
// A difference means that the protocol changed: then its version must rise and the old files must stay.
// Usage: agent-golden-test DIRECTORY [--write]     (--write makes the files that are missing, and only those)
#include "tests/unit/wire/agent_message_filler.h"

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

namespace csnap::wire::agent {
namespace {

std::string golden_hex(std::size_t type) {
  std::vector<std::byte> largest;
  for (std::uint64_t seed = 1; seed <= 16; ++seed) {
    auto frame = encode_frame(random_message(type, seed));
    if (frame.size() > largest.size()) largest = std::move(frame);
  }
  std::string out;
  for (std::size_t i = 0; i < largest.size(); ++i) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", std::to_integer<unsigned>(largest[i]));
    out += digits;
    out += (i % 32 == 31 || i + 1 == largest.size()) ? "\n" : (i % 4 == 3 ? " " : "");
  }
  return out;
}

bool compare(std::size_t type, const std::string &directory, bool write) {
  const std::string path = directory + "/" + message_name(default_message(type)) + ".hex";
  const std::string now = golden_hex(type);
  std::ifstream in(path);
  if (!in && write) {
    std::ofstream(path) << now;
    return true;
  }
  const std::string golden{std::istreambuf_iterator<char>(in), {}};
  if (golden == now) return true;
  std::printf("%s: missing, or differs from what is encoded now:\n%s", path.c_str(), now.c_str());
  return false;
}

}  // namespace
}  // namespace csnap::wire::agent

int main(int argc, char **argv) {
  const bool write = argc == 3 && std::string(argv[2]) == "--write";
  if (argc != 2 && !write) {
    std::fprintf(stderr, "usage: agent-golden-test DIRECTORY [--write]\n");
    return 2;
  }
  bool good = true;
  for (std::size_t type = 0; type < csnap::wire::agent::message_types; ++type)
    good = csnap::wire::agent::compare(type, argv[1], write) && good;
  return good ? 0 : 1;
}
