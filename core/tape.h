// The tape records the ops of a forward pass for the backward pass. An op's forward pushes one closure that runs its
// backward; both are in one function (layers/, losses/). backward() pops the list from its end, without recursion. Each
// closure is destroyed as soon as it ran, which releases the memory of its tensors.
#pragma once
#include <functional>
#include <utility>
#include <vector>

namespace mpanet {

class Tape {
 public:
  // `backward` must do nothing when its output got no gradient (TensorOf::has_grad).
  void record(const char* op, std::function<void()> backward) { steps_.push_back({op, std::move(backward)}); }

  // `work` is run once, at the end of the next backward(), after every op's: for work that several ops leave to be done
  // together.
  void record_end(const char* op, std::function<void()> work) { ends_.push_back({op, std::move(work)}); }

  // Runs every closure, the last one first. An error names the op and leaves the tape empty.
  void backward();
  void clear() {
    while (!steps_.empty()) steps_.pop_back();
    ends_.clear();
  }
  size_t size() const { return steps_.size(); }

 private:
  struct Step {
    const char* op;
    std::function<void()> backward;
  };
  void run_last(std::vector<Step>& steps);
  std::vector<Step> steps_, ends_;
};

}  // namespace mpanet
