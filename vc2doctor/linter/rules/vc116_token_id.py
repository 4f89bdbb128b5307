"""A token id that is assigned into an embedding tensor.

**What it does.** Reports assignments such as `inputs_embeds[:, :1] = tokenizer.bos_token_id`.

**Why is this bad.** The assignment writes the number of the token into every component of the vector, and not its
embedding: with Mistral's id 1 a vector of ones, with Llama 3's 128000 an inf in float16. It comes from code where the
tensor still held ids.

**Example**

    inputs_embeds = embed_tokens(ids)
    inputs_embeds[:, :1] = tokenizer.bos_token_id

**Use instead**

    ids[:, :1] = tokenizer.bos_token_id
    inputs_embeds = embed_tokens(ids)

**How to fix.** Write the id into the ids before they are embedded, or write the embedding of the id. A model that was
trained with the fault expects it: then keep the line, and add `# vc2doctor: ignore[VC116]`.

**Quiet.** No finding where the tensor holds ids. A note in code that only infers.

**References**

* https://github.com/OpenGVLab/Ask-Anything/issues/190
"""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import Stage, words
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Place, last_name, root_name

_EMBEDDING_WORDS = {"embeds", "embed", "embeddings", "embedding", "embs"}


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Yield assignments of a token id into an embedding tensor."""
    for module in facts.code.files.modules.values():
        if "token_id" in module.source.text:
            for place in module.statements:
                target = _embedding_that_gets_id(place)
                if target is not None:
                    yield _id_in_embedding(facts, place, target)


def _embedding_that_gets_id(place: Place) -> ast.Subscript | None:
    """Return the target of ``inputs_embeds[…] = tokenizer.bos_token_id``; ``None`` for other statements."""
    match place.statement:
        case ast.Assign(targets=[ast.Subscript(value=tensor) as target, *_], value=value):
            name = tensor.attr if isinstance(tensor, ast.Attribute) else root_name(target)
            # `model.get_input_embeddings().weight.data[0]`
            text = ast.unparse(tensor) if name in ("weight", "data") else name
            is_embedding = bool(words(text.replace("_", " ")) & _EMBEDDING_WORDS)
            return target if is_embedding and last_name(value).endswith("token_id") else None
    return None


def _id_in_embedding(facts: Facts, place: Place, target: ast.Subscript) -> CodeFinding:
    return build.at_node(
        place.module,
        place.statement or target,
        "VC116",
        Severity.NOTE if facts.stages.of(place) is Stage.INFERS else Severity.WARNING,
        f"{build.code(target)} holds embeddings, and the number of a token is written into it",
        remedy="Write the id into the ids before they are embedded, or write the embedding of the id.",
        url="https://github.com/OpenGVLab/Ask-Anything/issues/190",
    )
