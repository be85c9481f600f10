// scripts/train.slurm with stand-ins for SLURM's programs: SIGUSR1 before the time limit, the requeue, and the same
// bytes as in one go.
#include <filesystem>

#include "mpanet/files/checkpoint.h"
#include "tests/support/stand_ins.h"
#include "tests/support/train_program.h"

using namespace mpanet;

namespace {

// Runs the job script. `signal`: SIGUSR1 reaches the training after a few steps of a run in this folder.
int run_job(const StandIns& slurm, const Arguments& arguments, const std::string& signalled = "") {
  Arguments all = {"/usr/bin/env", "PATH=" + slurm.path() + ":/usr/bin:/bin", "SLURM_JOB_ID=4711",
                   "MPANET_TRAIN=" PROGRAMS "/mpanet-train", "SIGNALLED=" + signalled};
  all.insert(all.end(), {SOURCE_DIR "/scripts/train.slurm"});
  all.insert(all.end(), arguments.begin() + 1, arguments.end());
  Process job(all);
  return job.wait();
}

}  // namespace

TEST_CASE("a SLURM job: saved before its time limit, queued again, and the same bytes in the end" *
          doctest::skip(kLacking)) {
  TemporaryFolder folder;
  StandIns slurm;
  slurm.write("srun", R"sh([ -n "$SIGNALLED" ] || exec "$@"
"$@" &
until [ "$(wc -l <"$SIGNALLED/log.jsonl")" -ge 4 ] 2>/dev/null || ! kill -0 $!; do sleep 0.01; done
kill -USR1 $!
wait $!)sh");
  slurm.write("scontrol", "echo \"$@\" >>'" + folder / "requeued'");
  const std::string run = folder / "run";
  Arguments job = no_evaluation(command(folder, "run", {"--set", "num_epoch=1000"}));
  CHECK(run_job(slurm, job, run) == 0);
  CHECK(read_text(folder / "requeued") == "requeue 4711\n");
  const int64_t step = Checkpoint(run + "/last.safetensors").progression()->step;
  CHECK(step >= 4);

  const Arguments stop = {"--max-steps", std::to_string(step + 5)};
  job.insert(job.end(), stop.begin(), stop.end());
  CHECK(run_job(slurm, job) == 0);
  Arguments whole = no_evaluation(command(folder, "whole", {"--set", "num_epoch=1000"}));
  whole.insert(whole.end(), stop.begin(), stop.end());
  check_works(whole);
  CHECK(read_text(run + "/last.safetensors") == read_text(folder / "whole/last.safetensors"));
  CHECK(timeless(run) == timeless(folder / "whole"));

  // An error is not queued again.
  job.insert(job.end(), {"--set", "p_size=5000"});
  CHECK(run_job(slurm, job) == 2);
  CHECK(read_text(folder / "requeued") == "requeue 4711\n");
}
