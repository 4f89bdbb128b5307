"""What torch's optimizers take, by class.

Read in the signatures of ``torch.optim`` of torch 2.13.0. Releases add keywords and have taken none away, so a keyword
that is not here raises TypeError in all of them: https://docs.pytorch.org/docs/stable/optim.html
"""

OPTIMIZER_KEYWORDS: dict[str, frozenset[str]] = {
    name: frozenset(keywords.split())
    for name, keywords in {
        "ASGD": "params lr lambd alpha t0 weight_decay foreach maximize differentiable capturable",
        "Adadelta": "params lr rho eps weight_decay foreach capturable maximize differentiable",
        "Adafactor": "params lr beta2_decay eps d weight_decay foreach maximize",
        "Adagrad": "params lr lr_decay weight_decay initial_accumulator_value eps foreach maximize differentiable"
        " fused",
        "Adam": "params lr betas eps weight_decay amsgrad foreach maximize capturable differentiable fused"
        " decoupled_weight_decay",
        "AdamW": "params lr betas eps weight_decay amsgrad maximize foreach capturable differentiable fused",
        "Adamax": "params lr betas eps weight_decay foreach maximize differentiable capturable",
        "LBFGS": "params lr max_iter max_eval tolerance_grad tolerance_change history_size line_search_fn",
        "Muon": "params lr weight_decay momentum nesterov ns_coefficients eps ns_steps adjust_lr_fn",
        "NAdam": "params lr betas eps weight_decay momentum_decay decoupled_weight_decay foreach maximize capturable"
        " differentiable",
        "RAdam": "params lr betas eps weight_decay decoupled_weight_decay foreach maximize capturable differentiable",
        "RMSprop": "params lr alpha eps weight_decay momentum centered capturable foreach maximize differentiable",
        "Rprop": "params lr etas step_sizes capturable foreach maximize differentiable",
        "SGD": "params lr momentum dampening weight_decay nesterov maximize foreach differentiable fused",
        "SparseAdam": "params lr betas eps maximize",
    }.items()
}
