#include "losses/losses.h"

namespace mpanet::PRECISION {

RealTensor weighted_sum(Context& context, const std::vector<WeightedTerm>& list) {
  Terms terms;
  MPANET_CHECK(list.size() <= std::size(terms.value), "at most {} terms, got {}", std::size(terms.value), list.size());
  for (const WeightedTerm& term : list) {
    terms.value[terms.count] = term.value.data();
    terms.weight[terms.count++] = static_cast<real>(term.weight);
  }
  const RealTensor total(context, {1}, context.recording());
  RUN_ON(context, weighted_sum_forward(context.stream(), terms, total.data()));
  if (context.recording())
    context.tape().record("weighted_sum", [=, &context] {
      if (!total.has_grad()) return;
      for (const WeightedTerm& term : list) {
        const auto [gradient, write] = term.value.grad_sink();
        RUN_ON(context,
               weighted_sum_backward(context.stream(), total.grad(), static_cast<real>(term.weight), gradient, write));
      }
    });
  return total;
}

}  // namespace mpanet::PRECISION
