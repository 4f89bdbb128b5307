"""Measures how far trainer and rollout disagree on the same tokens: by dtype, and by how many rows share a batch.

Reinforcement learning weighs each token by the ratio of its probabilities in the trainer and in the rollout. Before the
first update both have the same weights, so the ratio should be 1:
https://github.com/verl-project/verl/issues/6280, https://github.com/huggingface/trl/issues/6789.
"""

from typing import Any, Dict, List, NamedTuple, Tuple

from ..runtime import EventSink, Runtime
from ..shared.spec import Spec
from . import checkpoint, language_model, training
from .exceptions import describe
from .tensors import finite_or_none

DTYPES = ("float32", "bfloat16", "float16")
"""float32 comes first: the tokens are sampled from it."""
TRAINER_ROWS, ROLLOUT_ROWS = 8, 1
"""Rows that share a batch."""
ROWS = {"cpu": 16, "cuda": 64}
NEW_TOKENS = {"cpu": 32, "cuda": 128}
"""By the type of the device. A CPU needs seconds for each row in float16."""
PROMPT_TOKENS = 8
BAND = (0.9, 1.1)
"""Ratios within it count as equal: the band of the two reports above."""


class Rollouts(NamedTuple):
    """Sampled rows: ids and mask of shape (rows, length). The first ``PROMPT_TOKENS`` of each row are the prompt."""

    ids: Any
    mask: Any


def run(events: EventSink, runtime: Runtime, spec: Spec) -> None:
    """Emit one ``log-ratio`` event for each pair of trainer's and rollout's dtype.

    The trainer scores ``TRAINER_ROWS`` rows at a time, and the rollout one. A dtype that fails is ``log-ratio-failed``.
    """
    with runtime.torch.no_grad():
        scores: Dict[Tuple[str, int], Any] = {}
        rollouts = None
        for dtype in DTYPES:
            events.emit("measuring", name="log-ratios in " + dtype)
            try:
                model = _model(runtime, spec, dtype)
                rollouts = rollouts or _sample(runtime, spec, model)
                for rows in (TRAINER_ROWS, ROLLOUT_ROWS):
                    scores[dtype, rows] = _score(runtime, model, rollouts, rows)
            except Exception as error:  # noqa: BLE001 - a device can lack a dtype, and a model can fail in one
                events.emit("log-ratio-failed", dtype=dtype, error=describe(error))
        for trainer in DTYPES:
            for rollout in DTYPES:
                pair = (trainer, TRAINER_ROWS), (rollout, ROLLOUT_ROWS)
                if all(key in scores for key in pair):
                    facts = _compare(runtime.torch, *(scores[key] for key in pair))
                    events.emit("log-ratio", trainer=trainer, rollout=rollout, **facts)


def _model(runtime: Runtime, spec: Spec, dtype: str) -> Any:
    if runtime.checkpoint is None:
        return language_model.base_model(runtime, spec, dtype).eval()
    return checkpoint.plain_model(runtime, runtime.checkpoint, dtype).eval()


def _sample(runtime: Runtime, spec: Spec, model: Any) -> Rollouts:
    """Sample rows from ``model`` at temperature 1, from the whole vocabulary, as the trainers' defaults do."""
    device = runtime.device.type if runtime.device.type in ROWS else "cpu"
    prompts = _prompts(runtime, spec, ROWS[device])
    training.seed_all(runtime, spec)
    tokenizer = runtime.checkpoint.tokenizer if runtime.checkpoint is not None else None
    end = getattr(tokenizer, "eos_token_id", None)
    ids = model.generate(
        input_ids=prompts,
        attention_mask=runtime.torch.ones_like(prompts),
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        max_new_tokens=NEW_TOKENS[device],
        pad_token_id=end if end is not None else language_model.PAD,
    )
    return Rollouts(ids, _until_end(runtime.torch, ids, end))


def _prompts(runtime: Runtime, spec: Spec, count: int) -> Any:
    """Return ``count`` prompts: the first tokens of the texts, or random ones for the miniature."""
    torch = runtime.torch
    if runtime.checkpoint is None:
        generator = torch.Generator().manual_seed(spec.seed)
        shape = (count, PROMPT_TOKENS)
        prompts = torch.randint(language_model.FIRST_WORD, spec.shape.vocabulary, shape, generator=generator)
        return prompts.to(runtime.device)
    tokenizer = runtime.checkpoint.tokenizer
    rows = [tokenizer(text)["input_ids"] for text in spec.texts]
    # Later prompts begin further on in the same texts.
    windows = [row[start : start + PROMPT_TOKENS] for start in range(0, 256, PROMPT_TOKENS) for row in rows]
    full = [window for window in windows if len(window) == PROMPT_TOKENS]
    if not full:
        raise ValueError("no text is %d tokens long. Pass longer texts." % PROMPT_TOKENS)
    return torch.tensor([full[number % len(full)] for number in range(count)]).to(runtime.device)


def _until_end(torch: Any, ids: Any, end: Any) -> Any:
    """Return the mask of ``ids``: 1 up to the first end-of-sequence token after the prompt."""
    mask = torch.ones_like(ids)
    if end is not None:
        ended = (ids[:, PROMPT_TOKENS:] == end).long().cumsum(dim=1)
        # The end itself was sampled as well.
        mask[:, PROMPT_TOKENS:] = ((ended == 0) | ((ended == 1) & (ids[:, PROMPT_TOKENS:] == end))).long()
    return mask


def _score(runtime: Runtime, model: Any, rollouts: Rollouts, rows: int) -> Any:
    """Return the log-probability of each sampled token, in order, with ``rows`` rows in a batch."""
    torch = runtime.torch
    scores: List[Any] = []
    for start in range(0, rollouts.ids.shape[0], rows):
        mask = rollouts.mask[start : start + rows]
        length = int(mask.sum(dim=1).max())
        mask, ids = mask[:, :length], rollouts.ids[start : start + rows, :length]
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        # The trainers compute the softmax in float32, too.
        every = torch.log_softmax(logits[:, :-1].float(), dim=-1)
        chosen = every.gather(-1, ids[:, 1:, None])[..., 0]
        sampled = mask[:, 1:].bool()
        sampled[:, : PROMPT_TOKENS - 1] = False
        scores.append(chosen[sampled])
    return torch.cat(scores)


def _compare(torch: Any, trainer: Any, rollout: Any) -> Dict[str, Any]:
    """Return facts on the ratios of the probabilities of the same tokens."""
    differences = trainer - rollout
    ratios = torch.exp(differences)
    # A ratio that is NaN is in no band.
    within = (ratios >= BAND[0]) & (ratios <= BAND[1])
    return {
        "tokens": int(ratios.numel()),
        "outside": round(1.0 - float(within.float().mean()), 6),
        "mean": finite_or_none(float(differences.mean())),
        "mean_size": finite_or_none(float(differences.abs().mean())),
        "largest": finite_or_none(float(differences.abs().max())),
    }
