"""VideoChat2 in miniature: a ViT over frames, a LayerNorm, a Q-Former with text, a projection, the language model.

The structure is that of upstream at commit 4dd8210 (``models/blip2/vit.py``, ``models/blip2/Qformer.py``,
``models/videochat_mistra/videochat2_it_mistral.py``). The widths are much smaller.
"""

from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from ..shared.spec import Shape
from .language_model import BOS, CHANNELS, PAD, PROMPT_TOKENS, QFORMER_VOCABULARY

_HEADS = 4
_VIT_EPSILON, _BERT_EPSILON = 1e-6, 1e-12
_INITIAL_STD = 0.02
_MASK_VALUE = -10000.0
"""Added to the scores of hidden tokens, as BERT does."""


def _is_autocast_on() -> bool:
    try:
        return bool(torch.is_autocast_enabled("cpu"))
    except TypeError:  # torch before 2.4
        return bool(torch.is_autocast_cpu_enabled())


def _as_on_cuda(states: Any) -> Any:
    """Return ``states`` in the dtype in which CUDA's autocast computes norms and softmax: float32.

    A CPU's autocast leaves them in half precision, so that on a CPU the cast has to be done here.
    """
    if states.device.type != "cpu":
        return states
    return states.float() if _is_autocast_on() else states


class Norm(nn.LayerNorm):
    """LayerNorm, in the dtype in which a GPU would compute it."""

    def forward(self, states: Any) -> Any:
        """Normalize ``states``, of shape (…, width)."""
        states = _as_on_cuda(states)
        weight, bias = self.weight.to(states.dtype), self.bias.to(states.dtype)
        return nn.functional.layer_norm(states, self.normalized_shape, weight, bias, self.eps)


class Attention(nn.Module):
    """Multi-head attention with the query scaled before the product, as upstream's ViT does."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, states: Any, context: Any, mask: Any = None) -> Any:
        """Attend from ``states`` (rows, length, width) to ``context``; ``mask`` is 1 for the tokens to attend to."""
        rows, length, width = states.shape
        size = width // _HEADS

        def heads(projected: Any) -> Any:
            return projected.view(rows, -1, _HEADS, size).transpose(1, 2)

        query = heads(self.query(states)) * size**-0.5
        scores = query @ heads(self.key(context)).transpose(-2, -1)
        if mask is not None:
            scores = scores + (1.0 - mask[:, None, None, :].to(scores.dtype)) * _MASK_VALUE
        weights = _as_on_cuda(scores).softmax(dim=-1)
        value = heads(self.value(context))
        mixed = (weights.to(value.dtype) @ value).transpose(1, 2).reshape(rows, length, width)
        return self.out(mixed)


def _feed_forward(width: int) -> Any:
    return nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))


class VisionBlock(nn.Module):
    """Block of the ViT, with norms before attention and feed-forward."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = Norm(width, eps=_VIT_EPSILON)
        self.attention = Attention(width)
        self.norm2 = Norm(width, eps=_VIT_EPSILON)
        self.mlp = _feed_forward(width)

    def forward(self, states: Any) -> Any:
        """Return the next states, of the same shape (rows, length, width)."""
        normed = self.norm1(states)
        states = states + self.attention(normed, normed)
        return states + self.mlp(self.norm2(states))


