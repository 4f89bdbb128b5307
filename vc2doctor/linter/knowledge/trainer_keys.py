"""The fields of transformers' ``TrainingArguments`` that commands and files give most.

Each is a field of at least one release from 4.30 to 5.24, as ``transformers/training_args.py`` of their wheels shows;
some came later than 4.30, and some went. Fields of the run's name and of logging services are left out: no misspelling
of them changes the training.
"""

TRAINER_KEYS = (
    *("learning_rate", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm", "optim"),
    *("num_train_epochs", "max_steps", "lr_scheduler_type", "warmup_ratio", "warmup_steps"),
    *("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps"),
    *("gradient_checkpointing", "gradient_checkpointing_kwargs", "fp16", "bf16", "tf32", "fp16_full_eval"),
    *("bf16_full_eval", "fp16_opt_level", "half_precision_backend", "deepspeed", "fsdp", "fsdp_config"),
    *("logging_steps", "logging_strategy", "logging_first_step", "logging_nan_inf_filter", "save_steps"),
    *("save_strategy", "save_total_limit", "eval_steps", "evaluation_strategy", "eval_strategy", "seed"),
    *("output_dir", "overwrite_output_dir", "remove_unused_columns", "group_by_length", "torch_compile"),
    *("ddp_find_unused_parameters", "ddp_timeout", "dataloader_num_workers", "dataloader_pin_memory"),
    *(
        "load_best_model_at_end",
        "metric_for_best_model",
        "greater_is_better",
        "resume_from_checkpoint",
        "neftune_noise_alpha",
    ),
    *("label_smoothing_factor", "auto_find_batch_size", "do_train", "do_eval", "report_to"),
)
