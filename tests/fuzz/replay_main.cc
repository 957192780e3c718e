// SPDX-License-Identifier: BSD-3-Clause
//
// Runs a fuzz target without libFuzzer: every file of its corpus, then mutations of them that depend on nothing
// but their number, so that a failure repeats. Usage: TARGET CORPUS-DIRECTORY [MUTATIONS]
#include "tests/fuzz/fuzz_target.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

namespace {

using input = std::vector<std::uint8_t>;

std::vector<input> read_corpus(const std::string &directory) {
  std::vector<std::filesystem::path> paths;
  for (const auto &entry : std::filesystem::directory_iterator(directory)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<input> out;
  for (const auto &path : paths) {
    std::ifstream in(path, std::ios::binary);
    out.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return out;
}

// A few of the changes that libFuzzer makes: flip, overwrite with an edge value, cut, repeat, splice.
input mutate(const std::vector<input> &corpus, std::mt19937 &random) {
  const auto below = [&](std::size_t n) { return n == 0 ? 0 : random() % n; };
  input out = corpus[below(corpus.size())];
  for (std::size_t change = 1 + below(4); change > 0 && !out.empty(); --change) {
    const std::size_t at = below(out.size());
    static constexpr std::uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xff};
    switch (below(6)) {
      case 0: out[at] ^= static_cast<std::uint8_t>(1u << below(8)); break;
      case 1: out[at] = edges[below(std::size(edges))]; break;
      case 2: out.resize(at); break;
      case 3: out.insert(out.end(), out.begin() + static_cast<std::ptrdiff_t>(at), out.end()); break;
      case 4:
        out.insert(out.begin() + static_cast<std::ptrdiff_t>(at), static_cast<std::uint8_t>(random()));
        break;
      default: {
        const input &other = corpus[below(corpus.size())];
        const std::size_t from = below(other.size());
        out.resize(at);
        out.insert(out.end(), other.begin() + static_cast<std::ptrdiff_t>(from), other.end());
      }
    }
  }
  if (out.size() > 65536) out.resize(65536);
  return out;
}

}  // namespace

int main(int argc, char **argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s CORPUS-DIRECTORY [MUTATIONS]\n", argv[0]);
    return 2;
  }
  const std::vector<input> corpus = read_corpus(argv[1]);
  if (corpus.empty()) {
    std::fprintf(stderr, "%s: no corpus in %s\n", argv[0], argv[1]);
    return 1;
  }
  for (const input &bytes : corpus) LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  const long mutations = argc > 2 ? std::atol(argv[2]) : 20000;
  std::mt19937 random(1);
  for (long i = 0; i < mutations; ++i) {
    const input bytes = mutate(corpus, random);
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::printf("%zu inputs and %ld mutations\n", corpus.size(), mutations);
  return 0;
}
