"""Lion in PyTorch, which has none of its own."""

import torch

from mlbench_lion.rule import Lion
from mlbench_torch.optimizer import Trained, make_optimizer


class TorchLion(torch.optim.Optimizer):
    """One kernel per operation over all parameters of a group, as PyTorch's own optimisers do it."""

    def __init__(self, rule: Lion, trained: Trained) -> None:
        decaying = [native for parameter, native in trained if rule.decays(parameter)]
        rest = [native for parameter, native in trained if not rule.decays(parameter)]
        groups = [{"params": decaying, "decay": rule.weight_decay}, {"params": rest, "decay": 0.0}]
        super().__init__([group for group in groups if group["params"]], {})
        self.rule = rule
        self.moments = [[torch.zeros_like(native) for native in group["params"]] for group in self.param_groups]

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # no closure
        """One update."""
        rule = self.rule
        for group, moments in zip(self.param_groups, self.moments, strict=True):
            values, gradients = group["params"], [native.grad for native in group["params"]]
            directions = torch._foreach_mul(moments, rule.beta1)
            torch._foreach_add_(directions, gradients, alpha=1 - rule.beta1)
            torch._foreach_sign_(directions)
            torch._foreach_mul_(moments, rule.beta2)
            torch._foreach_add_(moments, gradients, alpha=1 - rule.beta2)
            torch._foreach_mul_(values, 1 - rule.learning_rate * group["decay"])
            torch._foreach_add_(values, directions, alpha=-rule.learning_rate)


@make_optimizer.register
def _(rule: Lion, trained: Trained, tuned: bool) -> torch.optim.Optimizer:
    return TorchLion(rule, trained)