class VisionTower(nn.Module):
    """ViT over the patches of all frames, with gradient checkpointing."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        patch_size = (1, shape.patch, shape.patch)
        self.patch = nn.Conv3d(CHANNELS, shape.vision_width, kernel_size=patch_size, stride=patch_size)
        tokens = shape.frames * (shape.image // shape.patch) ** 2
        self.position = nn.Parameter(torch.randn(1, tokens, shape.vision_width) * _INITIAL_STD)
        self.blocks = nn.ModuleList(VisionBlock(shape.vision_width) for _ in range(shape.vision_blocks))

    def forward(self, video: Any) -> Any:
        """Return the tokens (rows, frames * patches, width) of ``video`` (rows, frames, channels, height, width)."""
        patches = self.patch(video.permute(0, 2, 1, 3, 4))
        states = patches.flatten(2).transpose(1, 2) + self.position
        for block in self.blocks:
            states = checkpoint(block, states, use_reentrant=False) if torch.is_grad_enabled() else block(states)
        return states


class QFormerBlock(nn.Module):
    """BERT's block with norms after each sum; only the queries attend to the video.

    Queries and text have feed-forwards of their own. The last block has none for the text, whose output is not used.
    """

    def __init__(self, width: int, *, cross_attends: bool, last: bool) -> None:
        super().__init__()
        self.attention = Attention(width)
        self.norm = Norm(width, eps=_BERT_EPSILON)
        self.cross = Attention(width) if cross_attends else None
        self.cross_norm = Norm(width, eps=_BERT_EPSILON) if cross_attends else None
        self.mlp_query = _feed_forward(width)
        self.norm_query = Norm(width, eps=_BERT_EPSILON)
        self.mlp_text = None if last else _feed_forward(width)
        self.norm_text = None if last else Norm(width, eps=_BERT_EPSILON)

    def forward(self, states: Any, mask: Any, visual: Any, queries: int) -> Any:
        """Return the next states (rows, queries + words, width). The last block returns those of the queries only."""
        states = self.norm(states + self.attention(states, states, mask))
        query, text = states[:, :queries], states[:, queries:]
        if self.cross is not None and self.cross_norm is not None:
            query = self.cross_norm(query + self.cross(query, visual))
        query = self.norm_query(query + self.mlp_query(query))
        if self.mlp_text is None or self.norm_text is None:
            return query
        text = self.norm_text(text + self.mlp_text(text))
        return torch.cat([query, text], dim=1)


class QFormer(nn.Module):
    """BERT over queries and text; every other block attends to the visual tokens."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.vision_width
        self.words = nn.Embedding(QFORMER_VOCABULARY, width)
        self.norm = Norm(width, eps=_BERT_EPSILON)
        self.blocks = nn.ModuleList(
            QFormerBlock(width, cross_attends=number % 2 == 0, last=number + 1 == shape.qformer_blocks)
            for number in range(shape.qformer_blocks)
        )

    def forward(self, queries: Any, text: Any, text_mask: Any, visual: Any) -> Any:
        """Return the output of the queries, of shape (rows, queries, width)."""
        states = self.norm(torch.cat([queries, self.words(text)], dim=1))
        mask = torch.cat([torch.ones_like(text_mask[:, :1]).expand(-1, queries.shape[1]), text_mask], dim=1)
        for block in self.blocks:
            states = block(states, mask, visual, queries.shape[1])
        return states


class VideoChat2(nn.Module):
    """The visual part and a language model, connected as in upstream's ``VideoChat2_it_mistral``."""

    def __init__(self, shape: Shape, language: Any) -> None:
        super().__init__()
        width = shape.vision_width
        self.vision_encoder = VisionTower(shape)
        self.vision_layernorm = Norm(width, eps=_BERT_EPSILON)
        self.qformer = QFormer(shape)
        self.query_tokens = nn.Parameter(torch.randn(1, shape.queries, width) * _INITIAL_STD)
        # Upstream initializes them to zero, and then loads its stage-2 checkpoint, in which they look like the others.
        self.extra_query_tokens = nn.Parameter(torch.randn(1, shape.extra_queries, width) * _INITIAL_STD)
        self.mistral_proj = nn.Linear(width, shape.hidden)
        self.mistral_model = language

    def encode(self, batch: Any, maybe_autocast: Any) -> Any:
        """Return the visual embeddings, of shape (rows, queries, hidden)."""
        with maybe_autocast():
            visual = self.vision_layernorm(self.vision_encoder(batch.video))
            queries = torch.cat([self.query_tokens, self.extra_query_tokens], dim=1).expand(len(visual), -1, -1)
            return self.mistral_proj(self.qformer(queries, batch.text, batch.text_mask, visual))

    def forward(self, batch: Any, maybe_autocast: Any) -> Any:
        """Return the loss on ``batch``; ``maybe_autocast()`` returns the autocast region that upstream enters twice."""
        visual = self.encode(batch, maybe_autocast)
        embed = self.mistral_model.get_input_embeddings()
        embeds = embed(torch.full_like(batch.ids, PAD)).detach()
        # Upstream writes the id of the first token where its embedding belongs. That is harmless for the range.
        embeds[:, :1] = BOS
        start = 1 + PROMPT_TOKENS
        for row, ids in enumerate(batch.ids):
            count = int(batch.mask[row].sum())
            # Upstream joins text and video outside maybe_autocast(), so only the outer autocast applies here.
            parts = [
                embed(ids[None, 1:start]),
                visual[row : row + 1],
                embed(ids[None, start + visual.shape[1] : count]),
            ]
            embeds[row, 1:count] = torch.cat(parts, dim=1)[0]
        with maybe_autocast():
            return self.mistral_model(inputs_embeds=embeds, attention_mask=batch.mask, labels=batch.labels).loss
