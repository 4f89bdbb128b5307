"""Arguments of Lightning's ``Trainer`` that 2.0 took away, and what to write instead.

Read in the wheels of pytorch-lightning 1.9.5 and 2.0.0; the last three went before 1.9, and 2.0 refuses them, too.
https://lightning.ai/docs/pytorch/stable/upgrade/migration_guide.html
"""

from collections.abc import Mapping

REFUSED_SINCE = "2.0"
OLDEST_TORCH = "1.11"
"""The oldest torch that Lightning 2.0 takes: an older pin holds Lightning back."""

REFUSED: Mapping[str, str] = {
    "amp_backend": "leave it out: precision='16-mixed' is torch's own autocast",
    "amp_level": "leave it out: apex is not supported",
    "gpus": "accelerator='gpu', devices=…",
    "num_processes": "devices=…",
    "tpu_cores": "accelerator='tpu', devices=…",
    "ipus": "accelerator='ipu', devices=…",
    "auto_select_gpus": "devices='auto'",
    "track_grad_norm": "lightning.pytorch.utilities.grad_norm in on_before_optimizer_step",
    "resume_from_checkpoint": "trainer.fit(…, ckpt_path=…)",
    "auto_lr_find": "lightning.pytorch.tuner.Tuner",
    "auto_scale_batch_size": "lightning.pytorch.tuner.Tuner",
    "replace_sampler_ddp": "use_distributed_sampler=…",
    "move_metrics_to_cpu": "leave it out",
    "multiple_trainloader_mode": "lightning.pytorch.utilities.CombinedLoader",
    "distributed_backend": "strategy=…",
    "progress_bar_refresh_rate": "a TQDMProgressBar in callbacks",
    "weights_summary": "enable_model_summary=…",
}
"""Argument → what to write instead."""
