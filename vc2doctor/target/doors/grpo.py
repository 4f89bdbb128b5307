"""The door ``trl.GRPOTrainer``: reinforcement learning with a reward function."""

from typing import Any, List, Optional

from . import Door, trl_kit


def _load() -> None:
    trl_kit.load("GRPOTrainer", "GRPOConfig")


def _reward(completions: List[Any], **_: Any) -> List[float]:
    """Return rewards that differ within a group: equal ones have no advantage, so nothing would move."""
    return [float(number % 2) for number in range(len(completions))]


def _train(kit: Any) -> List[Optional[float]]:
    rows = [{"prompt": "w1 w2 w3"} for _ in kit.texts()]
    return trl_kit.train(
        kit,
        "GRPOTrainer",
        "GRPOConfig",
        rows,
        reward_funcs=[_reward],
        num_generations=2,
        max_prompt_length=8,
        max_completion_length=4,
        # With 0 (the default of newer releases) the first loss is 0 whatever the model does.
        beta=0.1,
    )


DOOR = Door(
    name="grpo",
    title="trl's GRPOTrainer",
    modules=("trl", "datasets"),
    signs=("trl.GRPOTrainer", "trl.GRPOConfig"),
    load=_load,
    train=_train,
    fault="trl:GRPOTrainer.train",
    parent="trainer",
)
