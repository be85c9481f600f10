// The lines of log.jsonl in the forms that spreadsheets and TensorBoard read: a row of log.csv, a record of an event
// file. Both files are made from log.jsonl and hold nothing else, except for times of events.
#pragma once
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mpanet {

// The first line of log.csv, and the row of a line of the log: a value per column, empty where the line has none or
// null. An evaluation's metrics are those of its first result. Both end in a newline.
std::string csv_head();
std::string csv_row(const nlohmann::ordered_json& line);

// The scalars of a line of the log with their names in TensorBoard: "loss/total" of a step, "epoch/total" of an epoch's
// mean, "evaluation/rank1/all single: infrared queries, visible gallery". Values that are null are left out.
std::vector<std::pair<std::string, double>> event_scalars(const nlohmann::ordered_json& line);

// TensorFlow's event files: records of a length, its checksum, a protocol buffer "Event" and its checksum (CRC-32C,
// rotated). The first record has the format's version. `time`: seconds since 1970.
std::string event_head(double time);
std::string event_record(double time, int64_t step, const std::vector<std::pair<std::string, double>>& scalars);
// The time of the first event of each step in a file that event_record() wrote. Ends at damage.
std::map<int64_t, double> event_times(std::string_view file);

// CRC-32C (Castagnoli).
uint32_t crc32c(std::string_view bytes);

}  // namespace mpanet
