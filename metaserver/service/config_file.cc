// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/service/config_file.h"

#include "metaserver/base/names.h"
#include "metaserver/service/config_keys.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace csnap::service {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view suffix = ".conf";
constexpr std::size_t file_bytes_max = 64u << 10;
constexpr std::size_t line_bytes_max = 4096;

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

// A line of a file may hold anything.
std::string shown(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 80)) out += c >= ' ' && c <= '~' ? c : '?';
  return text.size() > 80 ? out + "..." : out;
}

// What is wrong with it, or nothing.
std::string fault_of(std::string_view line, const store_config &so_far, setting &out) {
  if (line.size() > line_bytes_max) return "a line of " + std::to_string(line_bytes_max) + " bytes at most";
  const auto equals = line.find('=');
  out.key = trimmed(line.substr(0, equals));
  if (equals == std::string_view::npos) return "key = value, not '" + shown(line) + "'";
  out.value = trimmed(line.substr(equals + 1));
  const config_key *known = find_config_key(out.key);
  if (known == nullptr) return "one of the keys of csnap.conf(5), not '" + shown(out.key) + "'";
  if (!known->takes(out.value)) return out.key + " = " + known->expected + ", not '" + shown(out.value) + "'";
  if (!known->repeats && !so_far.value_of(out.key).empty()) return out.key + " once, and not a second time";
  return {};
}

error cannot_read(const std::string &file, int number) {
  return fail(number == ENOENT ? errc::not_found : errc::io,
              file + ": cannot read the configuration: " + std::strerror(number));
}

}  // namespace

std::string store_config::value_of(std::string_view key) const {
  const auto found =
      std::find_if(settings.begin(), settings.end(), [&](const setting &each) { return each.key == key; });
  return found == settings.end() ? std::string() : found->value;
}

std::vector<std::string> store_config::values_of(std::string_view key) const {
  std::vector<std::string> out;
  for (const setting &each : settings)
    if (each.key == key) out.push_back(each.value);
  return out;
}

std::string store_config::metadata_device() const {
  const std::string separate = value_of("metadata");
  return separate.empty() ? value_of("store") : separate;
}

result<store_config> parse_store_config(const std::string &file, std::string_view text) {
  store_config out;
  out.file = file;
  out.name = fs::path(file).filename().string();
  if (out.name.ends_with(suffix)) out.name.resize(out.name.size() - suffix.size());
  if (!is_valid_name(out.name))
    return fail(errc::invalid, file + ": " + invalid_name("the store's (the file's)", out.name).text);
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == '#') continue;
    setting made;
    if (const std::string fault = fault_of(line, out, made); !fault.empty())
      return fail(errc::invalid, file + ":" + std::to_string(number) + ": expected " + fault);
    out.settings.push_back(std::move(made));
  }
  if (out.value_of("store").empty())
    return fail(errc::invalid, file + ": expected a line store = DEVICE, which is missing");
  return out;
}

std::string config_path(std::string_view name_or_path) {
  if (name_or_path.find('/') != std::string_view::npos) return std::string(name_or_path);
  return std::string(config_directory) + "/" + std::string(name_or_path) + std::string(suffix);
}

result<store_config> read_store_config(std::string_view name_or_path) {
  const std::string file = config_path(name_or_path);
  std::error_code failed;
  const auto kind = fs::status(file, failed);
  if (!fs::exists(kind)) return cannot_read(file, failed ? failed.value() : ENOENT);
  if (!fs::is_regular_file(kind))
    return fail(errc::invalid, file + ": expected a file, not a directory or device");
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  if (!in) return cannot_read(file, errno == 0 ? EIO : errno);
  std::string text(file_bytes_max + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return cannot_read(file, EIO);
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > file_bytes_max)
    return fail(errc::invalid, file + ": expected " + format_size(file_bytes_max) + " at most");
  return parse_store_config(file, text);
}

result<std::vector<store_config>> read_store_configs(std::string_view name_or_path) {
  const std::string place = config_path(name_or_path);
  std::vector<std::string> files;
  std::error_code failed;
  if (fs::is_directory(place, failed)) {
    for (const auto &each : fs::directory_iterator(place, failed))
      if (each.path().extension() == suffix) files.push_back(each.path().string());
    if (failed) return cannot_read(place, failed.value());
    if (files.empty())
      return fail(errc::not_found, place + ": expected a file NAME.conf for each store in it");
    std::sort(files.begin(), files.end());
  } else {
    files.push_back(place);
  }
  std::vector<store_config> out;
  for (const std::string &file : files) {
    auto read = read_store_config(file);
    if (!read) return read.error();
    out.push_back(std::move(*read));
  }
  return out;
}

}  // namespace csnap::service
