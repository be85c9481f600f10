#include <tuple>

#include "losses/losses.h"

namespace mpanet::PRECISION {

RealTensor weighted_sum(Context& context, const std::vector<WeightedTerm>& list, real* record) {
  Terms terms;
  MPANET_CHECK(list.size() <= std::size(terms.value), "at most {} terms, got {}", std::size(terms.value), list.size());
  for (const WeightedTerm& term : list) {
    terms.value[terms.count] = term.value.data();
    terms.weight[terms.count++] = static_cast<real>(term.weight);
  }
  const RealTensor total(context, {1}, context.recording());
  RUN_ON(context, weighted_sum_forward(context.stream(), terms, total.data(), record));
  if (context.recording())
    context.tape().record("weighted_sum", [=, &context] {
      if (!total.has_grad()) return;
      TermGradients gradients;
      for (size_t i = 0; i < list.size(); i++)
        std::tie(gradients.to[i], gradients.write[i]) = list[i].value.grad_sink();
      RUN_ON(context, weighted_sum_backward(context.stream(), total.grad(), terms, gradients));
    });
  return total;
}

}  // namespace mpanet::PRECISION
