"""A token id is assigned into an embedding tensor.

**Why.** `inputs_embeds[:, :1] = tokenizer.bos_token_id` writes the *number* of the token into every component of the
vector, not its embedding: with Mistral's id 1 a vector of ones, with Llama 3's 128000 an inf in float16. It comes from
code where the tensor still held ids.

**Bad**

    inputs_embeds = embed_tokens(ids)
    inputs_embeds[:, :1] = tokenizer.bos_token_id

**Good**

    ids[:, :1] = tokenizer.bos_token_id
    inputs_embeds = embed_tokens(ids)

**Quiet** where the tensor holds ids.

**Silence** a line with `# vc2doctor: ignore[VC116]`. A model that was trained with the fault expects it: then keep it.

**Since** this is no matter of versions.
"""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import Stage, words
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import last_name, root_name


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Find assignments of ids into embeddings."""
    for module in facts.code.files.modules.values():
        if "token_id" not in module.source.text:
            continue
        for place in module.statements:
            statement = place.statement
            if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Subscript):
                continue
            target, value = statement.targets[0], statement.value
            name = root_name(target) if not isinstance(target.value, ast.Attribute) else target.value.attr
            if last_name(value).endswith("token_id") and words(name.replace("_", " ")) & {
                "embeds",
                "embed",
                "embeddings",
                "embedding",
                "embs",
            }:
                infers = facts.stages.of(place) is Stage.INFERS
                yield build.at(
                    module,
                    statement,
                    "VC116",
                    Severity.NOTE if infers else Severity.WARNING,
                    f"{build.code(target)} is an embedding, and gets the number of a token",
                    remedy="Write the id into the ids before they are embedded, or write the embedding of the id.",
                    url="https://github.com/OpenGVLab/Ask-Anything/issues/190",
                )
