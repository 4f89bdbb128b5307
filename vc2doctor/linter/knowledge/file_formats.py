"""What files hold that older releases cannot read: which key, of which package, and the first release that reads it.

Measured 2026-11-29 by writing files with one release and reading them with others, each in an environment of its own:
tokenizers 0.13.3 to 0.23.2 (``Tokenizer.from_file``), datasets 2.14.7, 3.6.0 and 5.2.0 (``load_dataset`` of parquet and
``load_from_disk``; the first release of each feature type was read in 28 wheels from 2.0.0 to 5.2.0), and transformers
4.30.2, 4.45.2, 4.48.3 to 4.57.1 and 5.23.0 (``AutoTokenizer``, ``AutoConfig``, ``TrainerState``). Keys of adapters and
of trainer_state.json are looked up in the table of signatures; what peft does with keys that it does not know was read
in the wheels of 0.3.0 to 0.14.0.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from packaging.version import Version

from vc2doctor.core.versions import contains
from vc2doctor.linter.knowledge.api_table import ApiTable

Content = Mapping[str, Any]


class FormatMark(NamedTuple):
    """Something in a file that some releases of a package cannot read."""

    key: str
    """The key and its value, as a part of a sentence."""
    package: str
    written_since: str
    """The first release that writes it."""
    affected: str
    """The releases that cannot read it, as a specifier."""
    read_since: str
    """The first release with which the file works."""
    is_ignored: bool = False
    """Whether the affected releases leave it out without an error."""

    def affects(self, version: str) -> bool:
        """Return whether a release cannot read it."""
        return contains(self.affected, version)


def _unread_before(key: str, package: str, since: str, *, affected: str = "", is_ignored: bool = False) -> FormatMark:
    """Return what the first release that writes it reads as well."""
    return FormatMark(key, package, since, affected or f"<{since}", since, is_ignored)


FEATURES = {
    "LargeList": "2.21.0",
    "Video": "3.1.0",
    "Pdf": "3.5.0",
    "List": "4.0.0",
    "Nifti": "4.4.0",
    "Json": "4.7.0",
    "Mesh": "5.0.0",
    "BioSequence": "5.1.0",
    "BioStructure": "5.1.0",
}
"""Types of features of datasets by the first release that has them. Older ones are in 2.0.0."""
_PARTS_OF_TOKENIZERS = {
    ("normalizer", "ByteLevel"): "0.20.0",
    ("pre_tokenizer", "FixedLength"): "0.21.2",
}
"""Parts of tokenizer.json by the first release of tokenizers that reads them."""
_SPLIT_METASPACE = "0.19.0"
_PAIRS_OF_MERGES = "0.20.0"
_TRANSFORMERS_5 = "5.0.0"
_LIST_OF_TOKENS_FAILS = "4.48.0"
"""transformers 4.45.2 leaves ``extra_special_tokens`` out; 4.48.3 to 4.57.1 want a mapping."""
_IGNORED_BY_PEFT = "0.14.0"
"""From this release on, peft leaves keys out that it does not know, and warns."""
_REFUSED_BY_PEFT = "0.6.0"
"""Before this release, peft sets the attributes that it knows, and leaves the other keys out."""
_ADAPTER_CLASSES = {"P_TUNING": "PromptEncoderConfig"}
"""Classes of adapters that are not called like their type."""
_DEFAULT_ROPE_THETA = 10000.0


def marks_of_tokenizer(content: Content, _table: ApiTable) -> Iterator[FormatMark]:
    """Yield what older tokenizers cannot read in tokenizer.json."""
    model = content.get("model")
    merges = model.get("merges") if isinstance(model, dict) else None
    if isinstance(merges, list) and merges and isinstance(merges[0], list):
        yield _unread_before("model.merges as a list of pairs", "tokenizers", _PAIRS_OF_MERGES)
    for name in ("normalizer", "pre_tokenizer", "decoder"):
        for part in _parts(content.get(name)):
            since = _PARTS_OF_TOKENIZERS.get((name, str(part.get("type"))))
            if since is not None:
                yield _unread_before(f"{name} of the type {part['type']}", "tokenizers", since)
            if part.get("type") == "Metaspace" and "add_prefix_space" not in part:
                yield _unread_before(f"{name} Metaspace without add_prefix_space", "tokenizers", _SPLIT_METASPACE)


def _parts(value: object) -> Iterator[dict[str, Any]]:
    """Yield a part of a tokenizer; of a sequence, each of its parts."""
    if not isinstance(value, dict):
        return
    yield value
    for name in ("normalizers", "pretokenizers", "decoders"):
        for part in value.get(name) or () if isinstance(value.get(name), list) else ():
            yield from _parts(part)


def marks_of_tokenizer_config(content: Content, _table: ApiTable) -> Iterator[FormatMark]:
    """Yield what older transformers cannot read in tokenizer_config.json."""
    if content.get("tokenizer_class") == "TokenizersBackend":
        yield _unread_before('"tokenizer_class": "TokenizersBackend"', "transformers", _TRANSFORMERS_5)
    elif isinstance(content.get("extra_special_tokens"), list):
        key = "extra_special_tokens as a list"
        affected = f">={_LIST_OF_TOKENS_FAILS},<{_TRANSFORMERS_5}"
        yield _unread_before(key, "transformers", _TRANSFORMERS_5, affected=affected)


def marks_of_config(content: Content, _table: ApiTable) -> Iterator[FormatMark]:
    """Yield what older transformers leave out of config.json: the base of the rotary positions, and their scaling."""
    for part in (content, *(value for key, value in content.items() if key.endswith("_config"))):
        rope = part.get("rope_parameters") if isinstance(part, dict) else None
        if not isinstance(rope, dict) or "rope_theta" in part or part.get("rope_scaling"):
            continue
        theta, kind = rope.get("rope_theta", _DEFAULT_ROPE_THETA), rope.get("rope_type", "default")
        if theta != _DEFAULT_ROPE_THETA or kind != "default":
            shown = f"rope_theta {theta:g}" if isinstance(theta, int | float) else "rope_theta"
            key = f"rope_parameters ({shown}, rope_type {kind})"
            yield _unread_before(key, "transformers", _TRANSFORMERS_5, is_ignored=True)


def marks_of_adapter(content: Content, table: ApiTable) -> Iterator[FormatMark]:
    """Yield what older releases of peft refuse or leave out in adapter_config.json."""
    name = _adapter_class(str(content.get("peft_type") or ""), table)
    package = table.packages["peft"]
    if name is None:
        return
    known = table.importable("peft", name)
    first = _first(known.bits) if known is not None else 0
    if first:
        yield _unread_before(f'"peft_type": "{content["peft_type"]}"', "peft", package.releases[first])
        return
    for key, value in content.items():
        existence = table.keyword(f"peft.{name}", key)
        since = _first(existence.bits) if existence is not None else 0
        if not since:
            continue
        yield from _marks_of_key(key, value, package.releases[since])


def _marks_of_key(key: str, value: object, release: str) -> Iterator[FormatMark]:
    """Yield what becomes of a key of adapter_config.json before the first ``release`` that takes it.

    A switch that is on, a list or a table changes the adapter; null, a number and a text are defaults or notes.
    """
    matters = value is True or (isinstance(value, dict | list) and bool(value))
    last_refusal = min(release, _IGNORED_BY_PEFT, key=Version)
    if Version(release) > Version(_REFUSED_BY_PEFT):
        refused = f">={_REFUSED_BY_PEFT},<{last_refusal}"
        yield FormatMark(key, "peft", release, refused, release if matters else last_refusal)
    if matters:
        ignored = (f"<{min(release, _REFUSED_BY_PEFT, key=Version)}", f">={_IGNORED_BY_PEFT},<{release}")
        for affected in ignored:
            yield FormatMark(key, "peft", release, affected, release, is_ignored=True)


def _adapter_class(kind: str, table: ApiTable) -> str | None:
    """Return the class of the configuration of adapters of a type; ``None``: it is not known."""
    names = {key.lower(): key for key in table.packages["peft"].class_names if key.endswith("Config")}
    return _ADAPTER_CLASSES.get(kind) or names.get(f"{kind.replace('_', '').lower()}config")


def _first(bits: int) -> int:
    """Return the position of the oldest release in ``bits``."""
    return (bits & -bits).bit_length() - 1


def marks_of_trainer_state(content: Content, table: ApiTable) -> Iterator[FormatMark]:
    """Yield the keys of trainer_state.json that older releases of transformers refuse."""
    package = table.packages["transformers"]
    for key in content:
        existence = table.keyword("transformers.TrainerState", key)
        since = _first(existence.bits) if existence is not None else 0
        if since:
            yield _unread_before(key, "transformers", package.releases[since])


def marks_of_features(content: Content, _table: ApiTable) -> Iterator[FormatMark]:
    """Yield the types of features that older releases of datasets cannot read; ``content`` has ``features``."""
    kinds = dict.fromkeys(_feature_types(content.get("features")))
    for kind in kinds:
        if kind in FEATURES:
            yield _unread_before(f"feature type {kind}", "datasets", FEATURES[kind])


def _feature_types(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("_type"), str):
            yield value["_type"]
        for item in value.values():
            yield from _feature_types(item)
    elif isinstance(value, list):
        for item in value:
            yield from _feature_types(item)


MARKS: Mapping[str, Callable[[Content, ApiTable], Iterator[FormatMark]]] = {
    "adapter_config.json": marks_of_adapter,
    "config.json": marks_of_config,
    "tokenizer.json": marks_of_tokenizer,
    "tokenizer_config.json": marks_of_tokenizer_config,
    "trainer_state.json": marks_of_trainer_state,
    "dataset_info.json": marks_of_features,
}
"""How the marks of a file are found, by its name."""
NEWEST = {"tokenizer.json": ("tokenizers", "0.21.2")}
"""The release from which on a package reads all that is known here: such a file, which is large, is not read."""
