"""VideoChat2's visual half in miniature: a ViT over frames, a LayerNorm, a Q-Former with text, a projection.

The structure is upstream's (``models/blip2/vit.py``, ``models/blip2/Qformer.py``, ``videochat2_it_mistral.py``); the
widths are not. LayerNorm and softmax compute in float32, as CUDA's autocast makes them and a CPU's does not.
"""

from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from .model import CHANNELS, FRAMES, SIZE, WORDS

WIDTH, PATCH = 32, 8
QUERIES, EXTRA_QUERIES = 4, 4
_HEADS, _BLOCKS = 4, 2
_EPSILON = 1e-12


class Norm(nn.LayerNorm):
    """LayerNorm in float32 that gives its input's dtype back."""

    def forward(self, states: Any) -> Any:
        """Normalise ``states``, of shape (…, width)."""
        weight, bias = self.weight.float(), self.bias.float()
        made = nn.functional.layer_norm(states.float(), self.normalized_shape, weight, bias, self.eps)
        return made.to(states.dtype)


class Attention(nn.Module):
    """Multi-head attention with the query scaled before the product, as upstream's ViT does."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, states: Any, context: Any, mask: Any = None) -> Any:
        """Attend from ``states`` (rows, length, width) to ``context``; ``mask`` is 1 where there is something."""
        rows, length, width = states.shape
        size = width // _HEADS

        def heads(made: Any) -> Any:
            return made.view(rows, -1, _HEADS, size).transpose(1, 2)

        query = heads(self.query(states)) * size**-0.5
        scores = query @ heads(self.key(context)).transpose(-2, -1)
        if mask is not None:
            scores = scores + (1.0 - mask[:, None, None, :].to(scores.dtype)) * -10000.0
        shares = scores.float().softmax(dim=-1).to(scores.dtype)
        mixed = (shares @ heads(self.value(context))).transpose(1, 2).reshape(rows, length, width)
        return self.out(mixed)


class Block(nn.Module):
    """Pre-norm transformer block; with ``crossed`` it attends to a context as well."""

    def __init__(self, width: int, *, crossed: bool = False) -> None:
        super().__init__()
        self.norm1 = Norm(width, eps=_EPSILON)
        self.attention = Attention(width)
        self.cross = Attention(width) if crossed else None
        self.norm2 = Norm(width, eps=_EPSILON)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, states: Any, mask: Any = None, context: Any = None) -> Any:
        """Return the next states, of the same shape (rows, length, width)."""
        normed = self.norm1(states)
        states = states + self.attention(normed, normed, mask)
        if self.cross is not None and context is not None:
            states = states + self.cross(states, context)
        return states + self.mlp(self.norm2(states))


class VisionTower(nn.Module):
    """ViT over the patches of all frames, with gradient checkpointing."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv3d(CHANNELS, WIDTH, kernel_size=(1, PATCH, PATCH), stride=(1, PATCH, PATCH))
        tokens = FRAMES * (SIZE // PATCH) ** 2
        self.position = nn.Parameter(torch.randn(1, tokens, WIDTH) * 0.02)
        self.blocks = nn.ModuleList(Block(WIDTH) for _ in range(_BLOCKS))

    def forward(self, video: Any) -> Any:
        """Return the tokens (rows, frames * patches, width) of ``video`` (rows, frames, channels, height, width)."""
        patches = self.patch(video.permute(0, 2, 1, 3, 4))
        states = patches.flatten(2).transpose(1, 2) + self.position
        for block in self.blocks:
            states = checkpoint(block, states, use_reentrant=False) if torch.is_grad_enabled() else block(states)
        return states


class QFormer(nn.Module):
    """Query tokens, extra query tokens and text attend to each other and to the visual tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.query_tokens = nn.Parameter(torch.randn(1, QUERIES, WIDTH) * 0.02)
        # Zero in upstream until its stage-2 checkpoint is loaded; then like the others.
        self.extra_query_tokens = nn.Parameter(torch.randn(1, EXTRA_QUERIES, WIDTH) * 0.02)
        self.words = nn.Embedding(WORDS, WIDTH)
        self.norm = Norm(WIDTH, eps=_EPSILON)
        self.blocks = nn.ModuleList(Block(WIDTH, crossed=True) for _ in range(_BLOCKS))

    def forward(self, visual: Any, text: Any, text_mask: Any) -> Any:
        """Return the outputs of the queries, of shape (rows, queries + extra queries, width)."""
        queries = torch.cat([self.query_tokens, self.extra_query_tokens], dim=1).expand(visual.shape[0], -1, -1)
        states = self.norm(torch.cat([queries, self.words(text)], dim=1))
        mask = torch.cat([torch.ones_like(queries[..., 0]), text_mask.to(queries.dtype)], dim=1)
        for block in self.blocks:
            states = block(states, mask, visual)
        return states[:, : queries.shape[1]]


class VideoChat2(nn.Module):
    """The visual half and a language model, wired as ``VideoChat2_it_mistral.forward`` wires them."""

    def __init__(self, language: Any, hidden: int) -> None:
        super().__init__()
        self.vision_encoder = VisionTower()
        self.vision_layernorm = Norm(WIDTH)
        self.qformer = QFormer()
        self.mistral_proj = nn.Linear(WIDTH, hidden)
        self.mistral_model = language

    def forward(self, batch: Any, maybe_autocast: Any) -> Any:
        """Return the loss on ``batch``; ``maybe_autocast()`` makes the region that upstream enters twice."""
        with maybe_autocast():
            visual = self.vision_layernorm(self.vision_encoder(batch.video))
            queries = self.qformer(visual, batch.text, batch.text_mask)
        visual_embeds = self.mistral_proj(queries)
        embeds = self.mistral_model.get_input_embeddings()(batch.ids).detach().clone()
        # After the beginning-of-sequence token, as upstream fills the place that its prompt leaves for the video.
        embeds[:, 1 : 1 + visual_embeds.shape[1]] = visual_embeds.to(embeds.dtype)
        with maybe_autocast():
            return self.mistral_model(inputs_embeds=embeds, attention_mask=batch.mask, labels=batch.labels).loss
