"""The door ``lightning.Trainer`` (also under its older name ``pytorch_lightning``)."""

import importlib
import importlib.util
from typing import Any, List, Optional

from . import Door
from .arguments import accepted


def _module() -> Any:
    name = "lightning.pytorch" if importlib.util.find_spec("lightning") else "pytorch_lightning"
    return importlib.import_module(name)


def _train(kit: Any) -> List[Optional[float]]:
    lightning, torch, losses = _module(), kit.runtime.torch, []

    class Module(lightning.LightningModule):  # type: ignore[name-defined,misc]
        """Trains the adapters with Lightning's automatic optimization."""

        def __init__(self) -> None:
            super().__init__()
            self.model = kit.adapted()

        def training_step(self, batch: Any, _: int) -> Any:
            loss = self.model(**batch).loss
            losses.append(kit.finite(loss))
            return loss

        def configure_optimizers(self) -> Any:
            return kit.optimizer(self)

    options = {
        "max_steps": kit.steps,
        "accelerator": "cpu" if kit.on_cpu else "gpu",
        "devices": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": kit.folder,
    }
    trainer = lightning.Trainer(**accepted(lightning.Trainer, options))
    trainer.fit(Module(), torch.utils.data.DataLoader(kit.rows(), batch_size=2))
    return losses


DOOR = Door(
    name="lightning",
    title="Lightning's Trainer",
    modules=("lightning|pytorch_lightning",),
    signs=("lightning.Trainer", "lightning.pytorch.Trainer", "pytorch_lightning.Trainer"),
    load=_module,
    train=_train,
    fault="lightning.pytorch|pytorch_lightning:Trainer.fit",
)
