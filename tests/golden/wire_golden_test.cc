// SPDX-License-Identifier: BSD-3-Clause
//
// Compares one frame of every message with tests/golden/wire_v3/NAME.hex, byte for byte.
// A difference means that the protocol changed: then protocol_version must rise and the old files must stay.
// Usage: wire-golden-test DIRECTORY [--write]     (--write makes the files that are missing, and only those)
#include "metaserver/wire/frame.h"

#include "tests/unit/wire/message_filler.h"

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace csnap::wire {
namespace {

// The largest of some random contents, so that lists and texts are not empty.
std::vector<std::byte> golden_frame(std::size_t type) {
  std::vector<std::byte> largest;
  for (std::uint64_t seed = 1; seed <= 16; ++seed) {
    auto frame = encode_frame(random_envelope(type, seed));
    if (frame.size() > largest.size()) largest = std::move(frame);
  }
  return largest;
}

std::string to_hex(const std::vector<std::byte> &frame) {
  std::string out;
  for (std::size_t i = 0; i < frame.size(); ++i) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", std::to_integer<unsigned>(frame[i]));
    out += digits;
    out += (i % 32 == 31 || i + 1 == frame.size()) ? "\n" : (i % 4 == 3 ? " " : "");
  }
  return out;
}

bool compare(std::size_t type, const std::string &directory, bool write) {
  const std::string name = message_name(default_message(type));
  const std::string path = directory + "/" + name + ".hex";
  const auto frame = golden_frame(type);
  std::ifstream in(path);
  if (!in && write) {
    std::ofstream(path) << to_hex(frame);
    std::printf("%s: written\n", path.c_str());
    return true;
  }
  if (!in) {
    std::printf("%s: missing\n", path.c_str());
    return false;
  }
  const std::string golden{std::istreambuf_iterator<char>(in), {}};
  if (golden != to_hex(frame)) {
    std::printf("%s: differs from what is encoded now:\n%s", path.c_str(), to_hex(frame).c_str());
    return false;
  }
  return decode_frame(frame).has_value();
}

}  // namespace
}  // namespace csnap::wire

int main(int argc, char **argv) {
  const bool write = argc == 3 && std::string(argv[2]) == "--write";
  if (argc != 2 && !write) {
    std::fprintf(stderr, "usage: wire-golden-test DIRECTORY [--write]\n");
    return 2;
  }
  bool good = true;
  for (std::size_t type = 0; type < csnap::wire::message_types; ++type)
    good = csnap::wire::compare(type, argv[1], write) && good;
  return good ? 0 : 1;
}
