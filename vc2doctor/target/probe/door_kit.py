"""What every door needs: a tiny model with LoRA adapters, texts, a tokenizer, and a folder to write to."""

import dataclasses
import os
from typing import Any, Dict, List, Optional, Tuple

from ..doors import Unavailable
from ..doors.arguments import accepted
from ..runtime import Runtime
from ..shared.spec import Spec
from . import architecture, language_model, trained
from .tensors import finite_or_none
from .updates import moved_share

STEPS = 2
"""Optimizer steps: the second shows that the first one left a model that still trains."""
ROWS = 2
"""Rows of a batch."""
LEARNING_RATE = 1e-3

_LAUNCHER_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_LAUNCHER_PREFIXES = ("ACCELERATE_", "FSDP_", "TORCHELASTIC_", "PMI_", "OMPI_", "MV2_", "DEEPSPEED_", "SLURM_")
"""Variables by which a library takes the worker for one process of a running job, and waits for the others."""

_CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }} {{ message['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}assistant {% endif %}"
)


class Kit:
    """The tools of one door. ``folder`` is scratch space that is deleted after the door."""

    steps = STEPS
    rows_per_batch = ROWS

    def __init__(self, runtime: Runtime, spec: Spec, folder: str) -> None:
        self.runtime = runtime
        # The plain model: whether the user's own architecture trains is a question of its own.
        self.spec = spec._replace(architecture="", targets=Spec().targets)
        self._own_spec = spec
        self.folder = folder
        self.reported_movement: Optional[float] = None
        """What moved in other processes, if the door trains there."""
        self._watched: Dict[str, Any] = {}
        self._before: Dict[str, Any] = {}

    @property
    def on_cpu(self) -> bool:
        """Whether the probe trains on the CPU."""
        return bool(self.runtime.device.type == "cpu")

    @property
    def has_adapters(self) -> bool:
        """Whether adapters are trained."""
        return self.runtime.peft is not None

    def base(self) -> Any:
        """Return a new base model in float32 on the device of the probe."""
        model = language_model.base_model(self.runtime, self.spec, "float32")
        model.config.use_cache = False
        return model

    def whole_base(self) -> Any:
        """Return a new base model of the user's architecture, of its own class; the plain one if there is none.

        Raises:
            Unavailable: the class cannot be built as a miniature.
        """
        if not self._own_spec.architecture:
            return self.base()
        special = (language_model.BOS, language_model.PAD)
        try:
            model = architecture.build_whole(self.runtime, self._own_spec, special)
        except architecture.ShrinkError as error:
            raise Unavailable(str(error)) from error
        model.config.use_cache = False
        return model

    def language_base(self) -> Any:
        """Return a new base model of the user's architecture, of its language model alone.

        Without one it is the plain model with as many heads of keys as of queries: whether fewer work is then unknown.
        """
        shape = self.spec.shape
        plain = self.spec._replace(shape=shape._replace(kv_heads=shape.heads))
        spec = self._own_spec if self._own_spec.architecture else plain
        model = language_model.base_model(self.runtime, spec, "float32")
        model.config.use_cache = False
        return model

    def switch_checkpointing_on(self) -> None:
        """Let the adapted model checkpoint its blocks, if the user's code was not seen to do so in some way."""
        use = self.spec.use
        self.spec = self.spec._replace(use=use._replace(checkpointing=use.checkpointing or "after"))

    def adapted_as_used(self, model: Any, config: Any) -> Any:
        """Return ``model`` with the adapters ``config``, whose blocks are checkpointed as in the user's code."""
        use = self.spec.use
        if use.checkpointing == "before":
            self._checkpoint(model)
        model = self.runtime.peft.get_peft_model(model, config)
        if use.checkpointing == "after" or (use.checkpointing == "arguments" and not use.uses_trainer):
            self._checkpoint(model)
        model.train()
        return self.watch(model)

    def _checkpoint(self, model: Any) -> None:
        function, use = model.gradient_checkpointing_enable, self.spec.use
        keywords = {} if use.reentrant else {"gradient_checkpointing_kwargs": {"use_reentrant": False}}
        function(**accepted(function, keywords))

    def train_as_used(self, model: Any) -> List[Optional[float]]:
        """Train ``model`` through ``transformers.Trainer`` where the user's code does, else in a plain loop."""
        use, transformers = self.spec.use, self.runtime.transformers
        if not use.uses_trainer:
            return self.train_loop(model)
        more: Dict[str, Any] = {"gradient_checkpointing": use.checkpointing == "arguments"}
        if not use.reentrant:
            more["gradient_checkpointing_kwargs"] = {"use_reentrant": False}
        arguments = self.arguments(transformers.TrainingArguments, **more)
        return self.run_trainer(transformers.Trainer(model=model, args=arguments, train_dataset=self.rows()))

    def four_bit(self) -> Any:
        """Return a new base model in 4 bits that computes in float32.

        Raises:
            Unavailable: it can be had on a GPU only.
        """
        return trained.four_bit(self.runtime, "float32", self.base())

    def gpu_only_reason(self, error: BaseException) -> Optional[str]:
        """Return why 4 bits need a GPU here, if ``error`` shows that; ``None``: it is another failure."""
        return trained.gpu_only_reason(self.runtime, error)

    def lora(self, without: Tuple[str, ...] = ()) -> Any:
        """Return the configuration of the adapters; the modules ``without`` get none."""
        targets = [name for name in self.spec.targets if name not in without]
        return language_model.lora_config(self.runtime, self.spec, targets)

    def adapted(self) -> Any:
        """Return a new base model with adapters, whose movement is watched; without peft every weight is trained."""
        model = self.base()
        if self.has_adapters:
            model = self.runtime.peft.get_peft_model(model, self.lora())
        model.train()
        return self.watch(model)

    def watch(self, model: Any) -> Any:
        """Remember the trainable parameters of ``model`` as they are now, and return ``model``."""
        self._watched = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._before = {name: p.detach().clone() for name, p in self._watched.items()}
        return model

    def moved(self) -> Optional[float]:
        """Return the share of the watched elements that changed; ``None``: unknown."""
        if not self._before:
            return self.reported_movement
        # A trainer may have moved the model to another device, or wrapped its parameters.
        after = {name: self._watched[name].detach().to(before.device) for name, before in self._before.items()}
        return moved_share(self._before, after)

    def rows(self) -> List[Dict[str, Any]]:
        """Return the rows of the training set, dicts of ids, mask and labels of shape (length,), on the CPU."""
        torch = self.runtime.torch
        generator = torch.Generator().manual_seed(self.spec.seed)
        length = min(16, language_model.row_length(self.spec))
        first, last = language_model.FIRST_WORD, self.spec.shape.vocabulary
        rows = []
        for _ in range(STEPS * ROWS):
            ids = torch.randint(first, last, (length,), generator=generator)
            rows.append({"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids.clone()})
        return rows

    def batches(self) -> List[Dict[str, Any]]:
        """Return ``STEPS`` batches of ``ROWS`` rows, dicts of tensors of shape (rows, length), on the device."""
        torch, rows = self.runtime.torch, self.rows()
        groups = [rows[start : start + ROWS] for start in range(0, len(rows), ROWS)]
        return [
            {key: torch.stack([row[key] for row in group]).to(self.runtime.device) for key in group[0]}
            for group in groups
        ]

    def tokenizer(self) -> Any:
        """Return a tokenizer of whole words, made from nothing: no file is read and none is downloaded."""
        import tokenizers  # noqa: PLC0415 - the target's

        special = ["<pad>", "<s>", "<unk>"]
        words = special + ["user", "assistant"] + ["w%d" % number for number in range(self.spec.shape.vocabulary)]
        vocabulary = {word: number for number, word in enumerate(words[: self.spec.shape.vocabulary])}
        core = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token=special[-1]))
        core.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
        names = dict(zip(("pad_token", "bos_token", "unk_token"), special))
        names["eos_token"] = names["pad_token"]
        # Models for language take no token types, and generate() refuses what a model does not take.
        inputs = ["input_ids", "attention_mask"]
        tokenizer = self.runtime.transformers.PreTrainedTokenizerFast(
            tokenizer_object=core, model_input_names=inputs, **names
        )
        tokenizer.chat_template = _CHAT_TEMPLATE
        return tokenizer

    def texts(self) -> List[str]:
        """Return one text of known words for each row of the training set."""
        return [" ".join("w%d" % (row + word) for word in range(1, 9)) for row in range(STEPS * ROWS)]

    def arguments(self, config_class: Any, **more: Any) -> Any:
        """Return training arguments: two float32 steps that write nothing but to ``folder``, on one device."""
        wanted: Dict[str, Any] = {
            "output_dir": self.folder,
            "max_steps": STEPS,
            "per_device_train_batch_size": ROWS,
            "learning_rate": LEARNING_RATE,
            "logging_steps": 1,
            # Otherwise the log shows the average of the finite losses in place of a NaN.
            "logging_nan_inf_filter": False,
            "save_strategy": "no",
            "report_to": [],
            "disable_tqdm": True,
            "seed": self.spec.seed,
            "dataloader_num_workers": 0,
            "fp16": False,
            "bf16": False,
            "gradient_checkpointing": False,
            **more,
        }
        if self.on_cpu:
            # Two names of one switch: transformers 4.34 renamed it.
            names = {field.name for field in dataclasses.fields(config_class)}
            wanted["use_cpu" if "use_cpu" in names else "no_cuda"] = True
        arguments = config_class(**accepted(config_class, wanted))
        if not self.on_cpu:
            # One device: with several visible GPUs the Trainer would wrap the model in DataParallel.
            arguments._n_gpu = 1  # noqa: SLF001 - what the property n_gpu returns; there is no argument for it
        return arguments

    def optimizer(self, model: Any) -> Any:
        """Return AdamW over the trainable parameters of ``model``."""
        parameters = [p for p in model.parameters() if p.requires_grad]
        return self.runtime.torch.optim.AdamW(parameters, lr=LEARNING_RATE)

    def train_loop(self, model: Any, batches: Optional[List[Dict[str, Any]]] = None) -> List[Optional[float]]:
        """Train ``model`` for a step on each of ``batches`` (default: those of the kit) and return the losses."""
        optimizer, losses = self.optimizer(model), []
        for batch in batches or self.batches():
            optimizer.zero_grad()
            loss = model(**batch).loss
            loss.backward()
            optimizer.step()
            losses.append(self.finite(loss))
        return losses

    @staticmethod
    def finite(loss: Any) -> Optional[float]:
        """Return a loss as a number, ``None`` if it is NaN or infinite."""
        return finite_or_none(float(loss.detach()))

    def run_trainer(self, trainer: Any, checkpoint: Optional[str] = None) -> List[Optional[float]]:
        """Train with a ``transformers.Trainer``, or a subclass, and return the logged losses."""
        self.watch(trainer.model)
        trainer.train(resume_from_checkpoint=checkpoint)
        return [finite_or_none(float(entry["loss"])) for entry in trainer.state.log_history if "loss" in entry]


def leave_running_job() -> None:
    """Forget the variables of a launcher: the doors are tried in this one process, also inside a job."""
    for name in list(os.environ):
        if name in _LAUNCHER_VARIABLES or name.startswith(_LAUNCHER_PREFIXES):
            del os.environ[name]
