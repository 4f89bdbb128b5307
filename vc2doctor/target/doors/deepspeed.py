"""The door ``deepspeed.initialize``: one process, no communication with others."""

import importlib
import os
from typing import Any, List, Optional

from . import Door, Unavailable
from .ddp import loopback


def _load() -> None:
    importlib.import_module("deepspeed").initialize  # noqa: B018 - the import is what is tried


def _train(kit: Any) -> List[Optional[float]]:
    deepspeed = importlib.import_module("deepspeed")
    if kit.on_cpu and not hasattr(deepspeed, "get_accelerator"):
        raise Unavailable("this deepspeed has no CPU accelerator; deepspeed 0.9 added it")
    variables = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    os.environ.update({**variables, "GLOO_SOCKET_IFNAME": loopback()})
    distributed = kit.runtime.torch.distributed
    # deepspeed uses the process group that there is. The one that it would make listens at MASTER_PORT on every
    # interface, and asks the name server for its own address. It cannot be destroyed: deepspeed keeps it for good.
    if not distributed.is_initialized():
        distributed.init_process_group(_backend(deepspeed), store=distributed.HashStore(), rank=0, world_size=1)
    return _steps(kit, deepspeed)


def _backend(deepspeed: Any) -> str:
    """Return the backend of torch.distributed that this deepspeed would choose."""
    if not hasattr(deepspeed, "get_accelerator"):
        return "nccl"
    return str(deepspeed.get_accelerator().communication_backend_name())


def _steps(kit: Any, deepspeed: Any) -> List[Optional[float]]:
    model = kit.adapted()
    # torch's own AdamW: deepspeed's optimizers are compiled when they are first used, which needs nvcc.
    optimizer = kit.optimizer(model)
    config = {"train_micro_batch_size_per_gpu": kit.rows_per_batch, "gradient_accumulation_steps": 1}
    engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config)
    losses = []
    for batch in kit.batches():
        loss = engine(**batch).loss
        engine.backward(loss)
        engine.step()
        losses.append(kit.finite(loss))
    return losses


DOOR = Door(
    name="deepspeed",
    title="deepspeed.initialize",
    modules=("deepspeed",),
    signs=("deepspeed.initialize",),
    load=_load,
    train=_train,
    fault="deepspeed:initialize",
)
