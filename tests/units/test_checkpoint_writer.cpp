// The thread that writes checkpoints. Named pipes in place of the files stop it in the middle of a write for as long as
// a test needs.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <limits>
#include <thread>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/random.h"
#include "mpanet/training/checkpoint_writer.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text.h"

using namespace mpanet;
namespace fs = std::filesystem;
using Files = CheckpointWriter::Files;

namespace {

constexpr std::chrono::milliseconds kMoment{100};

struct Run {
  TemporaryFolder folder;
  TrainConfig config;
  std::unique_ptr<Engine> engine;
  RunFolder run = RunFolder::create(folder / "run");
  Progression progression;

  Run() {
    for (const char* setting : {"depth=tiny", "image_size=32,16", "num_parts=2", "precision=f32"})
      set_config(config, setting);
    config.model.classes = 3;
    engine = make_engine({config.model, config.optimizer, *config.precision, Backend::cpu, 4, 0});
    engine->initialize(1);
  }
  ~Run() { run.keep(); }

  void step() {
    Batch batch;
    batch.count = 4, batch.height = 32, batch.width = 16;
    Random random(5, Purpose::Test, 0, static_cast<uint32_t>(progression.step));
    for (int i = 0; i < 4 * 32 * 16 * 3; i++) batch.images.push_back(static_cast<float>(random.normal()));
    batch.labels = {1, 1, 2, 2};
    batch.infrared = {1, 0, 1, 0};
    engine->step(batch, 1e-3, 1);
    progression.step++;
  }
  // The bytes of last.safetensors for the present state.
  std::string expected() {
    save_training(folder / "expected", *engine->snapshot(), config, progression);
    return read_text(folder / "expected");
  }
  void set_value(double value) {
    const TensorInfo& tensor = engine->tensors().front();
    engine->write(tensor.name, Slot::Value, std::vector<double>(static_cast<size_t>(tensor.count()), value).data());
  }
};

// A named pipe, open for reading. A writer stops when the pipe is full, until read() has taken what it wrote.
class Pipe {
 public:
  explicit Pipe(const std::string& path) {
    REQUIRE(mkfifo(path.c_str(), 0600) == 0);
    descriptor_ = Descriptor(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    REQUIRE(descriptor_);
  }
  // So many bytes, also of several writers one after the other.
  std::string read(size_t bytes) const {
    std::string text(bytes, ' ');
    for (size_t done = 0; done < bytes;) {
      const ssize_t got = ::read(descriptor_.get(), text.data() + done, bytes - done);
      if (got > 0)
        done += static_cast<size_t>(got);
      else
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return text;
  }

 private:
  Descriptor descriptor_;
};

}  // namespace

TEST_CASE("steps go on while a checkpoint is written; the next one waits for it") {
  Run run;
  const Pipe pipe(run.run.last());
  CheckpointWriter writer(*run.engine, run.config, run.run, -1);
  run.step();
  const std::string first = run.expected();
  writer.start(run.progression, Files::Last);  // fills the pipe and stops there
  for (int i = 0; i < 3; i++) {
    run.step();
    writer.check(run.progression.step);
  }
  const std::string second = run.expected();
  CHECK(first != second);

  std::atomic<bool> started = false;
  std::jthread next([&] {
    writer.start(run.progression, Files::Last);
    started = true;
  });
  std::this_thread::sleep_for(kMoment);
  CHECK(!started);
  CHECK(pipe.read(first.size()) == first);
  CHECK(pipe.read(second.size()) == second);
  next.join();
  writer.finish(run.progression.step);
  CHECK(writer.held() == run.run.last() + " still holds step 4");
}

TEST_CASE("the best model is complete before the checkpoint that tells of it") {
  Run run;
  CheckpointWriter writer(*run.engine, run.config, run.run, -1);
  run.step();
  const std::string last = run.expected();
  save_model(run.folder / "model", *run.engine->snapshot(), run.config, 1);
  const std::string model = read_text(run.folder / "model");
  const Pipe pipe(run.run.best());
  writer.start(run.progression, Files::BestAndLast);
  CHECK(pipe.read(model.size() / 2) == model.substr(0, model.size() / 2));
  std::this_thread::sleep_for(kMoment);
  CHECK(!fs::exists(run.run.last()));
  pipe.read(model.size() - model.size() / 2);
  writer.finish(1);
  CHECK(read_text(run.run.last()) == last);
}

TEST_CASE("a write that fails is told once, with the step that is held and what is lost") {
  Run run;
  CheckpointWriter writer(*run.engine, run.config, run.run, -1);
  CHECK(writer.held() == "there is no " + run.run.last() + " yet");
  run.step();
  writer.start(run.progression, Files::Last);
  writer.finish(1);
  const std::string before = read_text(run.run.last());
  fs::create_directory(run.run.best());  // cannot be replaced by a file
  run.step();
  writer.start(run.progression, Files::BestAndLast);
  std::string told;
  for (int step = 2; told.empty() && step < 5000; step++) {
    told = error_of([&] { writer.check(3); });
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const std::string held = run.run.last() + " still holds step 1";
  CHECK(told == run.run.best() + ": expected a file to write, got a folder; " + held + "; lost: 2 steps");
  CHECK(error_of([&] { writer.finish(3); }).empty());
  CHECK(read_text(run.run.last()) == before);

  // The same for a second start(), and within the message of another error.
  writer.start(run.progression, Files::BestAndLast);
  CHECK(error_of([&] { writer.start(run.progression, Files::Last); }) ==
        run.run.best() + ": expected a file to write, got a folder; " + held + "; lost: 1 step");
  writer.start(run.progression, Files::BestAndLast);
  CHECK(writer.held() == held + " (not step 2: " + run.run.best() + ": expected a file to write, got a folder)");
  CHECK(writer.held() == held);
}

TEST_CASE("weights that are not finite are never written") {
  Run run;
  CheckpointWriter writer(*run.engine, run.config, run.run, -1);
  run.step();
  writer.start(run.progression, Files::Last);
  writer.finish(1);
  const std::string before = read_text(run.run.last());
  run.step();
  run.set_value(std::numeric_limits<double>::quiet_NaN());
  writer.start(run.progression, Files::Last);
  CHECK(error_of([&] { writer.finish(2); }) ==
        fmt::format("step 2 (epoch 1): tensor {} holds nan; {} still holds step 1; a lower lr may help",
                    run.engine->tensors().front().name, run.run.last()));
  CHECK(read_text(run.run.last()) == before);
}

TEST_CASE("the end of the writer waits for its file") {
  Run run;
  std::string expected;
  {
    CheckpointWriter writer(*run.engine, run.config, run.run, -1);
    run.step();
    expected = run.expected();
    writer.start(run.progression, Files::Last);
  }
  CHECK(read_text(run.run.last()) == expected);
}
